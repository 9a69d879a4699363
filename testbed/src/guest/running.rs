//! A guest that runs a program.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::ChildStdin;
use tokio::time::{Instant, timeout, timeout_at};

use super::capture::{Capture, Listener};
use super::kernel::{self, Kernel};
use super::{Finished, Guest, files, processor};
use crate::child::Child;
use crate::error::{Error, Result};
use crate::host::root;
use crate::wait::{self, TimedOut};

/// A boot takes 2 seconds; a machine with much else to do may need some times as long.
const BOOT_LIMIT: Duration = Duration::from_mins(1);
/// A whole host takes 10.
const BOOT_LIMIT_OF_HOST: Duration = Duration::from_mins(4);
/// For what was written and has to be read.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// How many lines of the console an error quotes.
const QUOTED: usize = 20;

/// A program that runs in a guest. When this is dropped both are gone; also when this process is
/// killed.
#[derive(Debug)]
pub struct Running {
    command: String,
    kernel: Kernel,
    end: Instant,
    time_limit: Duration,
    stdout: Capture,
    stderr: Capture,
    /// Before the directory, which it writes to.
    child: Child,
    /// Closed by the kernel when this process ends, and then the guest ends too.
    _lifeline: Option<ChildStdin>,
    directory: TempDir,
}

impl Running {
    /// `listener` hears standard output.
    pub(super) async fn start(
        guest: &Guest,
        command: &[OsString],
        listener: Option<Listener>,
    ) -> Result<Self> {
        let words = files::display(command);
        if files::is_missing(guest, &command[0])? {
            return Err(Error::Misuse(format!(
                "there is no program {}: build or install it first",
                command[0].display()
            )));
        }
        let directory = files::prepare(guest, command)?;
        let mut child = spawn(guest, directory.path()).await?;
        let lifeline = child.take_input();
        let (stdout, stderr) = child.take_output();
        let [stdout, stderr] = [stdout.map(boxed), stderr.map(boxed)]
            .map(|pipe| pipe.expect("they are pipes, and nobody took them yet"));
        let echo = |to| guest.echo.then(|| passed_on(to));
        let mut running = Self {
            command: words,
            kernel: guest.kernel,
            end: Instant::now(),
            time_limit: guest.time_limit,
            stdout: Capture::new(stdout, listener.or_else(|| echo(Standard::Output))),
            stderr: Capture::new(stderr, echo(Standard::Error)),
            child,
            _lifeline: lifeline,
            directory,
        };
        let limit = if guest.host {
            BOOT_LIMIT_OF_HOST
        } else {
            BOOT_LIMIT
        };
        running.boot(limit).await?;
        Ok(running)
    }

    /// The temporary directory of this guest; all its processes have it in their command line.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its standard output has `text` in it.
    pub async fn wait_for_output(&self, text: &str, deadline: Duration) -> Result<()> {
        let mut changes = self.stdout.changes();
        let found = async {
            while !self.stdout.text().contains(text) {
                // The sender is borrowed from `self`, so it cannot be gone.
                let _ = changes.changed().await;
            }
        };
        timeout(deadline, found).await.map_err(|_| {
            let what = format!("`{}` in a guest to write {text:?}", self.command);
            let last = self.last_words();
            TimedOut {
                what,
                deadline,
                last,
            }
            .into()
        })
    }

    /// Waits until it has ended.
    pub async fn wait(mut self) -> Result<Finished> {
        let left = self.end.saturating_duration_since(Instant::now());
        let status = match self.child.wait(left).await {
            Ok(status) => status,
            Err(Error::TimedOut(_)) => return Err(self.took_too_long()),
            Err(error) => return Err(error),
        };
        let drained = Instant::now() + READ_LIMIT;
        for stream in [&self.stdout, &self.stderr] {
            // A program that outlives the kernel's end might hold it open, in a namespace.
            let _ = timeout_at(drained, stream.ended()).await;
        }
        Ok(Finished {
            status: self.status().ok_or_else(|| self.ended_early(status))?,
            command: self.command,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        })
    }

