//! The operator's subcommands, as processes of their own, on a real etcd.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod answers;
mod members;
mod planning;
mod purging;
mod status;

use std::time::Duration;

use testbed::aws::Aws;
use testbed::etcd::Etcd;
use testbed::lbmanager::{Launch, LbManager};
use testbed::process::{Program, Stream};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

const WEB: &str = "elb/us-east-1/web";

/// An etcd, and `lbmanager` to be run on it.
struct Rig {
    etcd: Etcd,
}

/// What a command said.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Rig {
    async fn start() -> Self {
        Self {
            etcd: Etcd::start().await.unwrap(),
        }
    }

    fn program(&self, args: &[&str]) -> Program {
        lbmanager(&self.etcd.endpoint(), args)
    }

    async fn run(&self, args: &[&str]) -> Answer {
        finish(self.program(args)).await
    }

    /// Runs what is expected to exit 0, and gives its stdout.
    async fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args).await;
        assert_eq!(answer.code, Some(0), "{args:?}: {answer:?}");
        answer.stdout
    }

    /// Runs what is expected to fail so, and gives its stderr.
    async fn fails(&self, code: i32, args: &[&str]) -> String {
        let answer = self.run(args).await;
        assert_eq!(answer.code, Some(code), "{args:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "data of what failed");
        answer.stderr
    }

    /// The value of a key below the prefix.
    async fn value(&self, key: &str) -> Option<String> {
        self.etcd.get(&format!("/lbManager/{key}")).await.unwrap()
    }

    async fn put(&self, key: &str, value: &str) {
        let key = format!("/lbManager/{key}");
        self.etcd.put(&key, value).await.unwrap();
    }

    /// The keys below a load balancer, without its name.
    async fn keys(&self, balancer: &str) -> Vec<String> {
        let below = format!("/lbManager/{balancer}/");
        let found = self.etcd.get_prefix(&below).await.unwrap();
        let keys = found.into_keys();
        keys.map(|key| key[below.len()..].to_owned()).collect()
    }

    /// A field of a key as etcdctl tells it: `mod_revision`, `lease`.
    async fn field(&self, key: &str, field: &str) -> i64 {
        let key = format!("/lbManager/{key}");
        let told = self.etcd.etcdctl(&["get", "-w", "json", &key]).await;
        let told: serde_json::Value = serde_json::from_str(&told.unwrap()).unwrap();
        told["kvs"][0][field].as_i64().unwrap_or(0)
    }

    /// A manager of what AWS has.
    async fn manager(&self, aws: &Aws) -> LbManager {
        let launch = Launch::new(&self.etcd, aws).unwrap();
        launch.args(["--settle=100ms"]).start().await.unwrap()
    }
}

/// Nothing of the environment of the test may matter.
fn lbmanager(endpoint: &str, args: &[&str]) -> Program {
    Program::new(env!("CARGO_BIN_EXE_lbmanager"))
        .env_clear()
        .env("ETCDCTL_ENDPOINTS", endpoint)
        .args(args)
}

async fn finish(program: Program) -> Answer {
    let mut running = program.start().await.unwrap();
    let status = running.wait(DEADLINE).await.unwrap();
    Answer {
        code: status.code(),
        stdout: running.text(Stream::Stdout),
        stderr: running.text(Stream::Stderr),
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}
