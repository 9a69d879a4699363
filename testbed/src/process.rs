//! A program under test, run as a process of its own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::child::Child;
use crate::error::{Error, Result};
use crate::wait::TimedOut;

/// How many lines of output an error quotes.
const QUOTED: usize = 20;

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// Where it was written to.
    pub stream: Stream,
    /// The line, without its end.
    pub text: String,
}

/// Memory that a process uses, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it that is in RAM.
    pub rss: u64,
    /// What no other process shares.
    pub private: u64,
}

/// Says how a program is to be run.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    command: Result<Command>,
}

impl Program {
    /// A program at a path, to be run with this process' environment.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            command: Child::command(&path),
            path,
        }
    }

    /// A further argument.
    #[must_use]
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    /// Further arguments.
    #[must_use]
    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.with(|command| {
            command.args(args);
        })
    }

    /// An environment variable.
    #[must_use]
    pub fn env(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.with(|command| {
            command.env(name, value);
        })
    }

    /// Environment variables.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.with(|command| {
            command.envs(vars);
        })
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn env_remove(self, name: impl AsRef<OsStr>) -> Self {
        self.with(|command| {
            command.env_remove(name);
        })
    }

    /// Starts from an empty environment instead of this process'.
    #[must_use]
    pub fn env_clear(self) -> Self {
        self.with(|command| {
            command.env_clear();
        })
    }

    /// Where it runs.
    #[must_use]
    pub fn current_dir(self, path: impl AsRef<Path>) -> Self {
        self.with(|command| {
            command.current_dir(path);
        })
    }

    /// Starts it.
    pub async fn start(self) -> Result<Running> {
        let name = self.path.display().to_string();
        if !self.path.is_file() {
            return Err(Error::Misuse(format!(
                "there is no program {name}: build or install it first"
            )));
        }
        let mut command = self.command?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Child::spawn(&name, command).await?;
        let output = Output::default();
        let (stdout, stderr) = child.take_output();
        if let Some(stdout) = stdout {
            output.read(stdout, Stream::Stdout);
        }
        if let Some(stderr) = stderr {
            output.read(stderr, Stream::Stderr);
        }
        Ok(Running {
            name,
            child,
            output,
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        if let Ok(command) = &mut self.command {
            change(command);
        }
        self
    }
}

/// A started program, killed when dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    output: Output,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.child.has_ended()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.child.signal(signal)
    }

    /// Waits until it ends and all its output is read; it goes on running if it does not in time.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + deadline;
        match self.child.wait(deadline).await {
            Ok(status) => {
                self.output
                    .ended(end.saturating_duration_since(Instant::now()))
                    .await;
                Ok(status)
            }
            Err(Error::TimedOut(error)) => {
                let last = format!("it runs, and wrote:\n{}", self.output.tail());
                Err(TimedOut { last, ..error }.into())
            }
            Err(error) => Err(error),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await
    }

    /// All lines written so far, as they were read.
    pub fn lines(&self) -> Vec<Line> {
        self.output.lines()
    }

    /// All text of one stream so far.
    pub fn text(&self, stream: Stream) -> String {
        let lines = self
            .lines()
            .into_iter()
            .filter(|line| line.stream == stream);
        lines.map(|line| line.text + "\n").collect()
    }

    /// Waits for a line that `wanted` is true of, and gives the first; one written before counts.
    pub async fn wait_for_line(
        &self,
        mut wanted: impl FnMut(&str) -> bool,
        deadline: Duration,
    ) -> Result<Line> {
        let mut changed = self.output.changed.subscribe();
        let found = async {
            loop {
                changed.mark_unchanged();
                match self.lines().into_iter().find(|line| wanted(&line.text)) {
                    Some(line) => return line,
                    // The sender is borrowed from `self`, so it cannot be gone.
                    None => drop(changed.changed().await),
                }
            }
        };
        timeout(deadline, found).await.map_err(|_| {
            let what = format!("a line from {}", self.name);
            TimedOut {
                what,
                deadline,
                last: self.output.tail(),
            }
            .into()
        })
    }

    /// CPU time used so far, in user and kernel mode. Exact to a hundredth of a second or so.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        let unexpected = || Error::answer(format!("/proc/{}/stat", self.pid()), stat.clone());
        // The name, in parentheses, may contain anything; user and system time are the 14th and 15th.
        let (_, rest) = stat.rsplit_once(") ").ok_or_else(unexpected)?;
        let fields: Vec<u64> = rest
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|f| f.parse().ok())
            .collect();
        let [user, system] = fields[..] else {
            return Err(unexpected());
        };
        let ticks = sysconf(SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .and_then(|ticks| u64::try_from(ticks).ok());
        Ok(Duration::from_millis(
            (user + system) * 1000 / ticks.unwrap_or(100),
        ))
    }

    /// Memory in use now.
    pub fn memory(&self) -> Result<Memory> {
        let rollup = self.proc("smaps_rollup")?;
        let bytes = |name: &str| -> u64 {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes =
                line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kilobytes.unwrap_or(0) * 1024
        };
        Ok(Memory {
            rss: bytes("Rss:"),
            private: bytes("Private_Clean:") + bytes("Private_Dirty:"),
        })
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(&path).map_err(Error::io("read", path))
    }
}

/// What a process has written, filled by a task for each stream.
#[derive(Debug, Default, Clone)]
struct Output {
    lines: Arc<Mutex<Vec<Line>>>,
    changed: watch::Sender<()>,
    /// Streams still open: the tasks hold a receiver each.
    open: watch::Sender<()>,
}

impl Output {
    fn read(&self, pipe: impl AsyncRead + Unpin + Send + 'static, stream: Stream) {
        let (lines, changed, open) = (
            Arc::clone(&self.lines),
            self.changed.clone(),
            self.open.subscribe(),
        );
        tokio::spawn(async move {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while pipe
                .read_until(b'\n', &mut bytes)
                .await
                .is_ok_and(|length| length > 0)
            {
                let text = String::from_utf8_lossy(&bytes)
                    .trim_end_matches('\n')
                    .to_owned();
                let line = Line {
                    at: Instant::now(),
                    stream,
                    text,
                };
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                changed.send_replace(());
                bytes.clear();
            }
            drop(open);
        });
    }

    fn lines(&self) -> Vec<Line> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until both streams are read to their end; a grandchild may hold them open, hence the
    /// deadline.
    async fn ended(&self, deadline: Duration) {
        let _ = timeout(deadline, self.open.closed()).await;
    }

    fn tail(&self) -> String {
        let lines = self.lines();
        let last = &lines[lines.len().saturating_sub(QUOTED)..];
        last.iter()
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The path of a program of this workspace, which must have been built.
///
/// Looked for in `CARGO_BIN_EXE_<name>`, then where cargo put the running test or program.
pub fn workspace_binary(name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(format!("CARGO_BIN_EXE_{name}")) {
        return Ok(path.into());
    }
    let current = std::env::current_exe().map_err(Error::io("find", "the running program"))?;
    let directories = current.ancestors().skip(1).take(2);
    let found = directories
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    let missing = || Error::Misuse(format!("{name} is not built: run `cargo build -p {name}`"));
    found.ok_or_else(missing)
}

/// As [`Program::new`], for a program found in `PATH`; `install` is the command that installs it.
pub fn installed(program: &str, install: &str) -> Result<Program> {
    Ok(Program::new(OsString::from(crate::error::find_program(
        program, install,
    )?)))
}
