//! A command that ends when it has to.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command as StdCommand, ExitCode};
use std::time::Duration;

use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getppid};
use presence::model::Revision;
use presence::process::deadline::Deadline;
use presence::process::exit::Failure;
use presence::process::systemd;
use tokio::process::{Child as Process, Command};
use tokio::time::timeout;

/// What the command finds the fencing token in.
const TOKEN: &str = "SERVICE_MONITOR_FENCING_TOKEN";

/// As a shell has it for what cannot be run, or is not there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Flags of the program between us and the command: the kernel is to be told
/// by the child itself that it ends with its parent.
#[derive(Debug, Clone, Args)]
pub struct DieWithArgs {
    /// The parent
    parent: i32,

    /// The command and its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Becomes the command; returns only if that fails.
pub fn die_with(args: &DieWithArgs) -> Failure {
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        return Failure::unexpected(error).context("cannot be told of the parent's end");
    }
    if getppid() != Pid::from_raw(args.parent) {
        return Failure::silent(CANNOT_RUN);
    }
    let [program, arguments @ ..] = args.command.as_slice() else {
        return Failure::usage("no command");
    };
    let error = StdCommand::new(program).args(arguments).exec();
    let code = match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => CANNOT_RUN,
    };
    Failure::new(code, error).context(format!("cannot run {}", program.display()))
}

/// The command as it runs, in a process group of its own.
pub(super) struct Child {
    process: Process,
    group: Pid,
}

impl Child {
    /// To be called by the thread that lives as long as the process.
    pub fn start(command: &[OsString], token: Revision) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::io("find", "this program"))?;
        let mut between = Command::new(&own);
        between
            .args(["die-with", &std::process::id().to_string(), "--"])
            .args(command)
            .env(TOKEN, token.to_string())
            .process_group(0)
            .kill_on_drop(true);
        systemd::scrub(between.as_std_mut());
        let process = between
            .spawn()
            .map_err(Failure::io("start", own.display()))?;
        let id = process.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| Failure::unexpected("a child without a process ID"))?;
        Ok(Self {
            process,
            group: Pid::from_raw(id),
        })
    }

    /// How it ended, once it has. Cancel-safe.
    pub async fn ended(&mut self) -> Result<ExitCode, Failure> {
        let status = self.process.wait().await;
        let status = status.map_err(Failure::io("wait for", "the command"))?;
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        let code = code.and_then(|code| u8::try_from(code).ok());
        Ok(ExitCode::from(code.unwrap_or(u8::MAX)))
    }

    /// Passes a signal on to all in its group.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = killpg(self.group, signal) {
            tracing::debug!(%signal, error = %io::Error::from(error), "nobody is there to hear");
        }
    }

    /// Asks all in its group to end, and sees to it after the grace, or at the
    /// deadline if that is earlier.
    pub async fn end(&mut self, grace: Duration, deadline: Deadline) {
        self.signal(Signal::SIGTERM);
        let _ = timeout(grace.min(deadline.left()), self.ended()).await;
        self.signal(Signal::SIGKILL);
        let _ = self.ended().await;
    }
}
