//! A program under test, run as a process of its own.

mod output;
mod usage;

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

pub use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use self::output::Output;
pub use self::output::{Line, Stream};
pub use self::usage::Memory;
pub(crate) use self::usage::cpu_time_of_tree;
use crate::child::Child;
use crate::error::{Error, Result};
use crate::wait::TimedOut;

/// Variables beginning so may change what a program of this workspace does, and belong to whoever
/// runs the test.
const FOREIGN: [&str; 10] = [
    "AWS_",
    "COREOS_",
    "DOCKER_",
    "ETCDCTL_",
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "STATE_DIRECTORY",
    "JOURNAL_STREAM",
    "RUST_LOG",
    "NO_COLOR",
];

/// Says how a program is to be run.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    command: Result<Command>,
    stderr: Option<PathBuf>,
}

impl Program {
    /// A program at a path, to be run with this process' environment.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            command: Child::command(&path),
            path,
            stderr: None,
        }
    }

    /// A program of this workspace, without what of the caller's environment could matter to it.
    pub fn ours(name: &str) -> Result<Self> {
        let mut program = Self::new(workspace_binary(name)?);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().into_owned();
            let is_proxy = text.to_ascii_lowercase().ends_with("_proxy");
            if is_proxy || FOREIGN.iter().any(|foreign| text.starts_with(foreign)) {
                program = program.env_remove(name);
            }
        }
        Ok(program)
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

    /// Appends its standard error to this file instead of capturing it.
    #[must_use]
    pub fn stderr_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.stderr = Some(path.into());
        self
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
        command.stdout(Stdio::piped());
        command.stderr(match &self.stderr {
            Some(path) => Stdio::from(appended(path)?),
            None => Stdio::piped(),
        });
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

    /// The last lines that were captured.
    pub fn last_words(&self) -> String {
        self.output.tail()
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
}

fn appended(path: &Path) -> Result<File> {
    let open = OpenOptions::new().create(true).append(true).open(path);
    open.map_err(Error::io("write", path))
}

/// The path of a program of this workspace, which must have been built.
///
/// Looked for in `CARGO_BIN_EXE_<name>`, then where cargo put the running test or program.
pub fn workspace_binary(name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(format!("CARGO_BIN_EXE_{name}")) {
        return Ok(path.into());
    }
    built(Path::new(name), || format!("-p {name}"))
}

/// As [`workspace_binary`], for an example of a package; it is built with all of the package's
/// tests, and otherwise by itself.
pub fn workspace_example(package: &str, name: &str) -> Result<PathBuf> {
    let path = Path::new("examples").join(name);
    built(&path, || format!("-p {package} --example {name}"))
}

/// A file that cargo put beside the running test or program, or what to build.
fn built(path: &Path, arguments: impl FnOnce() -> String) -> Result<PathBuf> {
    let current = std::env::current_exe().map_err(Error::io("find", "the running program"))?;
    let directories = current.ancestors().skip(1).take(2);
    let found = directories
        .map(|directory| directory.join(path))
        .find(|path| path.is_file());
    let profile = if cfg!(debug_assertions) {
        ""
    } else {
        " --release"
    };
    let missing = || {
        let (name, arguments) = (path.display(), arguments());
        Error::Misuse(format!(
            "{name} is not built: run `cargo build {arguments}{profile}`"
        ))
    };
    found.ok_or_else(missing)
}

/// As [`Program::new`], for a program found in `PATH`; `install` is the command that installs it.
pub fn installed(program: &str, install: &str) -> Result<Program> {
    Ok(Program::new(OsString::from(crate::error::find_program(
        program, install,
    )?)))
}
