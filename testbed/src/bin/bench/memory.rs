//! The most memory that a program had which ends by itself.
//!
//! The kernel tells it of all children of a process together, and counts as a child's what it
//! shared with its parent before it became another program. So a small process with one child
//! stands between: this program, started anew.

use std::process::{Command, ExitCode, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use testbed::{Error, Result};

use crate::measure::Task;

const FLAG: &str = "--most-memory-of";

/// The bytes of it that were in RAM at once.
pub async fn most(task: &Task) -> Result<u64> {
    let unexpected = |text: &str| Error::Misuse(format!("{text:?} is no size in kilobytes"));
    let text = task.output_by(FLAG).await?;
    let kilobytes: u64 = text.trim().parse().map_err(|_| unexpected(&text))?;
    Ok(kilobytes * 1024)
}

/// Where this program was started to stand between: runs the other one and tells the kilobytes.
pub fn stand_between() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments
        .next()
        .filter(|flag| flag == FLAG)
        .and(arguments.next())?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null());
    let good = command.status().is_ok_and(|status| status.success());
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok().filter(|_| good);
    Some(match usage {
        Some(usage) => {
            println!("{}", usage.max_rss());
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    })
}
