//! The tests, in the guest: one process that runs one after the other, and one for each.

use std::os::fd::AsFd as _;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::marks::{Event, tell};
use super::{Case, Suite};
use crate::error::{Error, Result};

/// Set for the process that runs the tests whose names are its arguments: how its marks begin.
pub(super) const MARK: &str = "TESTBED_MARK";
/// Set for the process of one test: its name.
pub(super) const CASE: &str = "TESTBED_CASE";

/// Runs the tests that are named in the arguments.
pub(super) fn all(mark: &str, suite: &Suite) -> ExitCode {
    let ran = runtime().and_then(|runtime| {
        for name in std::env::args().skip(1) {
            let case = find(&suite.cases, &name)?;
            tell_or_fail(mark, &Event::Begun(name.clone()))?;
            let outcome = runtime.block_on(rounds(case, suite.time_limit));
            let outcome = outcome.map_err(|error| error.chain())?;
            tell_or_fail(mark, &Event::Ended(name, outcome))?;
        }
        Ok(())
    });
    report(ran)
}

fn find<'a>(cases: &'a [Case], name: &str) -> Result<&'a Case, String> {
    let mut cases = cases.iter();
    let case = cases.find(|case| case.name == name);
    case.ok_or_else(|| format!("there is no test {name}"))
}

/// All rounds of a test, or those up to the first that fails.
async fn rounds(case: &Case, limit: Duration) -> Result<Result<(), String>> {
    let rounds = case.rounds()?;
    for round in 1..=rounds {
        if let Err(why) = one(case.name, limit).await? {
            let which = (rounds > 1).then(|| format!(" in round {round} of {rounds}"));
            return Ok(Err(why + &which.unwrap_or_default()));
        }
    }
    Ok(Ok(()))
}

/// One test in a process: how it ended.
async fn one(name: &str, limit: Duration) -> Result<Result<(), String>> {
    let io = |action| Error::io(action, name);
    let program = std::env::current_exe().map_err(io("find the program of"))?;
    // In the order in which it was written.
    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
    let stderr = Stdio::from(stdout.map_err(io("write the output of"))?);
    let mut command = Command::new(program);
    command.env(CASE, name).env_remove(MARK);
    command.stdin(Stdio::null()).stderr(stderr);
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(io("start"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let ended = timeout(limit, child.wait()).await;
    if let Some(group) = group {
        // With what it left running, if it has ended; no other has this number so soon.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    Ok(match ended {
        Ok(status) => match status.map_err(io("wait for"))? {
            status if status.success() => Ok(()),
            status => Err(status.to_string()),
        },
        Err(_) => Err(format!("took longer than {limit:?}")),
    })
}

/// One test, in this process.
pub(super) fn case(suite: &Suite, name: &str) -> ExitCode {
    let ran = find(&suite.cases, name).and_then(|case| {
        if !suite.host {
            namespaces().map_err(|error| error.chain())?;
        }
        runtime()?.block_on((case.body)());
        Ok(())
    });
    report(ran)
}

/// Namespaces of its own for this process, which must have one thread yet.
fn namespaces() -> Result<()> {
    let failed = |action| move |errno: nix::Error| Error::io(action, "for a test")(errno.into());
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(failed("make namespaces"))?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(failed("make mounts private"))?;
    for (kind, path) in [("tmpfs", "/run"), ("sysfs", "/sys")] {
        let flags = MsFlags::empty();
        mount(Some(kind), path, Some(kind), flags, none).map_err(failed("mount file systems"))?;
    }
    let up = std::process::Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    match up.map_err(Error::io("run", "ip"))? {
        status if status.success() => Ok(()),
        status => Err(Error::answer("ip link set lo up", status.to_string())),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot make a runtime: {error}"))
}

fn tell_or_fail(mark: &str, event: &Event) -> Result<(), String> {
    tell(mark, event).map_err(|error| format!("cannot write to standard output: {error}"))
}

fn report(ran: Result<(), String>) -> ExitCode {
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
