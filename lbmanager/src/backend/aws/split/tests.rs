use std::cell::RefCell;
use std::collections::BTreeSet;

use futures::FutureExt;
use presence::model::{Kind as BalancerKind, MemberId};
use proptest::prelude::*;

use super::split;
use crate::backend::aws::{Failure, Kind};
use crate::backend::{BackendError, Outcome};

#[derive(Debug, Clone, Copy)]
enum Tells {
    Nobody,
    First,
    All,
    /// Somebody who was not asked for.
    AnotherOne,
}

fn member(number: usize) -> MemberId {
    MemberId::parse(BalancerKind::Elb, &format!("i-{number:08x}")).unwrap()
}

fn members(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<MemberId> {
    numbers.into_iter().map(member).collect()
}

fn invalid(bad: &[&str], tells: Tells) -> Failure {
    let named = match tells {
        Tells::Nobody => String::new(),
        Tells::First => bad[0].to_owned(),
        Tells::All => bad.join(", "),
        Tells::AnotherOne => "i-0f0f0f0f".to_owned(),
    };
    let message = format!("Could not find EC2 instance {named}.");
    Failure::sample(Kind::Rejected, "InvalidInstance", &message)
}

/// Writes to a service that knows the bad ones; what it has, and how often it
/// was called, come back too.
fn write(
    all: &BTreeSet<MemberId>,
    bad: &BTreeSet<MemberId>,
    most: usize,
    tells: Tells,
) -> (Outcome, BTreeSet<MemberId>, usize) {
    let (written, calls) = (RefCell::new(BTreeSet::new()), RefCell::new(0));
    let is_member = |failure: &Failure| failure.code.as_deref() == Some("InvalidInstance");
    let send = |batch: Vec<MemberId>| {
        *calls.borrow_mut() += 1;
        assert!(!batch.is_empty() && batch.len() <= most);
        let found = batch.iter().filter(|member| bad.contains(*member));
        let found: Vec<&str> = found.map(MemberId::as_str).collect();
        let answer = if found.is_empty() {
            written.borrow_mut().extend(batch);
            Ok(())
        } else {
            Err(invalid(&found, tells))
        };
        std::future::ready(answer)
    };
    let outcome = split(all, most, "load balancer web", is_member, send).now_or_never();
    (outcome.unwrap(), written.into_inner(), calls.into_inner())
}

proptest! {
    #[test]
    fn exactly_the_bad_ones_are_rejected(
        count in 1_usize..300,
        bad in prop::collection::btree_set(0_usize..300, 0..12),
        most in prop_oneof![Just(1000_usize), 1_usize..50],
        tells in prop_oneof![
            Just(Tells::Nobody), Just(Tells::First), Just(Tells::All), Just(Tells::AnotherOne),
        ],
    ) {
        let all = members(0..count);
        let bad: BTreeSet<_> = members(bad).intersection(&all).cloned().collect();
        let (outcome, written, calls) = write(&all, &bad, most, tells);
        let good: BTreeSet<_> = all.difference(&bad).cloned().collect();
        prop_assert_eq!(&outcome.done, &good);
        prop_assert_eq!(written, good);
        prop_assert_eq!(outcome.rejected.into_keys().collect::<BTreeSet<_>>(), bad.clone());
        prop_assert_eq!(outcome.error, None);
        let batches = count.div_ceil(most);
        let each = match tells {
            Tells::First | Tells::All => 1,
            Tells::Nobody | Tells::AnotherOne => {
                2 * count.min(most).next_power_of_two().ilog2() as usize
            }
        };
        prop_assert!(calls <= batches + bad.len() * each, "{} calls", calls);
    }
}

#[test]
fn a_rejected_member_is_named_with_the_reason() {
    let all = members(0..3);
    let (outcome, ..) = write(&all, &members([1]), 1000, Tells::First);
    let why = &outcome.rejected[&member(1)];
    assert!(
        why.contains("Could not find EC2 instance i-00000001"),
        "{why}"
    );
    assert!(why.contains("load balancer web"), "{why}");
}

#[test]
fn any_other_failure_ends_it() {
    let all = members(0..10);
    let throttled = Failure::sample(Kind::Throttled, "Throttling", "Rate exceeded");
    let mut calls = 0;
    let send = |_| {
        calls += 1;
        let answer = if calls == 2 {
            Err(throttled.clone())
        } else {
            Ok(())
        };
        std::future::ready(answer)
    };
    let outcome = split(&all, 4, "load balancer web", |_| false, send)
        .now_or_never()
        .unwrap();
    assert_eq!(outcome.done, members(0..4));
    assert!(outcome.rejected.is_empty());
    assert!(matches!(outcome.error, Some(BackendError::Throttled(_))));
    assert_eq!(calls, 2);
}
