//! The plumbing as a whole, on processes of their own.
//!
//! This is the tests and, as a child of theirs, the program under test.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cases;
mod program;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Set for a child that is to be the program.
const PROGRAM: &str = "PRESENCE_TEST_PROGRAM";

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        vec![$(Trial::test(stringify!($name), || {
            cases::$name();
            Ok(())
        })),*]
    };
}

fn main() -> ExitCode {
    if std::env::var_os(PROGRAM).is_some() {
        return program::main();
    }
    let trials = trials![
        a_wrong_command_line_exits_64_and_help_0,
        the_version_has_the_commit,
        a_panic_is_our_own_fault,
        etcd_is_reached_by_the_variables_of_etcdctl,
        no_argument_holds_a_password,
        what_cannot_be_set_up_exits_78_and_says_why,
        the_life_of_a_service_is_told_to_systemd,
        a_second_signal_ends_also_what_is_stuck,
        the_journal_is_told_that_last_words_are_an_error,
        completions_and_pages_are_written,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
