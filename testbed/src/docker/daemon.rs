//! The daemon itself: the machine's, or one in namespaces of its own.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, Command};
use tokio::sync::Mutex;

use super::link::Link;
use super::{INSTALL, finish};
use crate::child::Child;
use crate::error::{Error, Result, find_program};
use crate::process::cpu_time_of_tree;
use crate::wait;

const START_DEADLINE: Duration = Duration::from_mins(1);
const END_DEADLINE: Duration = Duration::from_secs(30);
/// The first process of the daemon's namespace: each line that it reads starts the daemon. Without
/// it, containers could not outlive a daemon that is started again.
const INIT: &str = "while read -r _; do \"$@\" </dev/null; done";

/// A daemon, and the directory of everything that is its own.
#[derive(Debug)]
pub(super) struct Daemon {
    /// The private one. Before the directory that it writes to.
    private: Option<Private>,
    keeps_containers: bool,
    directory: TempDir,
}

#[derive(Debug)]
struct Private {
    unshare: Child,
    /// To the first process of the namespace.
    orders: Mutex<ChildStdin>,
    link: Option<Link>,
}

impl Daemon {
    /// The machine's own daemon, or else a private one without a network.
    pub(super) async fn start_or_use() -> Result<Self> {
        let mut daemon = Self::none()?;
        if daemon.answers().await.is_err() {
            daemon.start(None).await?;
        }
        Ok(daemon)
    }

    /// A private one with a network of its own, whose containers outlive it or not.
    pub(super) async fn start_linked(keeps_containers: bool) -> Result<Self> {
        let mut daemon = Self::none()?;
        daemon.keeps_containers = keeps_containers;
        daemon.start(Some(Link::choose())).await?;
        Ok(daemon)
    }

    fn none() -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        Ok(Self {
            private: None,
            keeps_containers: false,
            directory,
        })
    }

    pub(super) fn env(&self) -> Option<(&'static str, String)> {
        let host = format!("unix://{}", self.socket().display());
        self.private.as_ref().map(|_| ("DOCKER_HOST", host))
    }

    /// Where this process is, seen from the private network.
    pub(super) fn gateway(&self) -> Option<std::net::Ipv4Addr> {
        Some(self.private.as_ref()?.link.as_ref()?.outside())
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    async fn answers(&self) -> Result<String> {
        let args = ["version", "--format", "{{.Server.Version}}"];
        self.run(&args).await
    }

    pub(super) async fn run(&self, args: &[&str]) -> Result<String> {
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

    async fn start(&mut self, link: Option<Link>) -> Result<()> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::Misuse(
                "no Docker daemon answers, and only root can start one: start the machine's, or \
                 be root"
                    .to_owned(),
            ));
        }
        let dockerd = find_program("dockerd", INSTALL)?;
        let mut unshare = self.spawn(&dockerd, link.as_ref()).await?;
        let input = unshare.take_input().expect("it was asked for");
        let pid = unshare.pid();
        self.private = Some(Private {
            unshare,
            orders: Mutex::new(input),
            link,
        });
        if let Some(link) = self.private.as_ref().and_then(|own| own.link.as_ref()) {
            own_network(pid).await?;
            link.join(pid).await?;
        }
        self.resume().await?;
        if let Some(link) = self.private.as_ref().and_then(|own| own.link.as_ref()) {
            link.admit(pid).await?;
        }
        Ok(())
    }

    /// Starts the daemon in its namespaces, and waits until it answers.
    pub(super) async fn resume(&self) -> Result<()> {
        let private = self.private()?;
        let order = private.orders.lock().await.write_all(b"\n").await;
        order.map_err(Error::io("start", "dockerd"))?;
        let answering = wait::until("dockerd to answer", START_DEADLINE, || async {
            match self.answers().await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        });
        answering.await.map_err(|error| {
            let log =
                std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let words = lines[lines.len().saturating_sub(15)..].join("\n");
            Error::Misuse(format!("{error}; its last words:\n{words}"))
        })
    }

    /// Ends the daemon by a signal, and waits until it is gone. Containers go on if it lets them.
    pub(super) async fn end(&self, signal: Signal) -> Result<()> {
        let pid = self.signal(signal)?;
        let gone = || async { !Path::new(&format!("/proc/{pid}")).exists() };
        wait::until_true("dockerd to end", END_DEADLINE, gone).await?;
        Ok(())
    }

    pub(super) fn cpu_time(&self) -> Result<Duration> {
        cpu_time_of_tree(self.private()?.unshare.pid())
    }

    /// Sends the daemon alone a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<Pid> {
        let missing = || Error::Misuse("dockerd has no signals to get: it does not run".to_owned());
        let pid = self.private()?.dockerd().ok_or_else(missing)?;
        kill(pid, signal).map_err(|errno| Error::io("signal", "dockerd")(errno.into()))?;
        Ok(pid)
    }

    fn private(&self) -> Result<&Private> {
        let machines = "this is the machine's own daemon: nobody else's to start and end";
        let private = self.private.as_ref();
        private.ok_or_else(|| Error::Misuse(machines.to_owned()))
    }

    async fn spawn(&self, dockerd: &Path, link: Option<&Link>) -> Result<Child> {
        let unshare = find_program("unshare", "apt-get install util-linux")?;
        let mut command = Child::command(&unshare)?;
        command.args(["--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]);
        if link.is_some() {
            command.arg("--net");
        }
        command.args(["sh", "-c", INIT, "init"]).arg(dockerd);
        let directory = self.directory.path();
        let host = format!("unix://{}", self.socket().display());
        command.arg("--host").arg(host);
        for (option, file) in [
            ("--pidfile", "pid"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
        ] {
            command.arg(option).arg(directory.join(file));
        }
        match link {
            Some(link) => command.args(link.options()),
            None => command.args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ]),
        };
        if self.keeps_containers {
            command.arg("--live-restore");
        }
        let log = directory.join("log");
        let output = std::fs::File::create(&log).map_err(Error::io("write", &log))?;
        let errors = output.try_clone().map_err(Error::io("write", &log))?;
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        Child::spawn("dockerd", command).await
    }
}

impl Private {
    /// The first process of the namespace.
    fn init(&self) -> Option<u32> {
        children(self.unshare.pid()).next()
    }

    fn dockerd(&self) -> Option<Pid> {
        let is_dockerd = |pid: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim() == "dockerd")
        };
        let pid = children(self.init()?).find(is_dockerd)?;
        Some(Pid::from_raw(i32::try_from(pid).ok()?))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // All others go with the first one, and unshare ends when they are gone. Only then does
        // nobody write to the directory any more.
        if let Some(init) = self.init().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(init), Signal::SIGKILL);
        }
        let end = Instant::now() + END_DEADLINE;
        while !self.unshare.has_ended() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn children(pid: u32) -> impl Iterator<Item = u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    let pids: Vec<u32> = list
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect();
    pids.into_iter()
}

/// Waits until a process has left this one's network.
async fn own_network(pid: u32) -> Result<()> {
    let network = |pid: &str| {
        let file = std::fs::metadata(format!("/proc/{pid}/ns/net"));
        file.map(|file| file.ino()).ok()
    };
    let here = network("self");
    let left = || async {
        let there = network(&pid.to_string());
        there.is_some() && there != here
    };
    let what = "dockerd to have a network of its own";
    Ok(wait::until_true(what, START_DEADLINE, left).await?)
}
