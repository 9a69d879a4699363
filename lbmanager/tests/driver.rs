//! The driver over fakes: the store in memory, load balancers in memory, and
//! tokio's clock paused.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use presence::keys::status::StatusWriter;
use presence::model::Revision;
use presence::store::{Store, Transaction};
use support::fake::{Call, FakeBackend};
use support::world::World;

const A: &str = "i-0000000a";
const B: &str = "i-0000000b";
const C: &str = "i-0000000c";
const D: &str = "i-0000000d";

fn slow() -> FakeBackend {
    FakeBackend::default().with_health_delay(Duration::from_secs(5))
}

#[tokio::test(start_paused = true)]
async fn a_put_registers_and_a_delete_deregisters() {
    let mut world = World::new(FakeBackend::default());
    world.start();
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.until_registered(&[A, B]).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[B]).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_describe_and_one_register() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.start();
    world.until_registered(&[A]).await;
    world.pass(Duration::from_mins(1)).await;
    world.backend.forget_calls();
    for number in 0..100 {
        let member = format!("i-000001{number:02}");
        world.put(&World::key(&member), "").await;
        if number % 10 == 9 {
            // Whoever writes so much stops for breath now and then.
            world.pass(Duration::from_millis(20)).await;
        }
    }
    world
        .until("all are registered", |world| {
            world.backend.registered(&World::id()).len() == 101
        })
        .await;
    let calls = world.backend.calls();
    let count = |of: fn(&Call) -> bool| calls.iter().filter(|call| of(call)).count();
    assert_eq!(
        count(|call| matches!(call, Call::Register(..))),
        1,
        "{calls:?}"
    );
    assert_eq!(count(|call| matches!(call, Call::Deregister(..))), 0);
}

#[tokio::test(start_paused = true)]
async fn in_sync_nothing_is_written_anywhere() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.start();
    world.until_registered(&[A]).await;
    world.pass(Duration::from_mins(1)).await;
    let before = world.store.counts();
    world.backend.forget_calls();
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.backend.writes(), 0);
    assert_eq!(
        world.store.counts().writes,
        before.writes,
        "no status either"
    );
    let (health, describes): (Vec<_>, Vec<_>) = world
        .backend
        .calls()
        .into_iter()
        .partition(|call| matches!(call, Call::Health(_)));
    assert!(
        describes
            .iter()
            .all(|call| matches!(call, Call::Describe(_))),
        "{describes:?}"
    );
    assert!(
        (11..=14).contains(&describes.len()),
        "a resync every 5 minutes: {}",
        describes.len()
    );
    assert!(
        (1..=3).contains(&health.len()),
        "health at one resync of six: {}",
        health.len()
    );
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.start();
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(1)).await;
    world.backend.tamper(&World::id(), &[C]);
    world.until_registered(&[A, B]).await;
    assert!(world.backend.gaps().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replacement_serves_before_the_last_one_leaves() {
    let mut world = World::new(slow());
    world.put(&World::key(A), "").await;
    world.start();
    world.until_registered(&[A]).await;
    world.pass(Duration::from_mins(1)).await;
    let swap = Transaction::delete(World::key(A)).and_put(World::key(B), "", None);
    world.store.commit(swap).await.unwrap();
    world.until_registered(&[B]).await;
    assert_eq!(world.backend.gaps(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_purge_leaves_the_members_and_ends_the_status() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.start();
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(1)).await;
    let purge = Transaction::delete(World::key(A)).and_delete(World::key(B));
    world.store.commit(purge).await.unwrap();
    world
        .until("the status is gone", |world| world.status().is_none())
        .await;
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.backend.registered(&World::id()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_purge_while_the_manager_is_away_is_still_a_purge() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.start();
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(1)).await;
    world.kill().await;
    let purge = Transaction::delete(World::key(A)).and_delete(World::key(B));
    world.store.commit(purge).await.unwrap();
    world.start();
    world
        .until("the status is gone", |world| world.status().is_none())
        .await;
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.backend.registered(&World::id()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn removing_the_last_lone_key_empties_and_forgets_the_load_balancer() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.start();
    world.until_registered(&[A]).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[]).await;
    world
        .until("the status is gone", |world| world.status().is_none())
        .await;
    world.put(&World::key(B), "").await;
    world.until_registered(&[B]).await;
}

#[tokio::test(start_paused = true)]
async fn when_all_leases_expire_at_once_half_of_the_members_stay() {
    let mut world = World::new(FakeBackend::default());
    let lease = world.store.grant(Duration::from_hours(2)).await.unwrap();
    for member in [A, B, C, D] {
        world.put_leased(member, lease).await;
    }
    world.start();
    world.until_registered(&[A, B, C, D]).await;
    world.pass(Duration::from_secs(30)).await;
    world.store.expire(lease);
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(
        world.backend.registered(&World::id()).len(),
        2,
        "half may leave"
    );
    world.pass(Duration::from_hours(2)).await;
    assert_eq!(
        world.backend.registered(&World::id()).len(),
        2,
        "the others are held"
    );
    let status = world.status().unwrap();
    let why = status.withheld.values().map(|held| held.why.as_str());
    let arithmetic = "4 of 4 leases expired, at most 2 members may leave (max_removals 0.5)";
    assert!(
        why.clone().all(|why| why.starts_with(arithmetic)),
        "{status:#?}"
    );
    assert!(world.backend.gaps().is_empty());
    let key = support::status().release(&World::id());
    let released = world.release(&key).await;
    world.until_registered(&[]).await;
    world.until_released(released).await;
}

#[tokio::test(start_paused = true)]
async fn a_restored_snapshot_removes_nobody_until_released() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    let snapshot = world.store.snapshot();
    world.start();
    world.until_registered(&[A]).await;
    world.put(&World::key(B), "").await;
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(1)).await;
    world.store.restore(&snapshot);
    world.put(&World::key(C), "").await;
    world.until_registered(&[A, B, C]).await;
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.backend.registered(&World::id()).len(), 3);
    world.kill().await;
    world.start();
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(
        world.backend.registered(&World::id()).len(),
        3,
        "a restart forgets nothing"
    );
    let released = world.release(&support::status().release_all()).await;
    world.until_registered(&[A, C]).await;
    world.until_released(released).await;
}

