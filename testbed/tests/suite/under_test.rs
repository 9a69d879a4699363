//! The suite under test: one test for each way in which a test ends.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

/// Set where this program is to be the suite under test: how many seconds each test has.
pub const VARIABLE: &str = "TESTBED_SUITE_UNDER_TEST";

pub fn main(seconds: &OsStr) -> ExitCode {
    let seconds = seconds.to_str().and_then(|seconds| seconds.parse().ok());
    Suite::new(kernel_tests![
        passes,
        panics,
        crashes,
        hangs,
        still_passes,
        kills_what_runs_the_tests,
        is_not_run_as_one_kills,
        #[soak]
        soaks,
    ])
    .time_limit(Duration::from_secs(seconds.expect("a number")))
    .main()
}

async fn passes() {
    println!("live");
}

async fn panics() {
    print!("half a line");
    panic!("on purpose");
}

async fn crashes() {
    std::process::abort();
}

async fn hangs() {
    std::future::pending::<()>().await;
}

async fn still_passes() {}

async fn kills_what_runs_the_tests() {
    let parent = nix::unistd::getppid();
    nix::sys::signal::kill(parent, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    hangs().await;
}

async fn is_not_run_as_one_kills() {}

async fn soaks() {
    println!("a round");
}
