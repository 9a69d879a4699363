//! An AWS manager on the same host, with simulated AWS.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tempfile::TempDir;
use testbed::aws::Aws;
use testbed::lbmanager::environment;
use testbed::process::{Program, Running, Signal, Stream, workspace_binary};

use crate::world::SOON;

pub const REGION: &str = "eu-west-1";

/// The key of a member of a classic load balancer.
pub fn elb_key(balancer: &str, member: &str) -> String {
    format!("/lbManager/elb/{REGION}/{balancer}/multiple/{member}")
}

/// `lbmanager run` for AWS, or none yet.
pub struct AwsManager {
    // Before what it writes to.
    running: Option<Running>,
    pub aws: Aws,
    endpoint: String,
    pub host: &'static str,
    pub state: PathBuf,
    _directory: TempDir,
}

impl AwsManager {
    pub async fn new(host: &'static str, endpoint: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            running: None,
            aws: Aws::start().await.unwrap(),
            endpoint: endpoint.to_owned(),
            host,
            state: directory.path().join("state"),
            _directory: directory,
        }
    }

    pub async fn run(&mut self) {
        let program = Program::new(workspace_binary("lbmanager").unwrap())
            .env_clear()
            .envs(environment(&self.aws))
            .args(["run", "--backends=elb", "--settle=1s", "--resync=2s"])
            .arg(format!("--host-id={}", self.host))
            .arg(format!("--endpoints={}", self.endpoint))
            .arg(format!("--state-dir={}", self.state.display()));
        self.running = Some(program.start().await.unwrap());
    }

    /// Ends it as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.signal(Signal::SIGTERM).unwrap();
            running.wait(SOON).await.unwrap();
        }
    }

    /// Ends it as SIGKILL does.
    pub async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().await.unwrap();
        }
    }

    /// Waits until exactly these are registered.
    pub async fn until_registered(&self, balancer: &str, members: &[&str]) {
        let wanted: BTreeSet<String> = members.iter().map(ToString::to_string).collect();
        let what = format!("{members:?} registered with {balancer}");
        let registered = |aws: &Aws| aws.registered(REGION, balancer) == wanted;
        let reached = self.aws.wait_until(&what, registered, SOON).await;
        reached.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }

    pub fn log(&self) -> String {
        let running = self.running.as_ref();
        running.map_or(String::new(), |running| running.text(Stream::Stderr))
    }
}
