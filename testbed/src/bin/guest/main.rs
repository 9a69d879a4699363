//! A kernel of one's own on the command line.
//!
//! Without arguments it opens a shell in a guest; with a program and its arguments it runs that,
//! and ends as it did.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use testbed::Result;
use testbed::guest::{Guest, shell};

/// Whoever started it ends it.
const TIME_LIMIT: Duration = Duration::from_hours(24);
/// Room for Docker, or for a table of many services.
const MEMORY_MIB: u32 = 1024;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let guest = Guest::new().map(|guest| guest.memory_mib(MEMORY_MIB).time_limit(TIME_LIMIT));
    let ended = match (guest, arguments.split_first()) {
        (Err(error), _) => Err(error),
        (Ok(guest), None) => shell::open(&guest).map(|()| ExitCode::SUCCESS),
        (Ok(guest), Some((program, arguments))) => run(&guest.echo(), program, arguments),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("guest: {}", error.chain());
        ExitCode::FAILURE
    })
}

#[tokio::main(flavor = "current_thread")]
async fn run(guest: &Guest, program: &OsString, arguments: &[OsString]) -> Result<ExitCode> {
    let finished = guest.run(program, arguments).await?;
    Ok(as_a_shell_does(finished.status))
}

fn as_a_shell_does(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
