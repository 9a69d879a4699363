//! What is set on the host's network, against a kernel: `ip`, `ipvsadm`,
//! `iptables-save` and real connections are the witnesses.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod addresses;
mod neighbours;
mod passes;
mod refusals;
mod rules;
mod settings;
mod world;

use std::process::ExitCode;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

fn main() -> ExitCode {
    Suite::new(kernel_tests![
        addresses::are_added_and_only_ours_are_removed,
        addresses::of_ipv6_are_used_at_once,
        addresses::may_be_many,
        addresses::move_with_the_option,
        addresses::on_an_interface_that_is_not_there_are_reported,
        neighbours::reach_each_other_with_the_rules_only,
        neighbours::of_ipv6_reach_each_other,
        neighbours::by_mark_reach_each_other,
        neighbours::call_each_other_directly_as_before,
        passes::set_up_all_that_a_service_needs_and_clear_it_away,
        passes::without_the_interface_do_the_rest,
        rules::of_others_are_untouched,
        rules::that_somebody_removed_are_put_back,
        rules::that_are_not_needed_load_nothing,
        settings::are_checked_and_applied,
        settings::of_a_service_are_met_then,
        refusals::without_the_capability_say_so,
        refusals::in_a_user_namespace_say_so,
    ])
    .main()
}
