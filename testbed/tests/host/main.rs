//! The units of systemd/, started for real on a whole host.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod boot;
mod claims;
mod confined;
mod life;
mod managers;
mod revisions;
mod sidecars;

use std::process::ExitCode;
use std::time::Duration;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    Suite::new(kernel_tests![
        boot::a_host_has_systemd_etcd_docker_and_ipvs,
        managers::both_managers_run_on_one_host,
        claims::a_wrong_configuration_is_tried_again_slowly,
        claims::a_wrong_command_line_is_not_tried_again,
        revisions::two_services_run_in_containers,
        sidecars::a_node_waits_for_its_turn_and_is_watched,
        sidecars::a_program_is_a_member_while_it_runs,
    ])
    .host()
    .time_limit(Duration::from_mins(5))
    .main()
}
