//! Removals that are held for a reason other than the number of expired leases:
//! `add-only`, `single`, a freeze, a clock that was set.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lbmanager::absorb;
use lbmanager::desired::desired;
use lbmanager::history::Freeze;
use lbmanager::observed::{Condition, Observed};
use lbmanager::plan::{Context, Expiry, Plan, plan};
use lbmanager::record::{Contact, Incident, MemberRecord, Reason, Record, Removal, State};
use lbmanager::tree::BalancerTree;
use presence::model::{BalancerId, MemberId, Revision};
use presence::store::Store;
use support::fake::FakeBackend;
use support::status;
use support::world::World;

const A: &str = "i-0000000a";
const B: &str = "i-0000000b";
const C: &str = "i-0000000c";
const LONG: Duration = Duration::from_hours(2);
const HOLD: Duration = Duration::from_mins(15);

fn id() -> BalancerId {
    "elb/us-east-1/web".parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn context() -> Context {
    Context {
        now: now(),
        started: now(),
        hold: HOLD,
        settled_at: now(),
        frozen: None,
        expiry: Expiry::Checked,
        rejected: BTreeMap::new(),
    }
}

fn member(name: &str) -> MemberId {
    id().member(name).unwrap()
}

/// These members serve, and their keys are gone.
fn leaving(members: &[(&str, Removal)]) -> Record {
    let members = members.iter().map(|(name, removal)| {
        let known = MemberRecord {
            state: State::Serving,
            placed: true,
            removal: Some(*removal),
            ..MemberRecord::default()
        };
        (member(name), known)
    });
    Record {
        revision: Revision(100),
        contact: Some(Contact::default()),
        members: members.collect(),
        ..Record::default()
    }
}

fn removal(reason: Reason, revision: i64, since: Timestamp) -> Removal {
    Removal {
        reason,
        since,
        revision: Revision(revision),
        unreported_since: None,
        let_go: false,
    }
}

fn plan_for(record: Record, context: &Context, condition: &Condition) -> Plan {
    let tree = BalancerTree::default();
    let desired = desired(&id(), &tree, None, &record);
    let members = record.members.keys();
    let observed = Observed {
        members: members.map(|id| (id.clone(), condition.clone())).collect(),
        healthy_after: Duration::from_secs(10),
        unreadable: None,
    };
    plan(&desired, &observed, record, context)
}

fn left(plan: &Plan) -> Vec<String> {
    plan.deregister.keys().map(ToString::to_string).collect()
}

#[test]
fn while_frozen_only_deletes_and_drains_after_the_reset_are_applied() {
    let frozen = Context {
        frozen: Some(Freeze {
            why: "the history was replaced".into(),
            revision: Revision(50),
        }),
        ..context()
    };
    for (reason, revision, is_applied) in [
        (Reason::Deleted, 50, false),
        (Reason::Deleted, 51, true),
        (Reason::Drain, 51, true),
        (Reason::LeaseEnded, 51, false),
        (Reason::Unknown, 51, false),
    ] {
        let record = leaving(&[(A, removal(reason, revision, now()))]);
        let plan = plan_for(record, &frozen, &Condition::OutOfService("sick".into()));
        assert_eq!(
            !left(&plan).is_empty(),
            is_applied,
            "{reason} at {revision}"
        );
        assert_eq!(plan.record.withheld.is_empty(), is_applied, "{reason}");
    }
}

#[test]
fn a_release_covers_causes_up_to_its_own_revision() {
    let tree = BalancerTree::default();
    let at = |revision| removal(Reason::LeaseEnded, revision, now());
    let record = leaving(&[(A, at(10)), (B, at(20)), (C, at(21))]);
    let release = Some(Revision(20));
    let (_, record) = absorb::take_in(&id(), record, &tree, None, release, now());
    let released: Vec<bool> = record
        .members
        .values()
        .map(|known| known.removal.unwrap().let_go)
        .collect();
    assert_eq!(released, [true, true, false]);
}

/// The record is from a clock that was two hours ahead, or behind.
#[test]
fn a_clock_set_by_two_hours_across_a_restart_ends_no_hold_early_and_blocks_nothing() {
    for since in [now() - LONG, now() + LONG] {
        let mut removal = removal(Reason::LeaseEnded, 10, since);
        removal.unreported_since = Some(since);
        let mut record = leaving(&[(A, removal), (B, removal)]);
        record.incident = Some(Incident {
            revision: Revision(10),
            since,
            last: since,
            serving: 3,
            removed: [member(C)].into(),
        });
        record.clamp_times(now());
        let unknown = Condition::Unknown("transient error".into());
        let mut context = context();
        let plan = plan_for(record, &context, &unknown);
        assert_eq!(left(&plan), Vec::<String>::new(), "since {since}");
        context.now = now() + HOLD;
        let plan = plan_for(plan.record, &context, &unknown);
        assert_eq!(left(&plan), [A], "since {since}: all but the last");
    }
}

#[test]
fn in_its_own_region_a_host_holds_an_expired_member_for_15_seconds_or_until_it_is_silent() {
    let own = |seconds: i64| Context {
        now: now() + Duration::from_secs(seconds.unsigned_abs()),
        expiry: Expiry::Own,
        ..context()
    };
    let record = || leaving(&[(A, removal(Reason::LeaseEnded, 10, now()))]);
    let serves = Condition::InService;
    assert!(left(&plan_for(record(), &own(14), &serves)).is_empty());
    assert_eq!(left(&plan_for(record(), &own(15), &serves)), [A]);
    let silent = Condition::OutOfService("it does not answer a TCP connect".into());
    assert_eq!(left(&plan_for(record(), &own(1), &silent)), [A]);
}

#[test]
fn the_hold_time_counts_where_nothing_checks_a_member_and_where_something_does_it_never_ends() {
    for (expiry, stays) in [
        (Expiry::Unchecked, 1),
        (Expiry::Checked, 2),
        (Expiry::Probed, 2),
    ] {
        let at = removal(Reason::LeaseEnded, 10, now());
        let mut record = leaving(&[(A, at), (B, at)]);
        record.incident = Some(Incident {
            revision: Revision(10),
            since: now(),
            last: now(),
            serving: 3,
            removed: [member(C)].into(),
        });
        let mut context = Context {
            expiry,
            ..context()
        };
        let plan = plan_for(record, &context, &Condition::InService);
        assert_eq!(plan.record.withheld.len(), 2, "{expiry:?}");
        context.now = now() + LONG;
        let plan = plan_for(plan.record, &context, &Condition::InService);
        assert_eq!(plan.record.withheld.len(), stays, "{expiry:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_single_member_leaves_when_the_next_one_is_in_service() {
    let slow = FakeBackend::default().with_health_delay(Duration::from_secs(8));
    let mut world = World::new(slow);
    let single = |member: &str| World::key(member).replace("/multiple/", "/single/");
    world.put(&single(A), "").await;
    let lease = world.store.grant(LONG).await.unwrap();
    let put = presence::store::Transaction::default().and_put(single(B), "", Some(lease));
    world.store.commit(put).await.unwrap();
    world.start();
    world.until_registered(&[B]).await;
    world.pass(Duration::from_mins(1)).await;
    world.store.expire(lease);
    world.pass(Duration::from_secs(3)).await;
    let registered = world.backend.registered(&World::id());
    assert_eq!(registered.len(), 2, "the standby is not in service yet");
    world.until_registered(&[A]).await;
    assert!(
        world.backend.gaps().is_empty(),
        "{:?}",
        world.backend.gaps()
    );
}

#[tokio::test(start_paused = true)]
async fn add_only_adds_and_never_removes_and_then_its_members_are_unmanaged() {
    let mut world = World::new(FakeBackend::default());
    let config = format!("/lbManager/{}/config", World::id());
    world.put(&config, r#"{"ownership": "add-only"}"#).await;
    world.start();
    for name in [A, B, C] {
        world.put(&World::key(name), "").await;
    }
    world.until_registered(&[A, B, C]).await;
    for name in [A, B] {
        world.del(&World::key(name)).await;
    }
    world.release(&status().release(&World::id())).await;
    world.pass(LONG).await;
    let shown = world.status().unwrap().withheld;
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[A].reason, Reason::Deleted);
    assert!(shown[A].why.contains("add-only"), "{}", shown[A].why);

    world.put(&config, "{}").await;
    world.pass(LONG).await;
    let shown = world.status().unwrap().withheld;
    assert_eq!(shown[A].reason, Reason::Stranger, "2 of 3 are most");
    world.release(&status().release(&World::id())).await;
    world.until_registered(&[C]).await;
}

#[tokio::test(start_paused = true)]
async fn add_only_is_rejected_for_class_single() {
    let mut world = World::new(FakeBackend::default());
    let config = format!("/lbManager/{}/config", World::id());
    world.put(&config, r#"{"ownership": "add-only"}"#).await;
    let single = World::key(A).replace("/multiple/", "/single/");
    world.put(&single, "").await;
    world.start();
    world
        .until("the status says why", |world| {
            let problems = world.status().map(|status| status.problems);
            let problems = problems.unwrap_or_default().join("\n");
            problems.contains("invalid ownership \"add-only\": expected exclusive or own")
        })
        .await;
    assert_eq!(world.backend.writes(), 0);
}
