//! A manager on real etcd and a real kernel, with `ipvsadm` as the witness.

use std::collections::BTreeSet;
use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::process::{Program, Running, Signal, Stream, installed, workspace_binary};
use testbed::wait;

pub const SOON: Duration = Duration::from_secs(30);
/// Where the site of the tests with traffic is.
pub const VIP: &str = testbed::site::VIRTUAL;
/// The region that the tests use.
pub const REGION: &str = "edge";

pub struct World {
    pub etcd: Etcd,
    state: tempfile::TempDir,
    manager: Option<Running>,
}

pub fn key(service: &str, class: &str, member: &str) -> String {
    format!("/lbManager/ipvs/{REGION}/{service}/{class}/{member}")
}

pub async fn run(program: &str, args: &str) -> String {
    let mut running = installed(program, "make test-tools")
        .unwrap()
        .args(args.split_ascii_whitespace())
        .start()
        .await
        .unwrap();
    let status = running.wait(SOON).await.unwrap();
    let errors = running.text(Stream::Stderr);
    assert!(status.success(), "{program} {args}: {errors}");
    running.text(Stream::Stdout)
}

/// What `ipvsadm` would write to make the table again, in any order.
pub async fn saved() -> BTreeSet<String> {
    let text = run("ipvsadm", "-Sn").await;
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Of one service: each real server with its weight.
pub async fn servers(service: &str) -> BTreeSet<String> {
    let prefix = format!("-a -t {service} -r ");
    let saved = saved().await;
    let lines = saved.iter().filter_map(|line| line.strip_prefix(&prefix));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let server = words.next().unwrap();
            format!("{server} {}", words.next_back().unwrap())
        })
        .collect()
}

pub fn set(servers: &[&str]) -> BTreeSet<String> {
    servers.iter().map(|server| (*server).to_owned()).collect()
}

pub async fn until_servers(service: &str, wanted: &[&str]) {
    let wanted = set(wanted);
    let what = format!("{service} with {wanted:?}");
    wait::until(&what, SOON, || async {
        let found = servers(service).await;
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

impl World {
    pub async fn start() -> Self {
        let mut world = Self {
            etcd: Etcd::start().await.unwrap(),
            state: tempfile::tempdir().unwrap(),
            manager: None,
        };
        world.run().await;
        world
    }

    pub async fn run(&mut self) {
        self.run_with(&[]).await;
    }

    pub async fn run_with(&mut self, more: &[&str]) {
        let program = Program::new(workspace_binary("lbmanager").unwrap())
            .args(["run", "--backends=ipvs", "--host-id=host-1", "--resync=2s"])
            .arg(format!("--ipvs-region={REGION}"))
            .arg(format!("--endpoints={}", self.etcd.endpoint()))
            .arg("--state-dir")
            .arg(self.state.path())
            .args(more);
        let running = program.start().await.unwrap();
        let read = running.wait_for_line(|line| line.contains("the tree has been read"), SOON);
        read.await.unwrap();
        self.manager = Some(running);
    }

    pub async fn kill(&mut self) {
        if let Some(mut manager) = self.manager.take() {
            manager.kill().await.unwrap();
        }
    }

    pub async fn stop(&mut self) {
        if let Some(mut manager) = self.manager.take() {
            manager.signal(Signal::SIGTERM).unwrap();
            manager.wait(SOON).await.unwrap();
        }
    }

    pub fn log(&self) -> String {
        let manager = self.manager.as_ref();
        manager.map_or(String::new(), |manager| manager.text(Stream::Stderr))
    }

    pub async fn put(&self, member: &str, value: &str) {
        let key = key(VIP, "multiple", member);
        self.etcd.put(&key, value).await.unwrap();
    }

    pub async fn del(&self, member: &str) {
        let key = key(VIP, "multiple", member);
        self.etcd.del(&key).await.unwrap();
    }

    pub async fn status(&self, service: &str) -> serde_json::Value {
        let key = format!("/lbManager-status/lb/ipvs/{REGION}/{service}/host-1");
        let text = self.etcd.get(&key).await.unwrap();
        text.map_or(serde_json::Value::Null, |text| {
            serde_json::from_str(&text).unwrap()
        })
    }
}
