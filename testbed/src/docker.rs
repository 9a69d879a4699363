//! Docker: the machine's own daemon where one answers, else a private one.
//!
//! The private one runs in namespaces of its own, so that nothing it starts or mounts outlives it,
//! and has no bridge, so that it gets into no other's way: its containers use `--network host` or
//! `none`.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::Command;

use crate::child::Child;
use crate::error::{Error, Result, find_program};
use crate::process::workspace_binary;
use crate::wait;

const INSTALL: &str = "apt-get install docker.io, or run `make test-tools`";
const START_DEADLINE: Duration = Duration::from_mins(1);
const END_DEADLINE: Duration = Duration::from_secs(10);

/// A Docker daemon that answers. Clones share it; a private one ends with the last of them and of
/// its containers and images.
#[derive(Debug, Clone)]
pub struct Docker(Arc<Daemon>);

#[derive(Debug)]
struct Daemon {
    /// The private one. Before the directory that it writes to.
    private: Option<Child>,
    directory: TempDir,
}

/// A container that is removed, by force, when this is dropped.
#[derive(Debug)]
pub struct Container {
    docker: Docker,
    id: String,
}

/// An image that is removed when this is dropped.
#[derive(Debug)]
pub struct Image {
    docker: Docker,
    tag: String,
}

impl Docker {
    /// The machine's own daemon, or else a private one.
    pub async fn start_or_use() -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let mut daemon = Daemon {
            private: None,
            directory,
        };
        if daemon.answers().await.is_ok() {
            return Ok(Self(Arc::new(daemon)));
        }
        daemon.start().await?;
        Ok(Self(Arc::new(daemon)))
    }

    /// What programs have to be given in their environment to reach it.
    pub fn env(&self) -> Option<(&'static str, String)> {
        self.0.env()
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

    /// Builds the image of a program of this workspace as it is now, by a name of its own.
    pub async fn build(&self, program: &str) -> Result<Image> {
        let tag = format!("{program}:test-{}", std::process::id());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/build");
        let mut command = Command::new(&script);
        command.arg(program).arg(workspace_binary(program)?);
        command.env("IMAGE", &tag).envs(self.env());
        command.stdin(Stdio::null()).kill_on_drop(true);
        finish(command, &format!("docker/build {program}")).await?;
        Ok(Image {
            docker: self.clone(),
            tag,
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

impl Image {
    /// Its name.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.docker.run_now(&["rmi", "--force", &self.tag]);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(unshare) = &self.private else {
            return;
        };
        // dockerd is the first process of its namespace: all others go with it, and unshare ends
        // when they are gone. Only then does nobody write to the directory any more.
        let pid = unshare.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let dockerd = children
            .ok()
            .and_then(|list| list.split(' ').next()?.parse().ok());
        if let Some(dockerd) = dockerd {
            let _ = kill(Pid::from_raw(dockerd), Signal::SIGKILL);
        }
        let end = Instant::now() + END_DEADLINE;
        while !unshare.has_ended() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Daemon {
    fn env(&self) -> Option<(&'static str, String)> {
        let socket = self.directory.path().join("docker.sock");
        let host = format!("unix://{}", socket.display());
        self.private.as_ref().map(|_| ("DOCKER_HOST", host))
    }

    async fn answers(&self) -> Result<String> {
        self.run(&["version", "--format", "{{.Server.Version}}"])
            .await
    }

    async fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(find_program("docker", INSTALL)?);
        command.args(args).envs(self.env());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = finish(command, &format!("docker {}", args.join(" "))).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        // Logs come out where the program wrote them to.
        let is_logs = args.first() == Some(&"logs");
        Ok(if is_logs { stdout + &stderr } else { stdout })
    }

    async fn start(&mut self) -> Result<()> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::Misuse(
                "no Docker daemon answers, and only root can start one: start the machine's, or \
                 be root"
                    .to_owned(),
            ));
        }
        let dockerd = find_program("dockerd", INSTALL)?;
        self.private = Some(self.spawn(&dockerd).await?);
        let ready = wait::until("dockerd to answer", START_DEADLINE, || async {
            let ended = self.private.as_ref().is_none_or(Child::has_ended);
            match self.answers().await {
                Ok(_) => Ok(true),
                Err(_) if ended => Ok(false),
                Err(error) => Err(error.to_string()),
            }
        });
        if ready.await? {
            return Ok(());
        }
        let mut child = self.private.take().expect("it was started above");
        let status = child.wait(START_DEADLINE).await?;
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        Err(Error::Ended {
            program: "dockerd".to_owned(),
            status,
            output: lines[lines.len().saturating_sub(15)..].join("\n"),
        })
    }

    async fn spawn(&self, dockerd: &Path) -> Result<Child> {
        let unshare = find_program("unshare", "apt-get install util-linux")?;
        let mut command = Child::command(&unshare)?;
        command.args(["--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]);
        command.arg(dockerd);
        let directory = self.directory.path();
        let host = format!("unix://{}", directory.join("docker.sock").display());
        command.arg("--host").arg(host);
        for (option, file) in [
            ("--pidfile", "pid"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
        ] {
            command.arg(option).arg(directory.join(file));
        }
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command.arg("--ip-forward=false");
        let log = directory.join("log");
        let output = std::fs::File::create(&log).map_err(Error::io("write", &log))?;
        let errors = output.try_clone().map_err(Error::io("write", &log))?;
        command.stdout(output).stderr(errors);
        Child::spawn("dockerd", command).await
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
