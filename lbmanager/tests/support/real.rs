//! The real manager with a real etcd and the simulator of AWS.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod launch;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testbed::aws::{Aws, LbHandle};
use testbed::etcd::{Client, Etcd};
use testbed::process::{Running, Signal, Stream};
use testbed::wait;

pub use self::launch::{Launch, SOON};

pub const REGION: &str = "eu-west-1";
pub const A: &str = "i-0000000a";
pub const B: &str = "i-0000000b";
pub const C: &str = "i-0000000c";
pub const D: &str = "i-0000000d";
pub const E: &str = "i-0000000e";

/// Asking etcd means a process each time.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The key of a member of class `multiple`.
pub fn key(lb: &str, member: &str) -> String {
    format!("/lbManager/elb/{REGION}/{lb}/multiple/{member}")
}

/// The key of a member of class `single`.
pub fn single(lb: &str, member: &str) -> String {
    format!("/lbManager/elb/{REGION}/{lb}/single/{member}")
}

pub fn config(lb: &str) -> String {
    format!("/lbManager/elb/{REGION}/{lb}/config")
}

pub fn status_key(lb: &str) -> String {
    format!("/lbManager-status/lb/elb/{REGION}/{lb}")
}

pub fn set(members: &[&str]) -> BTreeSet<String> {
    members.iter().map(ToString::to_string).collect()
}

/// One manager, and what it works on. `S` is an etcd or a cluster of it.
pub struct Rig<S = Etcd> {
    // Before what it writes to.
    manager: Option<Running>,
    pub launch: Launch,
    pub aws: Aws,
    pub etcd: S,
    pub state: TempDir,
    endpoints: String,
}

impl Rig {
    /// One that runs.
    pub async fn start() -> Self {
        let mut rig = Self::idle().await;
        rig.run().await;
        rig
    }

    /// One without a manager, yet.
    pub async fn idle() -> Self {
        let etcd = Etcd::start().await.unwrap();
        let endpoint = etcd.endpoint();
        Rig::on(etcd, &endpoint).await
    }

    /// One that runs and has these members in service in one load balancer,
    /// and has said so.
    pub async fn serving(lb: &str, members: &[&str]) -> Self {
        let rig = Self::start().await;
        rig.aws.create(REGION, lb);
        rig.put(lb, members).await;
        rig.until_serving(lb, members).await;
        rig
    }
}

impl<S: Deref<Target = Client>> Rig<S> {
    /// One without a manager, which is to reach etcd at `endpoints`.
    pub async fn on(etcd: S, endpoints: &str) -> Self {
        let aws = Aws::start().await.unwrap();
        let state = tempfile::tempdir().unwrap();
        Self {
            manager: None,
            launch: Launch::new(endpoints, &aws.url(), state.path()),
            aws,
            etcd,
            state,
            endpoints: endpoints.to_owned(),
        }
    }

    /// An operator's release: of one load balancer, or with `--all`.
    pub async fn release(&self, what: &str) {
        let what = match what {
            "--all" => what.to_owned(),
            lb => format!("elb/{REGION}/{lb}"),
        };
        let endpoints = format!("--endpoints={}", self.endpoints);
        let ended = Launch::bare(&["release", &what, &endpoints, "--wait=20s"]);
        ended.ended().await.said(0, &[]);
    }

    /// Changes how the manager is started next.
    pub fn set(&mut self, change: impl FnOnce(Launch) -> Launch) {
        self.launch = change(self.launch.clone());
    }

    /// Starts the manager.
    pub async fn run(&mut self) {
        self.manager = Some(self.launch.start().await);
    }

    /// The manager, which must have been started.
    pub fn manager(&self) -> &Running {
        self.manager.as_ref().unwrap()
    }

    pub fn manager_mut(&mut self) -> &mut Running {
        self.manager.as_mut().unwrap()
    }

    /// Ends the manager as SIGKILL does.
    pub async fn kill(&mut self) {
        self.manager_mut().kill().await.unwrap();
    }

