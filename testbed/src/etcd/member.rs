//! One etcd process: where it listens, where it keeps its data, and its life.

use std::fs::{File, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::certs::Certificates;
use crate::child::Child;
use crate::error::{Error, Result, find_program};
use crate::{http, ports, wait};

pub(super) const INSTALL: &str = "apt-get install etcd-server etcd-client";
const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(15);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The ports of 127.0.0.1 that a member keeps through all its restarts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub client: u16,
    pub peer: u16,
    /// Plain HTTP also where clients must use TLS: this is how a start is noticed.
    pub metrics: u16,
}

impl Ports {
    pub(super) fn free() -> Result<Self> {
        Ok(Self {
            client: ports::free()?,
            peer: ports::free()?,
            metrics: ports::free()?,
        })
    }

    pub(super) fn peer_url(self) -> String {
        format!("http://127.0.0.1:{}", self.peer)
    }
}

/// What a member is started with each time.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub name: String,
    pub ports: Ports,
    pub data_dir: PathBuf,
    pub log: PathBuf,
    pub token: String,
    /// `name=peer-url` of all members.
    pub initial_cluster: String,
    pub tls: Option<Certificates>,
    /// Where clients are served beside loopback.
    pub address: Option<IpAddr>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

impl Setup {
    pub(super) fn client_url(&self, address: IpAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", SocketAddr::new(address, self.ports.client))
    }

    fn client_urls(&self) -> String {
        let addresses = [LOOPBACK].into_iter().chain(self.address);
        let urls: Vec<String> = addresses.map(|address| self.client_url(address)).collect();
        urls.join(",")
    }

    fn arguments(&self) -> Vec<String> {
        let client = self.client_urls();
        let peer = self.ports.peer_url();
        let pairs = [
            ("--name", self.name.clone()),
            ("--data-dir", self.data_dir.display().to_string()),
            ("--listen-client-urls", client.clone()),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer.clone()),
            ("--initial-advertise-peer-urls", peer),
            (
                "--listen-metrics-urls",
                format!("http://127.0.0.1:{}", self.ports.metrics),
            ),
            ("--initial-cluster", self.initial_cluster.clone()),
            ("--initial-cluster-token", self.token.clone()),
            ("--logger", "zap".to_owned()),
        ];
        let mut arguments: Vec<String> = pairs
            .into_iter()
            .flat_map(|(k, v)| [k.to_owned(), v])
            .collect();
        if let Some(tls) = &self.tls {
            arguments.push("--client-cert-auth".to_owned());
            let files = [
                ("--trusted-ca-file", &tls.ca),
                ("--cert-file", &tls.server.cert),
                ("--key-file", &tls.server.key),
            ];
            arguments.extend(
                files
                    .into_iter()
                    .flat_map(|(k, v)| [k.to_owned(), v.display().to_string()]),
            );
        }
        arguments.extend(self.args.iter().cloned());
        arguments
    }

    fn log_file(&self) -> Result<File> {
        let open = OpenOptions::new().create(true).append(true).open(&self.log);
        open.map_err(Error::io("write", &self.log))
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// One etcd process, running or not.
#[derive(Debug)]
pub struct Member {
    pub(super) setup: Setup,
    child: Option<Child>,
    paused: bool,
}

impl Member {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            child: None,
            paused: false,
        }
    }

    /// The URL that clients use.
    pub fn endpoint(&self) -> String {
        self.setup.client_url(LOOPBACK)
    }

    /// The sum of what etcd counts under this name, over those of its labels that contain the text:
    /// `metric("grpc_server_msg_sent_total", "\"Watch\"")`.
    pub async fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.setup.ports.metrics);
        let answer = http::get(&url).await?;
        let of_name = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
        };
        let lines = answer.body.lines().filter(of_name);
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// The name it has in its cluster.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.setup.data_dir
    }

    /// Everything it has logged, over all its restarts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.setup.log).unwrap_or_default()
    }

    /// The id of its process; `None` when it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Whether it runs and is not paused.
    pub fn is_up(&self) -> bool {
        self.child.is_some() && !self.paused
    }

    /// Stops it in its tracks (SIGSTOP): its connections stay open and silent.
    pub fn pause(&mut self) -> Result<()> {
        self.running()?.stop_in_its_tracks()?;
        self.paused = true;
        Ok(())
    }

    /// Lets it go on after [`Member::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.running()?.signal(Signal::SIGCONT)?;
        self.paused = false;
        Ok(())
    }

    /// SIGKILL, and waits until it is gone. Nothing happens if it does not run.
    pub async fn kill(&mut self) -> Result<()> {
        self.paused = false;
        match self.child.take() {
            Some(mut child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM, and waits until it is gone. Nothing happens if it does not run.
    pub async fn stop(&mut self) -> Result<()> {
        if self.paused {
            self.resume()?;
        }
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        child.signal(Signal::SIGTERM)?;
        child.wait(STOP_DEADLINE).await.map(drop)
    }

    pub(super) async fn spawn(&mut self) -> Result<()> {
        let mut command = Child::command(&find_program("etcd", INSTALL)?)?;
        command.args(self.setup.arguments());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCD_") {
                command.env_remove(name);
            }
        }
        command.envs(self.setup.env.iter().map(|(k, v)| (k, v)));
        command.stdout(Stdio::null()).stderr(self.setup.log_file()?);
        self.child = Some(Child::spawn("etcd", command).await?);
        Ok(())
    }

    /// Waits until it has a leader and answers, or says why it ended.
    pub(super) async fn wait_ready(&mut self) -> Result<()> {
        let health = format!("http://127.0.0.1:{}/health", self.setup.ports.metrics);
        let what = format!("etcd to be healthy at {health}");
        let child = self.running()?;
        let ready = wait::until(&what, START_DEADLINE, || async {
            if child.has_ended() {
                return Ok(false);
            }
            match http::get(&health).await {
                Ok(answer) if answer.body.contains("\"true\"") => Ok(true),
                Ok(answer) => Err(answer.body),
                Err(error) => Err(error.to_string()),
            }
        });
        if ready.await? {
            return Ok(());
        }
        let mut child = self.child.take().expect("it was there before the wait");
        let status = child.wait(STOP_DEADLINE).await?;
        Err(Error::Ended {
            program: "etcd".to_owned(),
            status,
            output: self.setup.log_tail(),
        })
    }

    fn running(&self) -> Result<&Child> {
        let stopped = || Error::Misuse(format!("etcd {} does not run", self.setup.name));
        self.child.as_ref().ok_or_else(stopped)
    }
}
