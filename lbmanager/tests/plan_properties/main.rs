//! The decisions of a manager in a world where anything may happen: keys come
//! and go in every way, the load balancer is changed by hand, writes fail
//! half-way, the manager crashes, etcd's history is compacted or replaced.
//!
//! `PROPTEST_CASES=100000 cargo test -p lbmanager --test plan_properties`
//! looks for as long as one likes.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod action;
mod balancer;
mod check;
mod driver;
mod etcd;
mod promise;
mod rest;
mod truth;
mod world;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use world::World;

fn cases() -> u32 {
    let cases = std::env::var("PROPTEST_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_decision_is_sound_and_in_the_end_all_is_as_the_tree_says(
        delays in action::delays(),
        actions in proptest::collection::vec(action::action(), 1..60),
        released_in_the_end in any::<bool>(),
    ) {
        let mut world = World::new(delays);
        for action in &actions {
            let verdict = world.perform(action);
            verdict.map_err(|what| TestCaseError::fail(format!("at {action:?}: {what}")))?;
        }
        if released_in_the_end {
            world.frozen = None;
        }
        rest::comes_to_rest(&mut world).map_err(TestCaseError::fail)?;
    }
}
