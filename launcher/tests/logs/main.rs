//! A container's output, handed on line by line: on Docker, with `docker logs` as the judge, and from
//! the runtime in memory.
//!
//! All tests share one Docker daemon, which ends with this program. As a program with arguments of
//! its own it is also what follows a container in the tests that kill it ([`killed`]).

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod journal;
mod journald;
mod killed;
mod memory;
mod outage;
mod real;
mod whole;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};

use self::real::Real;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

macro_rules! trials {
    ($trials:ident, $tasks:ident, $real:ident, $($module:ident: $($name:ident),+;)+) => {
        $($(
            let (tasks, real) = (Arc::clone(&$tasks), Arc::clone(&$real));
            let name = concat!(stringify!($module), "::", stringify!($name));
            $trials.push(Trial::test(name, move || {
                tasks.block_on($module::$name(&real));
                Ok(())
            }));
        )+)+
    };
}

fn main() -> ExitCode {
    if let Some(following) = killed::Following::from_args() {
        return following.run();
    }
    let arguments = Arguments::from_args();
    let tasks = Arc::new(tokio::runtime::Runtime::new().unwrap());
    let real = Arc::new(tasks.block_on(Real::start()));
    let (mut trials, mut soak) = (Vec::new(), Vec::new());
    trials!(
        trials, tasks, real,
        journal: entries, away;
        journald: as_journalctl_shows_it;
        memory: blocked, told_to_stop, stopped_at_the_end, late, removed, docker_away, dropped, end_of_output, unreadable, forgotten;
        whole: many_lines, long_lines, bytes, before_its_start;
        killed: a_few_times;
        outage: docker_restarted;
    );
    trials!(
        soak, tasks, real,
        whole: rotated, too_late;
        killed: many_times;
        outage: docker_restarted_often;
    );
    trials.extend(soak.into_iter().map(|trial| trial.with_ignored_flag(true)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(real);
    conclusion.exit_code()
}
