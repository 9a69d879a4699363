//! The crate against a real kernel, with ipvsadm as the independent witness.
//!
//! All of it runs in a guest (`testbed::guest`), or with `TESTBED_KERNEL=own`
//! on the machine's own kernel. `--include-ignored --nocapture` adds large
//! tables, and how long they take.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod edits;
mod errors;
mod large;
mod lost;
mod packets;
mod read;
mod world;
mod written;

use std::process::ExitCode;

use testbed::guest::suite::Suite;
use testbed::kernel_tests;

fn main() -> ExitCode {
    if std::env::var_os(errors::WEAK).is_some() {
        errors::weak();
        return ExitCode::SUCCESS;
    }
    Suite::new(kernel_tests![
        edits::a_service_gets_and_loses_every_property,
        edits::a_destination_gets_and_loses_every_property,
        errors::refusals_are_told_apart,
        errors::destinations_are_invalid_where_lo_was_never_up,
        errors::one_that_fails_among_a_thousand,
        errors::those_that_are_invalid_are_not_sent,
        errors::who_may_not_is_told_so,
        lost::what_is_not_known_is_said_and_it_goes_on,
        lost::later_batches_are_known,
        lost::a_small_send_buffer_is_enough,
        lost::none_is_lost_by_default,
        packets::connections_are_counted_as_ipvsadm_counts_them,
        packets::counters_are_reset,
        read::a_table_of_ipvsadm,
        read::a_table_is_put_back,
        read::the_text_says_the_same,
        read::a_service_with_many_destinations,
        read::a_table_that_changes_is_read,
        read::what_is_not_there_is_empty,
        written::services_of_every_kind,
        written::every_scheduler,
        written::destinations_of_every_kind,
        written::timeouts,
        #[soak]
        large::sixty_thousand_commands,
        #[soak]
        large::a_table_of_five_thousand_times_four,
    ])
    .main()
}
