//! What is kept in the state directory.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use launcher::definitions::{Definitions, Found, Source};
use launcher::instance::InstanceName;
use presence::process::state_file::StateDir;
use presence::store::memory::MemoryStore;
use testbed::process::Signal;
use testbed::wait;

use crate::host::{Host, tree, version, web};

const SOON: Duration = Duration::from_mins(1);

/// As many as are kept beside the newest and those that run.
const KEPT: usize = 9;

fn directory(state: &Path) -> PathBuf {
    state.join("definitions/etcd/web")
}

/// The files of definitions, by name.
fn files(host: &Host<MemoryStore>) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(directory(host.state.path()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| !["lock", "newest.json"].contains(&file.as_str()))
        .collect();
    files.sort_by_key(|file| {
        let number = file.split('-').next().unwrap();
        number.parse::<i64>().unwrap()
    });
    files
}

fn file_of(found: &Found) -> String {
    format!("{}.json", found.revision)
}

async fn newest(host: &Host<MemoryStore>, number: usize) -> Found {
    host.put(&version(number)).await;
    host.find(None).await
}

#[tokio::test]
async fn nobody_else_may_read_it() {
    let host = Host::new();
    let found = newest(&host, 1).await;
    let _kept = host.definitions.keep(&found).await.unwrap();
    let directory = directory(host.state.path());
    for (path, mode) in [
        (directory.clone(), 0o700),
        (directory.join(file_of(&found)), 0o600),
        (directory.join("newest.json"), 0o600),
        (directory.join("lock"), 0o600),
    ] {
        let found = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
}

#[tokio::test]
async fn the_last_ones_started_are_kept_and_those_that_run() {
    let host = Host::new();
    let runs = newest(&host, 0).await;
    let held = host.definitions.keep(&runs).await.unwrap();
    let mut all = Vec::new();
    for number in 1..=20 {
        let found = newest(&host, number).await;
        host.definitions.keep(&found).await.unwrap();
        all.push(file_of(&found));
    }
    let expected = [vec![file_of(&runs)], all[20 - 1 - KEPT..].to_vec()].concat();
    assert_eq!(files(&host), expected);
    drop(held);
    let found = newest(&host, 21).await;
    host.definitions.keep(&found).await.unwrap();
    assert!(
        !files(&host).contains(&file_of(&runs)),
        "it does not run any more"
    );
    assert_eq!(files(&host).len(), KEPT + 1);
}

#[tokio::test]
async fn an_old_one_that_was_started_last_is_no_old_one() {
    let host = Host::new();
    let first = newest(&host, 0).await;
    host.definitions.keep(&first).await.unwrap();
    for number in 1..=KEPT {
        let found = newest(&host, number).await;
        host.definitions.keep(&found).await.unwrap();
    }
    let again = host.find(Some(first.revision)).await;
    host.definitions.keep(&again).await.unwrap();
    let found = newest(&host, 100).await;
    host.definitions.keep(&found).await.unwrap();
    assert!(
        files(&host).contains(&file_of(&first)),
        "{:?}",
        files(&host)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_is_set_aside_and_said() {
    for damage in [
        "",
        "{\"at\":\"2026-11-20T12:00:00Z\",\"text\":\"image: web:1",
        "{\"at\":\"2026-11-20T12:00:00Z\",\"text\":\"image: evil\"}",
        "{\"at\":\"2026-11-20T12:00:00Z\",\"text\":\"imgae: x\"}",
    ] {
        let host = Host::new();
        let found = newest(&host, 1).await;
        host.definitions.keep(&found).await.unwrap();
        let file = directory(host.state.path()).join(file_of(&found));
        fs::write(&file, damage).unwrap();
        host.store.set_unavailable(true);
        let (mut said, service) = (Vec::new(), web());
        let find = host
            .definitions
            .find(&service, InstanceName::Newest, |words| said.push(words));
        let waited = tokio::time::timeout(Duration::from_secs(10), find).await;
        waited.expect_err("there is nothing to start");
        let place = file.display().to_string();
        assert!(said.iter().any(|words| words.contains(&place)), "{said:?}");
        assert!(!file.exists());
        let aside = file.with_extension("json.corrupt");
        assert_eq!(fs::read_to_string(aside).unwrap(), damage);
        host.store.set_unavailable(false);
        let found = host.find(None).await;
        host.definitions.keep(&found).await.unwrap();
        host.store.set_unavailable(true);
        assert!(host.find(None).await.from_cache, "it was kept again");
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_is_not_known_which_is_the_newest_it_is_the_highest() {
    let host = Host::new();
    for number in [1, 2] {
        let found = newest(&host, number).await;
        host.definitions.keep(&found).await.unwrap();
    }
    let file = directory(host.state.path()).join("newest.json");
    fs::write(&file, "{").unwrap();
    host.store.set_unavailable(true);
    let (found, said) = host.try_find(None).await;
    assert_eq!(found.unwrap().text, version(2));
    let place = file.display().to_string();
    assert!(said.iter().any(|words| words.contains(&place)), "{said:?}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    let host = Host::new();
    let found = newest(&host, 1).await;
    fs::write(host.state.path().join("definitions"), "").unwrap();
    let error = host.definitions.keep(&found).await.unwrap_err();
    let expected = format!(
        "the state directory {}",
        directory(host.state.path()).display()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_out_of_the_lock_is_not_waited_for_long() {
    let host = Host::new();
    let found = newest(&host, 1).await;
    host.definitions.keep(&found).await.unwrap();
    let path = directory(host.state.path()).join("lock");
    let lock = fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let error = host.definitions.keep(&found).await.unwrap_err();
    let expected = format!("cannot lock the state file {}", path.display());
    assert_eq!(error.to_string(), expected);
}

const KEEPER: [&str; 3] = ["--exact", "kept::keeper", "--nocapture"];
const STATE: &str = "LAUNCHER_TEST_KEEPS_IN";

/// Not a test, but what those below start as a process: keeps more definitions than are kept, in
/// turns, until it is killed.
#[tokio::test]
async fn keeper() {
    let Some(state) = std::env::var_os(STATE) else {
        return;
    };
    let state = StateDir::open(PathBuf::from(state)).unwrap();
    let host = Host::new();
    let definitions = Definitions::new(host.store.clone(), Source::Etcd, None, tree(), &state);
    let mut found = Vec::new();
    for number in 1..=12 {
        let text = format!(
            "image: web:{number}\nlabels: {{x: {}}}\n",
            "x".repeat(100_000)
        );
        host.put(&text).await;
        found.push(host.find(None).await);
    }
    loop {
        for found in &found {
            definitions.keep(found).await.unwrap();
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start_keeper(state: &Path) -> Killed {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(KEEPER)
        .env(STATE, state)
        .stdout(Stdio::null())
        .spawn();
    Killed(child.unwrap())
}

/// Every file of a definition is whole: its name says what it holds.
fn assert_whole(state: &Path) -> usize {
    let mut seen = 0;
    for entry in fs::read_dir(directory(state)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let Some(Ok(revision)) = file.strip_suffix(".json").map(str::parse) else {
            continue;
        };
        let revision: presence::model::DefinitionRevision = revision;
        let bytes = fs::read(&path).unwrap();
        let past: launcher::definitions::history::Past = serde_json::from_slice(&bytes).unwrap();
        let definition = crate::host::definition(&past.text);
        assert_eq!(definition.revision(revision.mod_revision()), revision);
        seen += 1;
    }
    seen
}

/// The kernel kills it in the middle of the first file, after so many blocks of 512 bytes.
fn keeper_killed_after(blocks: u32, state: &Path) {
    let script = format!("ulimit -c 0; ulimit -f {blocks}; exec \"$@\"");
    let status = Command::new("/bin/sh")
        .args(["-c", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(KEEPER)
        .env(STATE, state)
        .stdout(Stdio::null())
        .status();
    let signal = status.unwrap().signal();
    assert_eq!(signal, Some(Signal::SIGXFSZ as i32));
}

#[tokio::test]
async fn killed_in_the_middle_of_a_write_it_leaves_whole_files() {
    let host = Host::new();
    let state = host.state.path();
    let found = newest(&host, 1).await;
    host.definitions.keep(&found).await.unwrap();
    for blocks in [0, 1, 100, 195] {
        keeper_killed_after(blocks, state);
        assert_eq!(assert_whole(state), 1, "those of before are there still");
        let halves = || {
            fs::read_dir(directory(state))
                .unwrap()
                .filter(is_half)
                .count()
        };
        assert_eq!(halves(), 1);
        // Whoever comes next cleans up.
        host.definitions.keep(&found).await.unwrap();
        assert_eq!(halves(), 0);
    }
}

fn is_half(entry: &io::Result<DirEntry>) -> bool {
    let path = entry.as_ref().unwrap().path();
    path.extension().is_some_and(|ending| ending == "tmp")
}

#[tokio::test]
async fn two_processes_keep_the_same_without_harm() {
    let state = tempfile::tempdir().unwrap();
    let (one, other) = (start_keeper(state.path()), start_keeper(state.path()));
    wait::until_true("many to be kept", SOON, || async {
        let files = fs::read_dir(directory(state.path()));
        files.is_ok_and(|files| files.count() >= KEPT + 3)
    })
    .await
    .unwrap();
    drop((one, other));
    assert!(assert_whole(state.path()) >= KEPT);
}
