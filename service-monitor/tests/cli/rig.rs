//! An etcd, and `service-monitor` to be run on it.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::etcd::Etcd;
use testbed::process::{Program, Running, Signal, Stream};
use testbed::wait;

/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_mins(1);

/// The address that a watch is told to publish.
pub const HOST: &str = "10.0.0.7";

pub struct Rig {
    pub etcd: Etcd,
}

/// What a command said.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Rig {
    pub async fn start() -> Self {
        Self {
            etcd: Etcd::start().await.unwrap(),
        }
    }

    pub fn program(&self, args: &[&str]) -> Program {
        service_monitor(&self.etcd.endpoint(), args)
    }

    pub async fn run(&self, args: &[&str]) -> Answer {
        finish(self.program(args)).await
    }

    /// Runs what is expected to exit 0, and gives its stdout.
    pub async fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args).await;
        assert_eq!(answer.code, Some(0), "{args:?}: {answer:?}");
        answer.stdout
    }

    /// Runs what is expected to fail so, and gives its stderr.
    pub async fn fails(&self, code: i32, args: &[&str]) -> String {
        let answer = self.run(args).await;
        assert_eq!(answer.code, Some(code), "{args:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "data of what failed");
        answer.stderr
    }

    /// Starts `watch` of the instance `id` of `web`.
    pub async fn watch(&self, id: &str, url: &str, more: &[&str]) -> Running {
        self.watch_program(id, url, more).start().await.unwrap()
    }

    pub fn watch_program(&self, id: &str, url: &str, more: &[&str]) -> Program {
        self.program(&["watch", "--label=web", "--host-ip", HOST])
            .args(["--service-id", id, "--monitor-url", url])
            .args(more)
    }

    /// Puts an instance of `web` as a watch does.
    pub async fn put(&self, id: &str, address: &str, state: &str) {
        let value = json!({
            "host": address, "service_id": id, "state": state, "info": {},
            "since": "2026-11-20T12:00:00Z"
        });
        let value = value.to_string();
        self.etcd.put(&key(id), &value).await.unwrap();
    }

    /// What the key of an instance holds.
    pub async fn value(&self, id: &str) -> Option<Value> {
        let text = self.etcd.get(&key(id)).await.unwrap()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Waits until the key says that the instance is in this state.
    pub async fn until(&self, id: &str, state: &str) {
        let what = format!("{id} to be {state}");
        wait::until(&what, SOON, || async {
            match self.value(id).await {
                Some(value) if value["state"] == state => Ok(()),
                other => Err(other),
            }
        })
        .await
        .unwrap();
    }

    /// Waits until `hosts` says so.
    pub async fn until_listed(&self, expected: &str, limit: Duration) {
        wait::until(&format!("hosts to say {expected:?}"), limit, || async {
            let said = self.ok(&["hosts", "--label=web"]).await;
            if said == expected { Ok(()) } else { Err(said) }
        })
        .await
        .unwrap();
    }
}

/// The key of an instance of `web`.
pub fn key(id: &str) -> String {
    format!("/service-monitor/web/hosts/{id}")
}

/// SIGTERM, and it ends as it should.
pub async fn terminate(running: &mut Running) {
    running.signal(Signal::SIGTERM).unwrap();
    let status = running.wait(SOON).await.unwrap();
    assert!(status.success(), "{status}: {}", running.last_words());
}

/// Nothing of the environment of the test may matter.
pub fn service_monitor(endpoint: &str, args: &[&str]) -> Program {
    Program::new(env!("CARGO_BIN_EXE_service-monitor"))
        .env_clear()
        .env("ETCDCTL_ENDPOINTS", endpoint)
        .args(args)
}

pub async fn finish(program: Program) -> Answer {
    let mut running = program.start().await.unwrap();
    let status = running.wait(SOON).await.unwrap();
    Answer {
        code: status.code(),
        stdout: running.text(Stream::Stdout),
        stderr: running.text(Stream::Stderr),
    }
}