#[tokio::test(start_paused = true)]
async fn a_freeze_whose_key_is_lost_or_overwritten_is_written_again() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    let snapshot = world.store.snapshot();
    world.start();
    world.until_registered(&[A]).await;
    world.put(&World::key(B), "").await;
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(1)).await;
    world.store.restore(&snapshot);
    let key = support::status().frozen(&StatusWriter::Aws);
    world
        .until("it is frozen", |world| world.store.peek(&key).is_some())
        .await;
    let frozen = world.store.peek(&key).unwrap().value;
    world.del(&key).await;
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(world.store.peek(&key).unwrap().value, frozen);
    // A copy of an earlier freeze, as a dump restores it.
    let copy = r#"{"why":"","at":"2020-01-01T00:00:00Z","revision":1,"id":"x"}"#;
    world.put(&key, copy).await;
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(world.store.peek(&key).unwrap().value, frozen);
    // The newer one counts at the start, too.
    world.kill().await;
    world.put(&key, copy).await;
    world.start();
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(world.store.peek(&key).unwrap().value, frozen);
    assert_eq!(world.backend.registered(&World::id()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_removes_nobody() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.start();
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(1)).await;
    world.store.wipe();
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.backend.registered(&World::id()).len(), 2);
    assert_eq!(world.backend.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn etcd_away_changes_nothing_and_what_happened_meanwhile_is_done_after() {
    let mut world = World::new(FakeBackend::default());
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.start();
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(1)).await;
    world.backend.forget_calls();
    world.store.set_unavailable(true);
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(world.backend.writes(), 0);
    world.store.set_unavailable(false);
    world.put(&World::key(C), "").await;
    world.del(&World::key(A)).await;
    world.until_registered(&[B, C]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_while_the_manager_was_away_is_known_to_be_deleted() {
    let mut world = World::new(FakeBackend::default());
    for member in [A, B, C] {
        world.put(&World::key(member), "").await;
    }
    world.start();
    world.until_registered(&[A, B, C]).await;
    world.pass(Duration::from_mins(1)).await;
    world.kill().await;
    world.del(&World::key(A)).await;
    world.del(&World::key(B)).await;
    world.start();
    world.until_registered(&[C]).await;
    let changes = world.status().unwrap().changes;
    let last = changes.last().unwrap();
    assert_eq!(
        last.reason,
        Some(lbmanager::record::Reason::Deleted),
        "{changes:?}"
    );
    assert_eq!(last.count, 2);
}

#[tokio::test(start_paused = true)]
async fn what_vanished_in_compacted_history_is_held_like_an_ended_lease() {
    let mut world = World::new(FakeBackend::default());
    for member in [A, B, C] {
        world.put(&World::key(member), "").await;
    }
    world.start();
    world.until_registered(&[A, B, C]).await;
    world.pass(Duration::from_mins(1)).await;
    world.kill().await;
    world.del(&World::key(A)).await;
    world.del(&World::key(B)).await;
    world.put("/other", "").await;
    world.store.compact(world.store.revision());
    world.start();
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(
        world.backend.registered(&World::id()).len(),
        2,
        "half of three, rounded down"
    );
    world.pass(Duration::from_hours(2)).await;
    assert_eq!(world.backend.registered(&World::id()).len(), 2, "held");
    world.backend.never_healthy(&World::id(), B);
    world.until_registered(&[C]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_member_holds_nobody_up_and_the_status_names_it() {
    let mut world = World::new(FakeBackend::default());
    world.backend.refuse(&World::id(), B);
    world.start();
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.until_registered(&[A]).await;
    world.pass(Duration::from_secs(5)).await;
    let status = world.status().unwrap();
    let refused = status.members.get(B).unwrap();
    assert_eq!(refused.state, lbmanager::record::State::Rejected);
    assert!(
        refused
            .detail
            .as_ref()
            .unwrap()
            .contains("no such instance")
    );
    assert_ne!(status.revision, Revision(0));
}

#[tokio::test(start_paused = true)]
async fn failed_writes_are_tried_again() {
    let mut world = World::new(FakeBackend::default());
    world.backend.fail_writes(3);
    world.start();
    world.put(&World::key(A), "").await;
    world.until_registered(&[A]).await;
    world
        .until("the error is gone from the status", |world| {
            world.status().is_some_and(|status| {
                status.error.is_none()
                    && status.members.get(A).unwrap().state == lbmanager::record::State::Serving
            })
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_single_member_that_never_serves_is_taken_out_again() {
    let mut world = World::new(slow());
    world.backend.never_healthy(&World::id(), B);
    world.start();
    let key = |member: &str| World::key(member).replace("multiple", "single");
    world.put(&key(A), "").await;
    world.until_registered(&[A]).await;
    world.pass(Duration::from_mins(1)).await;
    world.put(&key(B), "").await;
    world.until_registered(&[A, B]).await;
    world.until_registered(&[A]).await;
    assert_eq!(world.status().unwrap().failed.unwrap().member.as_str(), B);
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.backend.registered(&World::id()).len(), 1);
    world.put(&key(C), "").await;
    world.until_registered(&[C]).await;
    world.put(&key(A), "").await;
    world.until_registered(&[A]).await;
    assert!(world.backend.gaps().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_starts_when_the_load_balancer_begins_to_check() {
    // Twice as long as the health check and half of it take.
    let slow = FakeBackend::default().with_registration(Duration::from_secs(30));
    let mut world = World::new(slow);
    world.start();
    let key = |member: &str| World::key(member).replace("multiple", "single");
    world.put(&key(A), "").await;
    world.until_registered(&[A]).await;
    world.pass(Duration::from_mins(1)).await;
    world.put(&key(B), "").await;
    world.until_registered(&[A, B]).await;
    world.until_registered(&[B]).await;
    assert_eq!(world.backend.gaps(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_never_begins_to_check_is_not_waited_for_for_ever() {
    let mut world = World::new(FakeBackend::default());
    world.start();
    let key = |member: &str| World::key(member).replace("multiple", "single");
    world.put(&key(A), "").await;
    world.until_registered(&[A]).await;
    world.pass(Duration::from_mins(1)).await;
    world.backend = world
        .backend
        .clone()
        .with_registration(Duration::from_hours(2));
    world.backend.set_in_service(&World::id(), &[A]);
    world.put(&key(B), "").await;
    world.until_registered(&[A, B]).await;
    world.until_registered(&[A]).await;
    assert_eq!(world.status().unwrap().failed.unwrap().member.as_str(), B);
}

#[tokio::test(start_paused = true)]
async fn health_is_asked_until_a_member_is_in_service_however_long_that_takes() {
    let mut world = World::new(FakeBackend::default());
    world.backend.set_sick(&World::id(), &[A]);
    world.put(&World::key(A), "").await;
    world.start();
    world.until_registered(&[A]).await;
    // Much longer than the health check takes.
    world.pass(Duration::from_mins(3)).await;
    world.backend.forget_calls();
    world.pass(Duration::from_mins(1)).await;
    let asked = world.backend.calls().len();
    assert!((3..=6).contains(&asked), "{asked} calls in a minute");
    world.backend.set_sick(&World::id(), &[]);
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(
        world.status().unwrap().members.get(A).unwrap().state,
        lbmanager::record::State::Serving
    );
}