    /// Waits until the program runs, or has run.
    async fn boot(&mut self, limit: Duration) -> Result<()> {
        let file = self.directory.path().join("status");
        let child = &self.child;
        let booted = wait::until("the program to be started", limit, || async {
            // In this order: it may start and end between the two.
            let ended = child.has_ended();
            let runs = std::fs::read(&file).is_ok_and(|status| !status.is_empty());
            match (runs, ended) {
                (true, _) => Ok(true),
                (false, true) => Ok(false),
                (false, false) => Err(()),
            }
        });
        match booted.await {
            Ok(true) => {
                self.end = Instant::now() + self.time_limit;
                Ok(())
            }
            Ok(false) => {
                let status = self.child.wait(READ_LIMIT).await?;
                Err(self.ended_early(status))
            }
            Err(TimedOut { deadline, .. }) => Err(TimedOut {
                what: format!("{} to boot", self.kernel.name()),
                deadline,
                last: self.console(),
            }
            .into()),
        }
    }

    /// How the program ended, which is told when it did.
    fn status(&self) -> Option<ExitStatus> {
        let text = std::fs::read_to_string(self.directory.path().join("status")).ok()?;
        let status = text.lines().nth(1)?.parse().ok()?;
        Some(ExitStatus::from_raw(status))
    }

    fn ended_early(&self, status: ExitStatus) -> Error {
        Error::Ended {
            program: format!("{}, before `{}` had,", self.kernel.name(), self.command),
            status,
            output: [self.console(), self.last_words()].join("\n"),
        }
    }

    fn took_too_long(&self) -> Error {
        TimedOut {
            what: format!("`{}` in a guest to end", self.command),
            deadline: self.time_limit,
            last: format!("it runs, and wrote:\n{}", self.last_words()),
        }
        .into()
    }

    /// The end of what the program wrote.
    fn last_words(&self) -> String {
        let streams = [self.stdout.text(), self.stderr.text()];
        let ends = streams.iter().map(|text| tail(text, QUOTED));
        ends.collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    /// What the kernel wrote: of a panic where it is said why, without the stack.
    fn console(&self) -> String {
        let console = std::fs::read(self.directory.path().join("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let text = match console.split_once("Call Trace:") {
            Some((before, _)) if before.contains("Kernel panic") => before,
            _ => &console,
        };
        tail(text, QUOTED)
    }
}

async fn spawn(guest: &Guest, directory: &Path) -> Result<Child> {
    let root = if guest.host {
        Some(root::image().await?)
    } else {
        None
    };
    let kernel = guest.kernel.command(guest, directory, root.as_deref())?;
    let mut command = Child::command(Path::new("/bin/sh"))?;
    command.arg(directory.join("host.sh")).arg(directory);
    command.args(kernel);
    if guest.kernel == Kernel::Guest {
        command.env("TMPDIR", kernel::folder_for_memory(guest.memory_mib));
    }
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = Child::spawn(guest.kernel.name(), command).await?;
    if guest.kernel == Kernel::Guest {
        processor::pin(child.pid());
    }
    Ok(child)
}

fn boxed(
    pipe: impl tokio::io::AsyncRead + Unpin + Send + 'static,
) -> Box<dyn tokio::io::AsyncRead + Unpin + Send> {
    Box::new(pipe)
}

#[derive(Clone, Copy)]
enum Standard {
    Output,
    Error,
}

/// Hears a stream and writes it to this process' own.
fn passed_on(to: Standard) -> Listener {
    Box::new(move |bytes| {
        // Nobody to write to is no reason to stop.
        let _ = match to {
            Standard::Output => std::io::stdout().write_all(bytes),
            Standard::Error => std::io::stderr().write_all(bytes),
        };
    })
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