    /// Ends the manager as SIGTERM does.
    pub async fn stop(&mut self) {
        let manager = self.manager_mut();
        manager.signal(Signal::SIGTERM).unwrap();
        let status = manager.wait(SOON).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// What the manager has logged since it was started.
    pub fn log(&self) -> String {
        self.manager().text(Stream::Stderr)
    }

    /// Puts members into class `multiple`, one by one.
    pub async fn put(&self, lb: &str, members: &[&str]) {
        for member in members {
            self.etcd.put(&key(lb, member), "").await.unwrap();
        }
    }

    pub async fn del(&self, lb: &str, member: &str) {
        assert!(self.etcd.del(&key(lb, member)).await.unwrap());
    }

    pub fn lb(&self, lb: &str) -> LbHandle {
        self.aws.load_balancer(REGION, lb)
    }

    /// Waits until exactly these are registered, none of them draining.
    pub async fn until_registered(&self, lb: &str, members: &[&str]) {
        let wanted = set(members);
        let what = format!("{members:?} registered with {lb}");
        let reached = self
            .aws
            .wait_until(&what, |aws| aws.registered(REGION, lb) == wanted, SOON);
        self.or_panic(reached.await).await;
    }

    /// Waits until the status says that these serve, and nobody else.
    pub async fn until_serving(&self, lb: &str, members: &[&str]) {
        let wanted = set(members);
        let what = format!("{members:?} serving");
        self.until_status(lb, &what, |status| serving(status) == wanted)
            .await;
    }

    /// The status of a load balancer; `Null` if there is none.
    pub async fn status(&self, lb: &str) -> Value {
        let found = self.etcd.get(&status_key(lb)).await.unwrap();
        found.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    /// Waits until the status is so, and gives it.
    pub async fn until_status(
        &self,
        lb: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let key = status_key(lb);
        let look = || async {
            let status = match self.etcd.get(&key).await {
                Ok(None) => Value::Null,
                Ok(Some(text)) => serde_json::from_str(&text).unwrap(),
                Err(error) => return Err(error.to_string()),
            };
            if wanted(&status) {
                return Ok(status);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            Err(status.to_string())
        };
        let what = format!("the status of {lb}: {what}");
        self.or_panic(wait::until(&what, SOON, look).await).await
    }

    /// When a key was last written.
    pub async fn mod_revision(&self, key: &str) -> i64 {
        let command = ["-w", "json", "get", "--", key];
        let found = self.etcd.etcdctl(&command).await.unwrap();
        let found: Value = serde_json::from_str(&found).unwrap();
        found["kvs"][0]["mod_revision"].as_i64().unwrap()
    }

    /// When each key below this prefix was last written, sorted by key.
    pub async fn mod_revisions(&self, prefix: &str) -> Vec<i64> {
        let command = ["-w", "json", "get", "--prefix", "--", prefix];
        let found = self.etcd.etcdctl(&command).await.unwrap();
        let found: Value = serde_json::from_str(&found).unwrap();
        let found = found["kvs"].as_array().unwrap().iter();
        found
            .map(|kv| kv["mod_revision"].as_i64().unwrap())
            .collect()
    }

    /// Waits until this operation of AWS is called, or was.
    pub async fn until_called(&self, operation: &str) {
        let called = self
            .aws
            .wait_for_call(|call| call.operation == operation, SOON);
        self.or_panic(called.await).await;
    }

    /// Waits until a key is gone.
    pub async fn until_gone(&self, key: &str) {
        let look = || async {
            match self.etcd.get(key).await {
                Ok(None) => Ok(()),
                other => {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                    Err(format!("{other:?}"))
                }
            }
        };
        let what = format!("{key} to be gone");
        self.or_panic(wait::until(&what, SOON, look).await).await;
    }

    /// Waits until the manager logs a line with these words.
    pub async fn until_log(&self, words: &str) {
        let line = self
            .manager()
            .wait_for_line(|line| line.contains(words), SOON);
        line.await.unwrap();
    }

    /// CPU time that the manager has used.
    pub fn cpu(&self) -> Duration {
        self.manager().cpu_time().unwrap()
    }

    /// Checks that it did next to nothing for so long. Debug builds under load
    /// are slow; a loop without a pause takes ten times that.
    pub fn assert_idle(&self, before: Duration, during: Duration) {
        let used = self.cpu().saturating_sub(before);
        let log = self.log();
        assert!(used < during / 10, "{used:?} in {during:?}: {log}");
    }

    /// Checks that nobody ever took these out.
    pub fn assert_kept(&self, lb: &str, members: &[&str]) {
        let timeline = self.lb(lb).timeline();
        for member in members {
            assert!(
                timeline.never_deregistered(member),
                "{member} was taken out: {timeline:#?}\n{}",
                self.log()
            );
        }
    }

    async fn or_panic<T>(&self, waited: Result<T, wait::TimedOut>) -> T {
        match waited {
            Ok(value) => value,
            Err(error) => {
                let tree = self.etcd.get_prefix("/lbManager").await;
                panic!("{error}\ntree: {tree:#?}\nlog:\n{}", self.log())
            }
        }
    }
}

/// Who serves, as a status says.
pub fn serving(status: &Value) -> BTreeSet<String> {
    in_state(status, "serving")
}

/// Who is in this state, as a status says.
pub fn in_state(status: &Value, state: &str) -> BTreeSet<String> {
    let members = status["members"].as_object().into_iter().flatten();
    members
        .filter(|(_, known)| known["state"] == state)
        .map(|(member, _)| member.clone())
        .collect()
}

/// Who is withheld, as a status says.
pub fn withheld(status: &Value) -> BTreeSet<String> {
    let withheld = status["withheld"].as_object().into_iter().flatten();
    withheld.map(|(member, _)| member.clone()).collect()
}

/// What a status says is wrong with the tree, in one text.
pub fn problems(status: &Value) -> String {
    let problems = status["problems"].as_array().into_iter().flatten();
    let problems: Vec<&str> = problems.filter_map(Value::as_str).collect();
    problems.join("\n")
}
