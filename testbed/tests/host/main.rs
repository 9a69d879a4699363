//! The units of systemd/, started for real on a whole host.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod boot;

use std::process::ExitCode;
use std::time::Duration;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

fn main() -> ExitCode {
    Suite::new(kernel_tests![boot::a_host_has_systemd_etcd_docker_and_ipvs,])
        .host()
        .time_limit(Duration::from_mins(4))
        .main()
}
