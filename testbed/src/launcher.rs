//! `launcher run` of this workspace, for a Docker and an etcd.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::etcd::Client;
use crate::notify::NotifySocket;
use crate::process::{Program, Running, Signal, Stream};

const HOST_ID: &str = "testbed";

/// Says how an instance is to be run, and keeps what outlives a process of it: the state directory,
/// and the file with its definition.
#[derive(Debug)]
pub struct Launch {
    service: String,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
    directory: Arc<TempDir>,
}

impl Launch {
    /// `launcher run SERVICE`, as on a host called `testbed` that others reach at 127.0.0.1.
    pub fn new(service: &str) -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        Ok(Self {
            service: service.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            directory: Arc::new(directory),
        })
    }

    /// Which service it is of.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// With this Docker; else with the machine's own.
    #[must_use]
    pub fn docker(mut self, docker: &Docker) -> Self {
        self.env.extend(docker.env());
        self
    }

    /// With this etcd.
    #[must_use]
    pub fn etcd(self, etcd: &Client) -> Self {
        self.args(["--endpoints", &etcd.endpoints().join(",")])
    }

    /// With this definition, in a file of the host.
    pub fn defined(self, definition: &str) -> Result<Self> {
        self.define(definition)?;
        let url = format!("file://{}", self.definitions().display());
        Ok(self.args(["--definitions", &url]))
    }

    /// Writes another definition to that file.
    pub fn define(&self, definition: &str) -> Result<()> {
        let directory = self.definitions();
        std::fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
        let file = directory.join(format!("{}.yaml", self.service));
        std::fs::write(&file, definition).map_err(Error::io("write", &file))
    }

    /// Further arguments.
    #[must_use]
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Starts it, with what an earlier process of it left. It need not be ready yet.
    pub async fn start(&self) -> Result<Launcher> {
        let notify = NotifySocket::bind()?;
        let program = Program::ours("launcher")?
            .args(["run", &self.service, "--host-id", HOST_ID])
            .args(["--host-ip", "127.0.0.1", "--state-dir"])
            .arg(self.directory.path().join("state"))
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs([notify.env()]);
        Ok(Launcher {
            running: program.start().await?,
            notify,
            _directory: Arc::clone(&self.directory),
        })
    }

    fn definitions(&self) -> PathBuf {
        self.directory.path().join("services")
    }
}

/// A running `launcher run`, killed when dropped; its container stays then.
#[derive(Debug)]
pub struct Launcher {
    // Before the directory, so that nothing writes there any more when it is removed.
    running: Running,
    notify: NotifySocket,
    _directory: Arc<TempDir>,
}

impl Launcher {
    /// Its process.
    pub fn process(&self) -> &Running {
        &self.running
    }

    /// What it tells systemd.
    pub fn notify(&self) -> &NotifySocket {
        &self.notify
    }

    /// Waits until it says that it is ready.
    pub async fn wait_ready(&self, deadline: Duration) -> Result<()> {
        let ready = self.notify.wait_for(|state| state == "READY=1", deadline);
        tokio::select! {
            ready = ready => match ready {
                Ok(_) => Ok(()),
                Err(error) => Err(Error::Misuse(format!("{error}\n{}", self.log()))),
            },
            () = self.ended() => Err(Error::Misuse(format!("it ended:\n{}", self.log()))),
        }
    }

    /// Waits until STATUS holds this.
    pub async fn wait_for_status(&self, words: &str, deadline: Duration) -> Result<()> {
        let says = |state: &str| state.starts_with("STATUS=") && state.contains(words);
        match self.notify.wait_for(says, deadline).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Misuse(format!("{error}\n{}", self.log()))),
        }
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.running.signal(Signal::SIGTERM)?;
        self.running.wait(deadline).await
    }

    /// How it ended, by itself.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.running.wait(deadline).await
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        self.running.kill().await
    }

    /// What it wrote to stderr, the container's own among it.
    pub fn log(&self) -> String {
        self.running.text(Stream::Stderr)
    }

    async fn ended(&self) {
        while !self.running.has_ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
