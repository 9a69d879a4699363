//! Helpers on top of the rig: subcommands, other managers, and proofs that
//! nothing happens.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;
use testbed::aws::Change;
use testbed::etcd::LeaseId;
use testbed::process::{Running, Stream};
use testbed::{http, wait};

use crate::real::launch::Ended;
use crate::real::{E, Launch, REGION, Rig, SOON, key};

/// The release of everything.
pub const RELEASE_ALL: &str = "/lbManager-status/release/all";

/// Set while the AWS manager's removals are frozen.
pub const FROZEN: &str = "/lbManager-status/frozen/aws";

/// Longer than any test takes.
pub const LONG: u64 = 600;

/// Runs a subcommand on the rig's etcd.
pub async fn command(rig: &Rig, args: &[&str]) -> Ended {
    let command = Launch::bare(args).env("ETCDCTL_ENDPOINTS", rig.etcd.endpoint());
    command.ended().await
}

/// Runs a subcommand that must exit 0, and gives its standard output.
pub async fn succeeds(rig: &Rig, args: &[&str]) -> String {
    let ended = command(rig, args).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}\n{}", rig.log());
    ended.stdout
}

/// Writes a release of everything, as an operator does.
pub async fn release_all(rig: &Rig) {
    succeeds(rig, &["release", "--all"]).await;
}

/// The names of so many instances.
pub fn instances(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("i-{n:08x}")).collect()
}

pub fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Puts members on one lease, in one revision.
pub async fn put_leased(rig: &Rig, lb: &str, members: &[&str], lease: LeaseId) {
    let puts = members
        .iter()
        .map(|member| format!("put --lease={lease:x} {} \"\"\n", key(lb, member)));
    let text = format!("\n{}\n\n", puts.collect::<String>());
    let answer = rig.etcd.txn(&text).await.unwrap();
    assert!(answer.starts_with("SUCCESS"), "{answer}");
}

/// A key's value, or nothing.
pub async fn value(rig: &Rig, key: &str) -> Option<Value> {
    let text = rig.etcd.get(key).await.unwrap();
    text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Waits until a key exists.
pub async fn until_key(rig: &Rig, key: &str) -> Value {
    let look = || async {
        match rig.etcd.get(key).await {
            Ok(Some(text)) => Ok(serde_json::from_str(&text).unwrap_or(Value::String(text))),
            other => Err(format!("{other:?}")),
        }
    };
    let found = wait::until(key, SOON, look).await;
    found.unwrap_or_else(|error| panic!("{error}\n{}", rig.log()))
}

pub async fn until_frozen(rig: &Rig) {
    let frozen = until_key(rig, FROZEN).await;
    for field in ["why", "at", "revision"] {
        assert!(!frozen[field].is_null(), "no {field} in {frozen}");
    }
}

/// Checks that nothing was frozen, now or at any time since the test began.
pub async fn assert_never_frozen(rig: &Rig) {
    let history = rig.etcd.etcdctl(&["get", "-w", "json", FROZEN]);
    let found: Value = serde_json::from_str(&history.await.unwrap()).unwrap();
    assert!(found["kvs"].is_null(), "frozen: {found}\n{}", rig.log());
}

/// Shows that the manager carries out explicit deletes: E comes, and goes
/// without a release. What it decided before that has happened by then.
pub async fn apply_a_delete(rig: &Rig, lb: &str, others: &[&str]) {
    rig.put(lb, &[E]).await;
    let with = [others, &[E]].concat();
    rig.until_registered(lb, &with).await;
    rig.until_status(lb, "E serves", |status| {
        status["members"][E]["state"] == "serving"
    })
    .await;
    rig.del(lb, E).await;
    rig.until_registered(lb, others).await;
}

/// How many times members were deregistered.
pub fn deregistrations(rig: &Rig, lb: &str) -> usize {
    let timeline = rig.lb(lb).timeline();
    let events = timeline.events().iter();
    events
        .filter(|event| event.change == Change::Deregistered)
        .count()
}

pub fn registered(rig: &Rig, lb: &str) -> BTreeSet<String> {
    rig.aws.registered(REGION, lb)
}

/// A manager in addition to the rig's own, with its own access key, so that
/// its calls are told from the others'.
pub struct Other {
    pub running: Running,
    pub writer: &'static str,
    _state: Option<TempDir>,
}

impl Other {
    /// One with a fresh state directory and its own host ID.
    pub async fn start(rig: &Rig, writer: &'static str, args: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let launch = rig
            .launch
            .clone()
            .arg(format!("--state-dir={}", state.path().display()))
            .arg(format!("--host-id={}", writer.to_lowercase()));
        Self::launch(launch, writer, args, Some(state)).await
    }

    /// One started as the rig's own would be, with further arguments.
    pub async fn start_same(rig: &Rig, writer: &'static str, args: &[&str]) -> Self {
        Self::launch(rig.launch.clone(), writer, args, None).await
    }

    async fn launch(
        launch: Launch,
        writer: &'static str,
        args: &[&str],
        state: Option<TempDir>,
    ) -> Self {
        let launch = launch.env("AWS_ACCESS_KEY_ID", writer);
        let launch = args.iter().fold(launch, |launch, arg| launch.arg(*arg));
        Self {
            running: launch.start().await,
            writer,
            _state: state,
        }
    }

    /// Waits until it has listed this balancer so many times.
    pub async fn until_described(&self, rig: &Rig, lb: &str, times: usize) {
        let described = |aws: &testbed::aws::Aws| {
            let calls = aws.calls().by(self.writer).to(lb).describes();
            calls.iter().filter(|call| call.is_ok()).count() >= times
        };
        let what = format!("{times} describes of {lb} by {}", self.writer);
        let reached = rig.aws.wait_until(&what, described, SOON).await;
        reached.unwrap_or_else(|error| panic!("{error}\n{}", self.running.text(Stream::Stderr)));
    }

    pub async fn stop(&mut self) {
        self.running
            .signal(testbed::process::Signal::SIGTERM)
            .unwrap();
        self.running.wait(SOON).await.unwrap();
    }
}

/// Lets the rig's managers serve metrics from the next start on; gives the
/// URL.
pub fn listen(rig: &mut Rig) -> String {
    let port = testbed::ports::free().unwrap();
    rig.set(|launch| launch.arg(format!("--listen=127.0.0.1:{port}")));
    format!("http://127.0.0.1:{port}")
}

/// Waits until a page of a manager satisfies a condition.
pub async fn until_page(url: &str, what: &str, wanted: impl Fn(&str) -> bool) {
    let look = || async {
        match http::get(url).await {
            Ok(answer) if wanted(&answer.body) => Ok(()),
            Ok(answer) => Err(answer.body),
            Err(error) => Err(error.to_string()),
        }
    };
    wait::until(what, SOON, look).await.unwrap();
}

/// Whether a page of metrics has a metric whose name has this word, with the
/// value 1 or above.
pub fn has_metric(page: &str, word: &str) -> bool {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .any(|(name, value)| name.contains(word) && value.parse::<f64>().is_ok_and(|v| v >= 1.0))
}
