//! `lbmanager run` of this workspace, against an etcd and simulated AWS, or this kernel.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::aws::Aws;
use crate::error::{Error, Result};
use crate::etcd::Client;
use crate::process::{Program, Running, Signal};
use crate::{http, ports, wait};

const PROGRAM: &str = "lbmanager";
/// How many lines of its log an error quotes.
const QUOTED: usize = 30;
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// The `lbmanager` of this workspace, without arguments, in an environment that leads to this AWS
/// and in which nothing else of the caller's is left that could matter.
pub fn program(aws: &Aws) -> Result<Program> {
    Ok(Program::ours(PROGRAM)?.envs(environment(aws)))
}

/// What leads any client of AWS to the simulator.
pub fn environment(aws: &Aws) -> [(&'static str, String); 6] {
    let nowhere = || "/dev/null".to_owned();
    [
        ("AWS_ENDPOINT_URL", aws.url()),
        ("AWS_ACCESS_KEY_ID", "testbed".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "testbed".to_owned()),
        ("AWS_CONFIG_FILE", nowhere()),
        ("AWS_SHARED_CREDENTIALS_FILE", nowhere()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

/// Says how a manager is to be run.
#[derive(Debug)]
pub struct Launch {
    program: Program,
    url: String,
    state: TempDir,
    log: Option<PathBuf>,
}

impl Launch {
    /// `lbmanager run` that serves its metrics and keeps its state in a temporary directory.
    pub fn new(etcd: &Client, aws: &Aws) -> Result<Self> {
        Self::of(program(aws)?, etcd)
    }

    /// The same for the virtual services of this kernel alone: see [`guest`](crate::guest).
    pub fn of_kernel(etcd: &Client) -> Result<Self> {
        Ok(Self::of(Program::ours(PROGRAM)?, etcd)?.args(["--backends", "ipvs"]))
    }

    fn of(program: Program, etcd: &Client) -> Result<Self> {
        let state = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let listen = format!("127.0.0.1:{}", ports::free()?);
        let program = program
            .args(["run", "--endpoints", &etcd.endpoints().join(",")])
            .args(["--listen", &listen, "--host-id", "testbed", "--state-dir"])
            .arg(state.path());
        Ok(Self {
            program,
            url: format!("http://{listen}"),
            state,
            log: None,
        })
    }

    /// Further arguments.
    #[must_use]
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.program = self.program.args(args);
        self
    }

    /// Appends its log to this file.
    #[must_use]
    pub fn log_to(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        self.program = self.program.stderr_to(&path);
        self.log = Some(path);
        self
    }

    /// Starts it; it need not be ready yet.
    pub async fn start(self) -> Result<LbManager> {
        Ok(LbManager {
            running: self.program.start().await?,
            url: self.url,
            log: self.log,
            _state: self.state,
        })
    }
}

/// A running `lbmanager run`, killed when dropped.
#[derive(Debug)]
pub struct LbManager {
    // Before the directory, so that nothing writes there any more when it is removed.
    running: Running,
    url: String,
    log: Option<PathBuf>,
    _state: TempDir,
}

impl LbManager {
    /// Its process.
    pub fn process(&self) -> &Running {
        &self.running
    }

    /// Where it serves `/metrics`, `/healthz` and `/readyz`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it says that it is ready.
    pub async fn wait_ready(&self, deadline: Duration) -> Result<()> {
        let url = format!("{}/readyz", self.url);
        let ready = wait::until("lbmanager to be ready", deadline, || async {
            match http::get(&url).await {
                Ok(answer) if answer.status.is_success() => Ok(Ok(())),
                _ if self.running.has_ended() => Ok(Err(self.ended())),
                Ok(answer) => Err(answer.body),
                Err(error) => Err(error.to_string()),
            }
        });
        ready.await?
    }

    /// Waits until the named metric, labels included, has this value.
    pub async fn wait_for_metric(&self, name: &str, value: f64, deadline: Duration) -> Result<()> {
        let what = format!("the metric {name} to be {value}");
        let reached = wait::until(&what, deadline, || async {
            match self.metric(name).await {
                // Whole numbers are exact.
                Ok(Some(found)) if (found - value).abs() < f64::EPSILON => Ok(Ok(())),
                _ if self.running.has_ended() => Ok(Err(self.ended())),
                found => Err(found.map_err(|error| error.to_string())),
            }
        });
        reached.await?
    }

    /// The value of a metric such as `lbmanager_balancers{state="busy"}`, if there is one.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let answer = http::get(&format!("{}/metrics", self.url)).await?;
        let mut values = answer.body.lines().filter_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            value.trim().parse().ok()
        });
        Ok(values.next_back())
    }

    /// SIGTERM; whether it ended as it should.
    pub async fn stop(&mut self) -> Result<bool> {
        self.running.signal(Signal::SIGTERM)?;
        let status = self.running.wait(STOP_DEADLINE).await?;
        Ok(status.success())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let Some(log) = &self.log else {
            return self.running.last_words();
        };
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(QUOTED)..].join("\n")
    }

    fn ended(&self) -> Error {
        let words = self.last_words();
        Error::Misuse(format!(
            "lbmanager ended by itself; its last words:\n{words}"
        ))
    }
}
