//! A shell in a guest, for a person to play in.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Guest, Kernel, files, kernel, processor};
use crate::error::{Error, Result, find_program};

/// Opens a shell in a guest, on the terminal that is standard output, until it is left.
pub fn open(guest: &Guest) -> Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Error::Misuse(
            "a shell needs a terminal: give a program to run it without one".to_owned(),
        ));
    }
    let guest = with_programs(guest.clone().kernel(Kernel::Guest))?;
    let shell = ["bash", "--rcfile", "/.guest/shellrc.sh", "-i"].map(OsString::from);
    let directory = files::prepare(&guest, &shell)?;
    let terminal = Terminal::now()?;
    let file = directory.path().join("shell");
    std::fs::write(&file, size()?).map_err(Error::io("write", &file))?;
    let mut running = Running(spawn(&guest, directory.path())?);
    // The other end of its standard input is the guest's lifeline, which waiting would close.
    let lifeline = running.0.stdin.take();
    let status = running.0.wait().map_err(Error::io("wait for", "the guest"));
    drop(terminal);
    let booted = directory.path().join("status");
    let booted = std::fs::read(booted).is_ok_and(|status| !status.is_empty());
    let console = std::fs::read_to_string(directory.path().join("console"));
    drop(lifeline);
    match status? {
        _ if booted => Ok(()),
        status => Err(Error::Ended {
            program: Kernel::Guest.name().to_owned(),
            status,
            output: console.unwrap_or_default(),
        }),
    }
}

/// The kernel's process. Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let (Ok(None), Ok(pid)) = (self.0.try_wait(), i32::try_from(self.0.id())) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }
}

fn spawn(guest: &Guest, directory: &Path) -> Result<Child> {
    // It reads the terminal from a session of its own: in this one it would be a background job.
    let mut command = Command::new(find_program("setpriv", "apt-get install util-linux")?);
    command.args(["--pdeathsig", "KILL", "--", "setsid", "/bin/sh"]);
    command.arg(directory.join("host.sh")).arg(directory);
    command.args(Kernel::Guest.command(guest, directory, None)?);
    // Of two settings the last counts. Terminals are read and written.
    command.args(["con0=fd:3", "ssl0=null", "ssl1=null", "loglevel=1"]);
    command.env("TMPDIR", kernel::folder_for_memory(guest.memory_mib));
    command.stdin(Stdio::piped());
    let child = command.spawn().map_err(|source| Error::Spawn {
        program: Kernel::Guest.name().to_owned(),
        source,
    })?;
    processor::pin(child.id());
    Ok(child)
}

/// Puts the folder of this program first in `PATH`, where the others of its build are.
fn with_programs(guest: Guest) -> Result<Guest> {
    let program = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let mut path = program.parent().map(OsString::from).unwrap_or_default();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path.push(":/usr/sbin:/sbin");
    Ok(guest.env("PATH", path))
}

/// The state of the terminal, which the guest changes. Restored when dropped.
struct Terminal(String);

impl Terminal {
    fn now() -> Result<Self> {
        Ok(Self(stty(["-g"])?))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = stty([&self.0]);
    }
}

/// The size of the terminal, as `stty` takes it.
fn size() -> Result<String> {
    let size = stty(["size"])?;
    let (rows, columns) = size.split_once(' ').unwrap_or(("24", "80"));
    Ok(format!("rows {rows} cols {columns}\n"))
}

fn stty(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
    let mut command = Command::new("stty");
    command.args(args).stdin(Stdio::inherit());
    let output = command.output().map_err(Error::io("run", "stty"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
