//! Two revisions of one service on one host, which publish the same key.

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::Value;
use testbed::launcher::{Launch, Launcher};
use testbed::process::{Program, Stream};
use testbed::{soak, wait};

use crate::instance::{key, name, publish};
use crate::{DEADLINE, Rig};

/// So many services at once: most of them wait.
const AT_ONCE: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Event {
    Start(usize),
    /// SIGKILL, and at once the next life.
    Again(usize),
    Stop(usize),
}

use Event::{Again, Start, Stop};

pub async fn in_every_order(rig: &Rig) {
    play(rig, orders(|who| vec![Start(who), Stop(who)])).await;
    // Each is killed while the other serves, and the newer one leaves first.
    play(
        rig,
        vec![vec![
            Start(0),
            Start(1),
            Again(0),
            Again(1),
            Stop(1),
            Stop(0),
        ]],
    )
    .await;
}

pub async fn killed_in_every_order(rig: &Rig) {
    for _ in 0..soak::rounds().unwrap() {
        play(rig, orders(|who| vec![Start(who), Again(who), Stop(who)])).await;
    }
}

/// Every order in which the lives of both can mix.
fn orders(life: impl Fn(usize) -> Vec<Event>) -> Vec<Vec<Event>> {
    let length = life(0).len();
    let of_both = (0..1_u32 << (2 * length))
        .filter(|places| usize::try_from(places.count_ones()) == Ok(length));
    let mix = |places: u32| {
        let mut lives = [0, 1].map(|who| life(who).into_iter());
        let next = move |place| lives[usize::from(places & (1_u32 << place) != 0)].next();
        (0..2 * length).filter_map(next).collect()
    };
    of_both.map(mix).collect()
}

async fn play(rig: &Rig, orders: Vec<Vec<Event>>) {
    let plays = stream::iter(orders).map(|order| async move {
        let mut stage = Stage::set(rig).await;
        for (happened, event) in order.iter().enumerate() {
            stage.happen(*event).await;
            stage.is_the_newers(&order[..=happened]).await;
        }
    });
    plays.buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// The two, and who of those that run was started last: the last.
struct Stage<'a> {
    rig: &'a Rig,
    service: String,
    revisions: [String; 2],
    launches: [Launch; 2],
    running: [Option<Launcher>; 2],
    order: Vec<usize>,
    /// When the key was first written: it changes when it is deleted in between.
    since: Option<Value>,
}

impl<'a> Stage<'a> {
    async fn set(rig: &'a Rig) -> Self {
        let service = name();
        let mut revisions = Vec::new();
        for number in ["1", "2"] {
            let more = format!("{}\nenvironment: {{NUMBER: {number}}}", publish(&service));
            revisions.push(put(rig, &service, &more).await);
        }
        let revisions: [String; 2] = revisions.try_into().unwrap();
        let launch = |revision: &String| {
            let launch = Launch::new(&service).unwrap().docker(&rig.docker);
            launch.etcd(&rig.etcd).args([revision.as_str()])
        };
        Self {
            rig,
            launches: revisions.each_ref().map(launch),
            service,
            revisions,
            running: [None, None],
            order: Vec::new(),
            since: None,
        }
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Start(who) => {
                self.start(who).await;
                self.order.push(who);
            }
            Again(who) => {
                self.running[who].take().unwrap().kill().await.unwrap();
                self.start(who).await;
            }
            Stop(who) => {
                let mut process = self.running[who].take().unwrap();
                let status = process.stop(DEADLINE).await.unwrap();
                assert_eq!(status.code(), Some(0), "{}", process.log());
                self.order.retain(|other| *other != who);
            }
        }
    }

    /// Until it is ready, and is said to run by this life.
    async fn start(&mut self, who: usize) {
        let before = Timestamp::now();
        let process = self.launches[who].start().await.unwrap();
        process.wait_ready(DEADLINE).await.unwrap();
        self.running[who] = Some(process);
        let key = self.instance(who);
        let runs = || async {
            let state: Value =
                serde_json::from_str(&self.rig.etcd.get(&key).await.unwrap()?).unwrap();
            let since: Timestamp = state["since"].as_str()?.parse().unwrap();
            Some(state["state"] == "running" && since >= before)
        };
        let runs = || async { runs().await == Some(true) };
        let what = "the instance to be said to run";
        wait::until_true(what, DEADLINE, runs).await.unwrap();
    }

    fn instance(&self, who: usize) -> String {
        let Self {
            service, revisions, ..
        } = self;
        format!("/launcher/instances/{service}/testbed/{}", revisions[who])
    }

    /// As etcd keeps it.
    async fn entry(&self, key: &str) -> Option<Value> {
        let found = self.rig.etcd.etcdctl(&["get", "-w", "json", key]).await;
        let found: Value = serde_json::from_str(&found.unwrap()).unwrap();
        found["kvs"].get(0).cloned()
    }

    /// The key is on the newer's lease, and was there since the first of them came.
    async fn is_the_newers(&mut self, after: &[Event]) {
        let key = key(&self.service);
        let newest = self.order.last().map(|who| self.instance(*who));
        let what = format!("the key to be that of {newest:?} after {after:?}");
        let settled = wait::until(&what, DEADLINE, || async {
            let found = self.entry(&key).await;
            let lease = match &newest {
                Some(newest) => Some(self.entry(newest).await.unwrap()["lease"].clone()),
                None => None,
            };
            let is_so = found.as_ref().map(|found| found["lease"].clone()) == lease;
            if is_so { Ok(found) } else { Err(found) }
        });
        let found = settled.await.unwrap();
        let since = found.map(|found| found["create_revision"].clone());
        if self.since.is_some() && since.is_some() {
            assert_eq!(since, self.since, "it was gone in between: {after:?}");
        }
        self.since = since;
    }
}

/// The revision.
async fn put(rig: &Rig, service: &str, definition: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("definition.yaml");
    std::fs::write(&file, rig.definition(definition)).unwrap();
    let program = Program::ours("launcher").unwrap();
    let endpoints = rig.etcd.endpoints().join(",");
    let put = program.args(["put", "--endpoints", &endpoints, "--name", service]);
    let mut put = put.arg(&file).start().await.unwrap();
    let status = put.wait(DEADLINE).await.unwrap();
    assert!(status.success(), "{}", put.last_words());
    put.text(Stream::Stdout).trim().to_owned()
}
