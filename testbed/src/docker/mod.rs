//! Docker: the machine's own daemon, or a private one.
//!
//! A private one runs in namespaces of its own, so that nothing it starts or mounts outlives it, and
//! gets into no other's way. [`Docker::start_or_use`] gives the machine's where one answers; else
//! the private one is in the machine's network and has no bridge: its containers use `--network
//! host` or `none`. [`Docker::start_linked`] always gives a private one, in a network of its own with
//! all that Docker sets up there; it and its containers are reached from here and reach this machine.

mod daemon;
mod image;
mod link;
mod registry;

use std::net::Ipv4Addr;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

pub use nix::sys::signal::Signal;

use self::daemon::Daemon;
pub use self::image::Image;
pub use self::registry::{Gives, Registry};
use crate::error::{Error, Result};

const INSTALL: &str = "apt-get install docker.io, or run `make test-tools`";

/// A Docker daemon that answers. Clones share it; a private one ends with the last of them and of
/// its containers and images.
#[derive(Debug, Clone)]
pub struct Docker(Arc<Daemon>);

/// A daemon that goes on when this is dropped.
#[derive(Debug)]
pub struct Frozen(Docker);

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.0.0.signal(Signal::SIGCONT);
    }
}

/// A container that is removed, by force, when this is dropped.
#[derive(Debug)]
pub struct Container {
    docker: Docker,
    id: String,
}

impl Docker {
    /// The machine's own daemon, or else a private one without a network.
    pub async fn start_or_use() -> Result<Self> {
        Ok(Self(Arc::new(Daemon::start_or_use().await?)))
    }

    /// A private one with a network of its own. It keeps containers while it is restarted.
    pub async fn start_linked() -> Result<Self> {
        Ok(Self(Arc::new(Daemon::start_linked(true).await?)))
    }

    /// As [`Docker::start_linked`], but its containers end when it does, as Docker's do by default.
    pub async fn start_ending() -> Result<Self> {
        Ok(Self(Arc::new(Daemon::start_linked(false).await?)))
    }

    /// Stops a private daemon in its tracks (SIGSTOP) until the guard is dropped: it takes
    /// connections, and says nothing.
    pub fn freeze(&self) -> Result<Frozen> {
        self.0.signal(Signal::SIGSTOP)?;
        Ok(Frozen(self.clone()))
    }

    /// Ends a private daemon by a signal, and waits until it is gone.
    pub async fn end(&self, signal: Signal) -> Result<()> {
        self.0.end(signal).await
    }

    /// Starts a private daemon that was ended, and waits until it answers.
    pub async fn resume(&self) -> Result<()> {
        self.0.resume().await
    }

    /// The address of this machine as a linked daemon and its containers see it.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.0.gateway()
    }

    /// What programs have to be given in their environment to reach it.
    pub fn env(&self) -> Option<(&'static str, String)> {
        self.0.env()
    }

    /// CPU time that a private daemon and all that it started have used so far, in user and kernel
    /// mode, those included that have ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.0.cpu_time()
    }

    /// Runs `docker` with these arguments to its end, and gives what it wrote.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        self.0.run(args).await
    }

    /// Starts a container in the background; the arguments are those of `docker run`.
    pub async fn container(&self, args: &[&str]) -> Result<Container> {
        let id = self.run(&[&["run", "--detach"], args].concat()).await?;
        Ok(Container {
            docker: self.clone(),
            id: id.trim().to_owned(),
        })
    }

    /// For drops, which cannot wait for tasks.
    fn run_now(&self, args: &[&str]) {
        let mut command = std::process::Command::new("docker");
        command.args(args).envs(self.env());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let _ = command.status();
    }
}

impl Container {
    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Everything that it has written.
    pub async fn logs(&self) -> Result<String> {
        self.docker.run(&["logs", &self.id]).await
    }

    /// Stops it as Docker does, and gives the exit status of its program.
    pub async fn stop(&self) -> Result<i32> {
        self.docker.run(&["stop", &self.id]).await?;
        let status = self.docker.run(&["wait", &self.id]).await?;
        let unexpected = |error: std::num::ParseIntError| {
            Error::answer("docker wait", format!("{status:?}: {error}"))
        };
        status.trim().parse().map_err(unexpected)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let args = ["rm", "--force", "--volumes", &self.id];
        self.docker.run_now(&args);
    }
}

/// Runs it to its end, which must be a good one.
async fn finish(mut command: Command, words: &str) -> Result<Output> {
    let failed = |source| Error::Spawn {
        program: words.to_owned(),
        source,
    };
    let output = command.output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(output);
    }
    Err(Error::Command {
        command: words.to_owned(),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
