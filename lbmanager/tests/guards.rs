//! Guards that must hold when several things go wrong together: the driver
//! over fakes, with tokio's clock paused.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use presence::model::{BalancerId, LeaseId};
use presence::store::{Store, Transaction};
use support::fake::{Call, FakeBackend};
use support::status;
use support::world::World;

const A: &str = "i-0000000a";
const B: &str = "i-0000000b";
const C: &str = "i-0000000c";
const D: &str = "i-0000000d";

const LONG: Duration = Duration::from_hours(2);

fn other() -> BalancerId {
    "elb/us-east-1/other".parse().unwrap()
}

fn other_key(member: &str) -> String {
    format!("/lbManager/{}/multiple/{member}", other())
}

fn registered(world: &World) -> BTreeSet<String> {
    world.backend.registered(&World::id())
}

/// These members serve, on a lease.
async fn on_lease(world: &mut World, members: &[&str]) -> LeaseId {
    let lease = world.store.grant(4 * LONG).await.unwrap();
    for member in members {
        world.put_leased(member, lease).await;
    }
    world.start();
    world.until_registered(members).await;
    world.pass(Duration::from_mins(1)).await;
    lease
}

/// These members serve, each by a key of its own.
async fn serving(world: &mut World, members: &[&str]) {
    for member in members {
        world.put(&World::key(member), "").await;
    }
    world.start();
    world.until_registered(members).await;
    world.pass(Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_lets_nobody_go_who_was_not_held_when_it_was_given() {
    let mut world = World::new(FakeBackend::default());
    world.backend.set_missing(&other(), true);
    world.put(&other_key(A), "").await;
    let lease = on_lease(&mut world, &[A, B, C, D]).await;
    let released = world.release(&status().release_all()).await;
    // One that cannot even be looked at does not keep it standing.
    world.until_released(released).await;
    world.store.expire(lease);
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(registered(&world).len(), 2, "half may leave");
    world.pass(LONG).await;
    assert_eq!(registered(&world).len(), 2, "the others are held");
}

#[tokio::test(start_paused = true)]
async fn a_release_during_a_pause_covers_nobody_who_is_held_later() {
    let mut world = World::new(FakeBackend::default());
    let lease = on_lease(&mut world, &[A, B, C, D]).await;
    let config = format!("/lbManager/{}/config", World::id());
    world.put(&config, r#"{"paused": true}"#).await;
    world.pass(Duration::from_secs(10)).await;
    world.release(&status().release(&World::id())).await;
    world.pass(Duration::from_secs(10)).await;
    world.store.expire(lease);
    world.put(&config, r#"{"paused": false}"#).await;
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(registered(&world).len(), 2, "half may leave");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_key_left_still_hears_of_a_release() {
    let mut world = World::new(FakeBackend::default());
    let lease = on_lease(&mut world, &[A]).await;
    world.store.expire(lease);
    world.pass(LONG).await;
    assert_eq!(registered(&world).len(), 1, "never the last");
    world.kill().await;
    world.start();
    world.pass(LONG).await;
    assert_eq!(registered(&world).len(), 1, "nor after a restart");
    let released = world.release(&status().release(&World::id())).await;
    world.until_registered(&[]).await;
    world.until_released(released).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_no_key_left_still_hears_that_the_history_is_accepted() {
    let mut world = World::new(FakeBackend::default());
    serving(&mut world, &[A, B]).await;
    world.stop().await;
    // The status record is still there, and older than what is remembered.
    let snapshot = world.store.snapshot();
    world.start();
    world.put(&World::key(C), "").await;
    world.until_registered(&[A, B, C]).await;
    world.stop().await;
    world.store.restore(&snapshot);
    for member in [A, B] {
        world.del(&World::key(member)).await;
    }
    world.start();
    world.pass(LONG).await;
    assert_eq!(registered(&world).len(), 3, "nobody leaves");
    let released = world.release(&status().release_all()).await;
    world.until_released(released).await;
    world
        .until("it is no longer managed", |world| world.status().is_none())
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_last_stays_when_the_load_balancer_does_not_know_who_serves() {
    let mut world = World::new(FakeBackend::default());
    let lease = on_lease(&mut world, &[A, B]).await;
    world.backend.vague(&World::id(), &[A, B]);
    world.store.expire(lease);
    world.pass(LONG).await;
    assert_eq!(registered(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_still_getting_in_service_is_not_unhealthy() {
    let slow = FakeBackend::default().with_health_delay(Duration::from_secs(12));
    let mut world = World::new(slow);
    let lease = world.store.grant(LONG).await.unwrap();
    for member in [A, B, C, D] {
        world.put_leased(member, lease).await;
    }
    world.start();
    world.until_registered(&[A, B, C, D]).await;
    world.store.expire(lease);
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(registered(&world).len(), 4, "all are on their way");
    world.pass(Duration::from_secs(50)).await;
    assert_eq!(registered(&world).len(), 4, "none served when it began");
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_leaves_though_nobody_can_be_registered() {
    let mut world = World::new(FakeBackend::default());
    serving(&mut world, &[A, B]).await;
    world.backend.deny_registering();
    world.put(&World::key(C), "").await;
    world.pass(Duration::from_secs(1)).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[B]).await;
    let error = world.status().unwrap().error.unwrap();
    assert_eq!(error.what, "not you");
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_leaves_and_what_was_put_comes_though_health_hangs() {
    let mut world = World::new(FakeBackend::default());
    serving(&mut world, &[A, B, C]).await;
    world.backend.hide_health();
    world.del(&World::key(A)).await;
    world.until_registered(&[B, C]).await;
    world.put(&World::key(D), "").await;
    world.until_registered(&[B, C, D]).await;
    world.pass(Duration::from_mins(1)).await;
    let problems = world.status().unwrap().problems.join("\n");
    assert!(problems.contains("health cannot be read"), "{problems}");
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_does_not_exist_is_forgotten_with_its_last_key() {
    let mut world = World::new(FakeBackend::default());
    world.backend.set_missing(&other(), true);
    world.start();
    world.put(&other_key(A), "").await;
    world
        .until("the error is told", |world| {
            let status = world.status_of(&other());
            status.is_some_and(|status| status.error.is_some())
        })
        .await;
    world.del(&other_key(A)).await;
    world
        .until("it is forgotten", |world| {
            world.status_of(&other()).is_none()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn one_that_was_deleted_in_aws_first_is_forgotten_too() {
    let mut world = World::new(FakeBackend::default());
    serving(&mut world, &[A, B]).await;
    world.backend.set_missing(&World::id(), true);
    world.pass(Duration::from_mins(10)).await;
    world.del(&World::key(A)).await;
    world.del(&World::key(B)).await;
    world
        .until("it is forgotten", |world| world.status().is_none())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_is_purged_and_written_anew_has_its_time_to_settle() {
    let mut world = World::new(FakeBackend::default());
    serving(&mut world, &[A, B, C]).await;
    world.pass(LONG).await;
    let prefix = format!("/lbManager/{}/", World::id());
    let purge = Transaction::default().and_delete_prefix(prefix);
    world.store.commit(purge).await.unwrap();
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.pass(Duration::from_secs(5)).await;
    world.put(&World::key(C), "").await;
    world.pass(Duration::from_mins(10)).await;
    let calls = world.backend.calls();
    let left = calls
        .iter()
        .any(|call| matches!(call, Call::Deregister(..)));
    assert!(!left, "{calls:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_concerns_all_asks_for_nobodys_health() {
    let mut world = World::new(FakeBackend::default());
    world.put(&other_key(A), "").await;
    serving(&mut world, &[A, B]).await;
    world.backend.forget_calls();
    world.put("/lbManager/config", r#"{"adopt": true}"#).await;
    world.pass(Duration::from_secs(10)).await;
    let released = world.release(&status().release_all()).await;
    world.until_released(released).await;
    let calls = world.backend.calls();
    let asked = calls.iter().any(|call| matches!(call, Call::Health(..)));
    assert!(!asked, "{calls:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_purged_at_once_are_all_left_alone() {
    let mut world = World::new(FakeBackend::default());
    world.start();
    let ids: Vec<BalancerId> = (0..1500)
        .map(|number| format!("elb/us-east-1/lb{number}").parse().unwrap())
        .collect();
    for id in &ids {
        world
            .put(&format!("/lbManager/{id}/multiple/{A}"), "")
            .await;
    }
    world.pass(Duration::from_mins(1)).await;
    let purge = Transaction::default().and_delete_prefix("/lbManager/");
    world.store.commit(purge).await.unwrap();
    world
        .until("all are forgotten", |world| {
            ids.iter().all(|id| world.status_of(id).is_none())
        })
        .await;
    let kept = |id: &&BalancerId| world.backend.registered(id).len() == 1;
    assert_eq!(ids.iter().filter(kept).count(), ids.len());
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_read_is_no_sign_of_another_history() {
    let mut world = World::new(FakeBackend::default());
    serving(&mut world, &[A, B]).await;
    world.stop().await;
    let key = status().balancer(&"host-1".parse().unwrap(), &World::id());
    world.put(&key, "{").await;
    world.start();
    world.pass(Duration::from_mins(1)).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[B]).await;
}
