//! Virtual services from etcd to the kernel and back: the program, a real
//! etcd, a real kernel, `ipvsadm` and real connections as witnesses.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod aws;
mod claims;
mod crashes;
mod disks;
mod history;
mod holds;
mod hosts;
mod kinds;
mod net;
mod network;
mod orders;
mod packets;
mod plans;
mod prefixes;
mod roles;
mod state;
mod tables;
mod traffic;
mod witness;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

fn main() -> ExitCode {
    Suite::new(kernel_tests![
        claims::are_refused_to_a_second_machine,
        claims::of_one_kernel_are_refused_to_a_second_manager,
        claims::of_a_state_directory_are_refused_to_a_second_manager,
        claims::decide_who_answers_for_a_shared_address,
        plans::say_what_a_manager_would_do,
        plans::see_what_was_changed_by_hand,
        prefixes::that_are_mistyped_change_nothing,
        prefixes::that_are_mistyped_change_nothing_with_a_fresh_state_directory,
        state::that_are_full_block_new_services_only,
        state::that_are_read_only_block_new_services_only,
        state::that_are_removed_are_created_again,
        network::gets_addresses_on_an_interface_that_appears_later,
        network::gets_rules_when_another_program_has_released_the_lock,
        network::delays_no_change_to_the_table,
        orders::of_operators_are_carried_out,
        tables::follows_the_tree,
        tables::of_all_kinds_are_made,
        tables::are_repaired_when_somebody_changes_them,
        tables::are_left_as_they_are_when_the_manager_stops,
        tables::have_all_but_those_that_are_refused,
        hosts::have_what_their_regions_say,
        roles::of_one_host_restart_and_move_without_a_freeze,
        roles::of_a_renamed_host_continue_without_a_freeze,
        disks::that_are_full_stop_no_change,
        disks::that_are_read_only_stop_no_change,
        crashes::at_random_moments_end_as_the_tree_says,
        crashes::before_each_word_to_the_kernel_end_as_the_tree_says,
        #[soak]
        crashes::at_many_random_moments_end_as_the_tree_says,
        holds::are_for_those_of_shared_regions_who_answer,
        history::that_starts_over_takes_nobody_out,
        history::that_goes_back_takes_nobody_out,
        history::of_what_is_purged_ends_with_nobody_half_way_out,
        packets::of_every_kind_arrive,
        packets::of_udp_follow_the_real_servers,
        packets::of_one_client_go_to_one_real_server,
        packets::of_a_neighbour_arrive,
        traffic::is_served_while_real_servers_come_and_go,
        traffic::is_served_while_all_are_replaced,
        traffic::of_a_single_service_follows_each_switch,
        traffic::is_served_while_the_host_is_cut_off_from_etcd,
        #[soak]
        traffic::is_served_while_the_host_is_cut_off_from_etcd_for_a_minute,
        traffic::that_does_not_end_is_served_until_the_deadline,
    ])
    .time_limit(Duration::from_mins(3))
    .main()
}
