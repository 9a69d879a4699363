//! The manager is killed in the middle of every kind of change, and started
//! again: the table ends as the tree says, and what others made is untouched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use testbed::etcd::Etcd;
use testbed::process::{Running, installed};
use testbed::wait;
use tokio::time::sleep;

use crate::kinds;
use crate::witness::{FOREIGN, make_foreign, saved, set};
use crate::world::{HOST, REGION, SOON, World};

/// All changes, one after the other, take about as long.
const CHANGES: u64 = 1500;
/// And a start of the manager with what it finds to do.
const START: u64 = 600;

struct Scene {
    world: World,
    /// The changes were made, and not those back.
    there: bool,
    /// What was done, for the reader of a failed test.
    steps: Vec<String>,
}

impl Scene {
    async fn new() -> Self {
        make_foreign().await;
        let world = World::start().await;
        commit(&world.etcd, &kinds::first()).await;
        let scene = Self {
            world,
            there: false,
            steps: Vec::new(),
        };
        scene.until_settled().await;
        scene
    }

    /// Waits until the table and the statuses are as the tree says, and nothing
    /// is left to be done.
    async fn until_settled(&self) {
        let settled = wait::until("everything as the tree says", SOON, || self.differences());
        if let Err(error) = settled.await {
            let statuses = statuses(&self.world.etcd).await;
            let (steps, log) = (self.steps.join("\n"), self.world.manager.log());
            panic!("{error}\n{steps}\n{statuses:#?}\n{log}");
        }
    }

    async fn differences(&self) -> Result<(), Vec<String>> {
        let mut wanted = kinds::table(self.there);
        wanted.extend(set(&FOREIGN));
        let table = saved().await;
        let differences = table.symmetric_difference(&wanted);
        let mut differences: Vec<String> = differences.cloned().collect();
        if differences.is_empty() {
            let statuses = statuses(&self.world.etcd).await;
            differences = unsettled(&statuses, &kinds::managed(self.there));
        }
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences)
        }
    }
}

/// The statuses of all services, by their names.
async fn statuses(etcd: &Etcd) -> BTreeMap<String, Value> {
    let prefix = format!("/lbManager-status/hosts/{HOST}/ipvs/{REGION}/");
    let found = etcd.get_prefix(&prefix).await.unwrap();
    let statuses = found.iter().map(|(key, text)| {
        let status = serde_json::from_str(text).unwrap();
        (key[prefix.len()..].to_owned(), status)
    });
    statuses.collect()
}

/// Who has a status and should not, or the other way round, or has one that
/// tells of something still to be done.
fn unsettled(statuses: &BTreeMap<String, Value>, managed: &BTreeSet<String>) -> Vec<String> {
    let known: BTreeSet<String> = statuses.keys().cloned().collect();
    let differences = known.symmetric_difference(managed).cloned();
    let busy = statuses.iter().filter(|(_, status)| {
        let members = status["members"].as_object().unwrap().values();
        let mut states = members.map(|member| &member["state"]);
        let rests = states.all(|state| state == "serving" || state == "absent");
        !rests || !status["withheld"].is_null() || !status["error"].is_null()
    });
    let busy = busy.map(|(name, status)| format!("{name}: {status}"));
    differences.chain(busy).collect()
}

async fn commit(etcd: &Etcd, writes: &str) {
    let said = etcd.txn(&format!("\n{writes}\n\n")).await.unwrap();
    assert!(said.starts_with("SUCCESS"), "{said}");
}

/// Makes all changes, each for itself, in any order.
async fn change_one_by_one(etcd: &Etcd, there: bool) {
    let mut changes = kinds::one_by_one(there);
    fastrand::shuffle(&mut changes);
    for step in changes.iter().flatten() {
        commit(etcd, step).await;
    }
}

/// One kill in the middle of all kinds of change, and at times another while
/// what the first left behind is put right.
async fn at_a_random_moment(scene: &mut Scene) {
    scene.there = !scene.there;
    let moments = [fastrand::u64(..CHANGES), fastrand::u64(..START)];
    let moments = &moments[..fastrand::usize(1..=2)];
    let step = format!("there: {}, killed after {moments:?} ms", scene.there);
    scene.steps.push(step);
    let World { manager, etcd } = &mut scene.world;
    let kills = async {
        for moment in moments {
            sleep(Duration::from_millis(*moment)).await;
            manager.kill().await;
            manager.run(&[]).await;
        }
    };
    tokio::join!(change_one_by_one(etcd, scene.there), kills);
    scene.until_settled().await;
}

pub async fn at_random_moments_end_as_the_tree_says() {
    let mut scene = Scene::new().await;
    for _ in 0..4 {
        at_a_random_moment(&mut scene).await;
    }
}

pub async fn at_many_random_moments_end_as_the_tree_says() {
    let mut scene = Scene::new().await;
    for _ in 0..25 {
        at_a_random_moment(&mut scene).await;
    }
}

/// Kills the manager before it speaks to the kernel for the `count`th time.
async fn kill_before(count: usize, manager: u32) -> Running {
    let strace = installed("strace", "make test-tools").unwrap();
    let inject = format!("inject=sendto:signal=SIGKILL:when={count}");
    let thread = speaker(manager).to_string();
    let strace = strace.args(["-p", &thread, "-e", "trace=sendto", "-e", &inject]);
    let running = strace.start().await.unwrap();
    let attached = running.wait_for_line(|line| line.contains("attached"), SOON);
    attached.await.unwrap();
    running
}

/// The thread of the manager that speaks to the kernel.
fn speaker(manager: u32) -> u32 {
    let threads = std::fs::read_dir(format!("/proc/{manager}/task")).unwrap();
    let mut threads = threads.map(|entry| entry.unwrap().path());
    let speaks = |name: String| name.trim() == "ipvs";
    let speaker = threads.find(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(speaks));
    let name = speaker
        .as_deref()
        .and_then(|path| path.file_name()?.to_str());
    name.unwrap().parse().unwrap()
}

/// Before each time that the manager speaks to the kernel, to change it or to
/// read it, and so after each time that it did.
pub async fn before_each_word_to_the_kernel_end_as_the_tree_says() {
    let mut scene = Scene::new().await;
    let mut survived = 0;
    let mut count = 1;
    while survived < 2 {
        survived = 0;
        for _ in 0..2 {
            if !is_killed_before(&mut scene, count).await {
                survived += 1;
            }
        }
        count += 1;
    }
    assert!(count > 3, "{:#?}", scene.steps);
}

/// Whether the manager spoke as often to the kernel, and so was killed.
async fn is_killed_before(scene: &mut Scene, count: usize) -> bool {
    scene.there = !scene.there;
    let process = scene.world.manager.process().pid();
    let killer = kill_before(count, process).await;
    for step in kinds::at_once(scene.there) {
        commit(&scene.world.etcd, &step).await;
    }
    let ends = wait::until("death or the end of all changes", SOON, || async {
        if scene.world.manager.process().has_ended() {
            return Ok(true);
        }
        scene.differences().await.map(|()| false)
    });
    let has_died = ends.await.unwrap();
    drop(killer);
    let step = format!("there: {}, before word {count}: {has_died}", scene.there);
    scene.steps.push(step);
    if has_died {
        scene.world.manager.kill().await;
        scene.world.manager.run(&[]).await;
        scene.until_settled().await;
    }
    has_died
}
