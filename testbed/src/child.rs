//! A child process that never outlives whoever started it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::process::{Child as TokioChild, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::{Error, Result, find_program};
use crate::wait::TimedOut;

type Job = Box<dyn FnOnce() + Send>;

/// The kernel kills a child when the *thread* that started it ends. Tests come and go on threads of
/// their own, so all children are started by this one, which ends with the process.
static SPAWNER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<Job>();
    std::thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || jobs.into_iter().for_each(|job| job()))
        .expect("a thread can be started where processes can");
    sender
});

/// A running process. When dropped it is killed with all it started in its group; when this process
/// dies first, the kernel kills it. What it leaves behind when it ends by itself is left alone.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    pid: Pid,
    inner: TokioChild,
}

impl Child {
    /// A command for `program` that dies with this process; to be given to [`Child::spawn`].
    pub(crate) fn command(program: &Path) -> Result<Command> {
        // `setpriv` because asking the kernel between fork and exec needs unsafe code here.
        let setpriv = find_program("setpriv", "apt-get install util-linux")?;
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        // A group of its own, so that what it starts in turn can be ended with it.
        command
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts a command made by [`Child::command`].
    pub(crate) async fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let (answer, started) = oneshot::channel();
        let runtime = Handle::current();
        let job: Job = Box::new(move || {
            let _guard = runtime.enter();
            // An answer nobody waits for any more drops the child, which kills it.
            let _ = answer.send(command.spawn());
        });
        SPAWNER
            .send(job)
            .expect("the spawner lives as long as the process");
        let inner = started
            .await
            .expect("the spawner answers every job")
            .map_err(|source| Error::Spawn {
                program: name.to_owned(),
                source,
            })?;
        let id = inner.id().expect("a child not yet waited for has an id");
        let pid = Pid::from_raw(i32::try_from(id).expect("process ids are small"));
        Ok(Self {
            name: name.to_owned(),
            pid,
            inner,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Takes the pipe of standard input, where it was asked for.
    pub(crate) fn take_input(&mut self) -> Option<ChildStdin> {
        self.inner.stdin.take()
    }

    /// Takes the pipes of standard output and error, where they were asked for.
    pub(crate) fn take_output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.inner.stdout.take(), self.inner.stderr.take())
    }

    /// Whether it has ended; how, [`Child::wait`] tells.
    pub(crate) fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        self.inner.id().is_none()
            || !matches!(waitid(Id::Pid(self.pid), flags), Ok(WaitStatus::StillAlive))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        // Once it is reaped its id may belong to somebody else.
        if self.inner.id().is_none() {
            return Err(Error::Misuse(format!(
                "cannot send {signal} to {}: it has ended",
                self.name
            )));
        }
        kill(self.pid, signal).map_err(|errno| Error::io("signal", &self.name)(errno.into()))
    }

    /// SIGSTOP, and waits until none of its threads runs any more.
    pub(crate) fn stop_in_its_tracks(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(self.pid), flags)
            .map(drop)
            .map_err(|errno| Error::io("stop", &self.name)(errno.into()))
    }

    pub(crate) async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(deadline, self.inner.wait()).await {
            Ok(status) => status.map_err(Error::io("wait for", &self.name)),
            Err(_) => Err(TimedOut {
                what: format!("{} to end", self.name),
                deadline,
                last: format!("process {} still running", self.pid),
            }
            .into()),
        }
    }

    /// SIGKILL to all of its group, and waits until it is gone. Nothing happens if it has ended.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.kill_group();
        self.inner
            .wait()
            .await
            .map(drop)
            .map_err(Error::io("kill", &self.name))
    }

    /// Whether there was something to kill.
    fn kill_group(&self) -> bool {
        // Once it is reaped its id may belong to somebody else.
        self.inner.id().is_some() && killpg(self.pid, Signal::SIGKILL).is_ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.kill_group() {
            return;
        }
        // Its files may be removed right after this, so it must no longer write them. Left to be
        // reaped by tokio, which still counts on it.
        let _ = waitid(
            Id::Pid(self.pid),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    async fn sleeper() -> Child {
        let mut command = Child::command(Path::new("/bin/sleep")).unwrap();
        command.arg("600");
        Child::spawn("sleep", command).await.unwrap()
    }

    fn runs(pid: u32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    }

    #[tokio::test]
    async fn a_dropped_child_is_gone_at_once() {
        let child = sleeper().await;
        let pid = child.pid();
        assert!(runs(pid));
        drop(child);
        assert!(!runs(pid));
    }

    #[tokio::test]
    async fn what_a_child_started_goes_with_it() {
        let mut command = Child::command(Path::new("/bin/sh")).unwrap();
        command
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped());
        let mut child = Child::spawn("sh", command).await.unwrap();
        let mut lines = BufReader::new(child.take_output().0.unwrap()).lines();
        let grandchild = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        assert!(runs(grandchild));
        drop(child);
        let gone = wait::until_true(
            "the grandchild to be gone",
            Duration::from_secs(5),
            || async { !runs(grandchild) },
        );
        gone.await.unwrap();
    }

    #[tokio::test]
    async fn a_stopped_child_is_killed_too() {
        let child = sleeper().await;
        child.signal(Signal::SIGSTOP).unwrap();
        let pid = child.pid();
        drop(child);
        assert!(!runs(pid));
    }

    #[tokio::test]
    async fn a_child_outlives_the_thread_that_asked_for_it() {
        let runtime = Handle::current();
        let thread = std::thread::spawn(move || runtime.block_on(sleeper()));
        let mut child = tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap();
        assert!(!child.has_ended());
        assert!(child.wait(Duration::from_millis(100)).await.is_err());
        child.kill().await.unwrap();
        assert!(child.has_ended());
        assert!(child.signal(Signal::SIGTERM).is_err());
    }
}
