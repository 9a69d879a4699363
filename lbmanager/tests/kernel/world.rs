//! A manager on real etcd and a real kernel.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testbed::etcd::Etcd;
use testbed::netns::Namespace;
use testbed::process::{Program, Running, Signal, Stream, workspace_binary};
use testbed::wait;

pub const SOON: Duration = Duration::from_secs(30);
pub const VIP: &str = "10.8.0.1:80";
/// The region that the tests use.
pub const REGION: &str = "edge";
/// The host that most tests have, and so its own region.
pub const HOST: &str = "host-1";

/// The key of a member in the region that the tests use.
pub fn key(service: &str, class: &str, member: &str) -> String {
    format!("/lbManager/ipvs/{REGION}/{service}/{class}/{member}")
}

/// The key of a service's options in that region.
pub fn config(service: &str) -> String {
    format!("/lbManager/ipvs/{REGION}/{service}/config")
}

/// `lbmanager run` of one host, or none yet.
pub struct Manager {
    args: Vec<String>,
    /// Its state, and the programs that it finds first.
    directory: TempDir,
    running: Option<Running>,
}

impl Manager {
    /// One that serves the host's own region alone.
    pub fn new(host: &str, etcd: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        legacy_iptables(directory.path());
        let args = [
            "run".to_owned(),
            "--backends=ipvs".to_owned(),
            "--resync=2s".to_owned(),
            format!("--host-id={host}"),
            format!("--endpoints={etcd}"),
            format!("--state-dir={}", directory.path().join("state").display()),
        ];
        Self {
            args: args.to_vec(),
            directory,
            running: None,
        }
    }

    /// With the region [`REGION`] as well.
    pub fn shared(mut self) -> Self {
        self.args.push(format!("--ipvs-region={REGION}"));
        self
    }

    /// Another host ID from the next start on.
    pub fn rename(&mut self, host: &str) {
        self.args.retain(|arg| !arg.starts_with("--host-id="));
        self.args.push(format!("--host-id={host}"));
    }

    /// Starts it here, with more arguments, and waits until it has read the
    /// tree.
    pub async fn run(&mut self, more: &[&str]) {
        let program = Program::new(workspace_binary("lbmanager").unwrap());
        self.started(program, more).await;
    }

    /// The same on another host.
    pub async fn run_on(&mut self, place: &Namespace) {
        let program = place.program(workspace_binary("lbmanager").unwrap());
        self.started(program.unwrap(), &[]).await;
    }

    /// Starts it here, and waits for nothing.
    pub async fn start(&self) -> Running {
        let program = Program::new(workspace_binary("lbmanager").unwrap());
        self.program(program, &[]).start().await.unwrap()
    }

    /// The same on another host.
    pub async fn start_on(&self, place: &Namespace) -> Running {
        let program = place.program(workspace_binary("lbmanager").unwrap());
        self.program(program.unwrap(), &[]).start().await.unwrap()
    }

    /// Its state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Has it find this script by the name of a program.
    pub fn replace_program(&self, name: &str, script: &str) {
        let program = self.directory.path().join(name);
        let new = program.with_extension("new");
        std::fs::write(&new, script).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&new, executable).unwrap();
        std::fs::rename(&new, &program).unwrap();
    }

    /// More arguments take the place of those for the same flag.
    fn program(&self, program: Program, more: &[&str]) -> Program {
        let flag = |arg: &str| arg.split('=').next().map(str::to_owned);
        let is_replaced = |arg: &&String| more.iter().any(|other| flag(other) == flag(arg));
        let args = self.args.iter().filter(|arg| !is_replaced(arg));
        let legacy = self.directory.path().display();
        program
            .env_clear()
            .env("PATH", format!("{legacy}:/usr/sbin:/usr/bin:/sbin:/bin"))
            .args(args)
            .args(more)
    }

    async fn started(&mut self, program: Program, more: &[&str]) {
        let program = self.program(program, more);
        let running = program.start().await.unwrap();
        let read = running.wait_for_line(|line| line.contains("the tree has been read"), SOON);
        read.await.unwrap();
        self.running = Some(running);
    }

    /// Its process, which must have been started.
    pub fn process(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Ends it as SIGKILL does.
    pub async fn kill(&mut self) {
        if let Some(mut manager) = self.running.take() {
            manager.kill().await.unwrap();
        }
    }

    /// Ends it as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(mut manager) = self.running.take() {
            manager.signal(Signal::SIGTERM).unwrap();
            manager.wait(SOON).await.unwrap();
        }
    }

    /// What it has logged since it was started.
    pub fn log(&self) -> String {
        let manager = self.running.as_ref();
        manager.map_or(String::new(), |manager| manager.text(Stream::Stderr))
    }
}

/// The kernel of a guest has no nf_tables, which `iptables` may be made for.
fn legacy_iptables(directory: &Path) {
    for family in ["iptables", "ip6tables"] {
        for work in ["", "-save", "-restore"] {
            let legacy = format!("/usr/sbin/{family}-legacy{work}");
            symlink(legacy, directory.join(format!("{family}{work}"))).unwrap();
        }
    }
}

/// An etcd, and the manager of this host.
pub struct World {
    // Before what it writes to.
    pub manager: Manager,
    pub etcd: Etcd,
}

impl World {
    /// One that runs and serves the region [`REGION`].
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, the manager with more arguments.
    pub async fn start_with(more: &[&str]) -> Self {
        let etcd = Etcd::start().await.unwrap();
        let mut manager = Manager::new(HOST, &etcd.endpoint()).shared();
        manager.run(more).await;
        Self { manager, etcd }
    }

    /// Puts a member of a service, without options.
    pub async fn put_into(&self, service: &str, member: &str) {
        let key = key(service, "multiple", member);
        self.etcd.put(&key, "").await.unwrap();
    }

    /// Puts a member of the service [`VIP`].
    pub async fn put(&self, member: &str, value: &str) {
        let key = key(VIP, "multiple", member);
        self.etcd.put(&key, value).await.unwrap();
    }

    /// Deletes a member of the service [`VIP`].
    pub async fn del(&self, member: &str) {
        assert!(self.etcd.del(&key(VIP, "multiple", member)).await.unwrap());
    }

    /// Gives an order as an operator does.
    pub async fn order(&self, args: &[&str]) {
        let program = Program::new(workspace_binary("lbmanager").unwrap());
        let endpoints = format!("--endpoints={}", self.etcd.endpoint());
        let program = program.env_clear().args(args).arg(endpoints);
        let mut running = program.start().await.unwrap();
        let status = running.wait(SOON).await.unwrap();
        assert!(status.success(), "{args:?}: {}", running.last_words());
    }

    /// The status of a service of [`REGION`]; `Null` if there is none.
    pub async fn status(&self, service: &str) -> Value {
        let key = format!("/lbManager-status/hosts/{HOST}/ipvs/{REGION}/{service}");
        let text = self.etcd.get(&key).await.unwrap();
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    /// Waits until the status is so, and gives it.
    pub async fn until_status(
        &self,
        service: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let what = format!("the status of {service}: {what}");
        let reached = wait::until(&what, SOON, || async {
            let status = self.status(service).await;
            if wanted(&status) {
                Ok(status)
            } else {
                Err(status.to_string())
            }
        });
        let reached = reached.await;
        reached.unwrap_or_else(|error| panic!("{error}\n{}", self.manager.log()))
    }

    /// Waits until the manager logs a line with these words.
    pub async fn until_log(&self, words: &str) {
        let manager = self.manager.process();
        let line = manager.wait_for_line(|line| line.contains(words), SOON);
        line.await.unwrap();
    }
}
