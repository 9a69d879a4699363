//! Tests that run in a guest, and a suite of such tests under test.
//!
//! This is both: with `TESTBED_SUITE_UNDER_TEST` it is the program whose tests fail in every way.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cases;
mod under_test;

use std::process::ExitCode;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

fn main() -> ExitCode {
    if let Some(seconds) = std::env::var_os(under_test::VARIABLE) {
        return under_test::main(&seconds);
    }
    Suite::new(kernel_tests![
        cases::each_test_has_a_network_of_its_own,
        cases::and_so_has_the_next,
        cases::hosts_talk_through_a_virtual_service,
        cases::hosts_are_gone_when_dropped,
        cases::requests_to_a_site_are_counted,
        cases::failures_are_told_with_their_output,
        cases::a_test_that_hangs_is_ended,
        cases::a_filter_is_passed_on,
        cases::what_did_not_run_has_failed,
        cases::what_is_missing_is_named,
    ])
    .main()
}
