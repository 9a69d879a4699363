//! Virtual services from etcd to the kernel and back: the program, a real
//! etcd, a real kernel, `ipvsadm` and real connections as witnesses.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod claims;
mod plans;
mod tables;
mod traffic;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

fn main() -> ExitCode {
    Suite::new(kernel_tests![
        claims::are_refused_to_a_second_machine,
        claims::decide_who_answers_for_a_shared_address,
        plans::say_what_a_manager_would_do,
        plans::see_what_was_changed_by_hand,
        tables::follows_the_tree,
        tables::of_all_kinds_are_made,
        tables::are_repaired_when_somebody_changes_them,
        tables::keep_their_drains_over_a_crash,
        tables::are_left_as_they_are_when_the_manager_stops,
        tables::have_all_but_those_that_are_refused,
        traffic::is_served_while_real_servers_are_replaced,
        traffic::of_a_single_service_follows_each_switch,
    ])
    .time_limit(Duration::from_mins(3))
    .main()
}
