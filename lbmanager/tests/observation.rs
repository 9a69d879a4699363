//! What is observed before members are removed, and what the status shows: the
//! driver over fakes, with tokio's clock paused.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use lbmanager::record::{Action, State};
use presence::model::BalancerId;
use presence::store::Store;
use support::fake::{Call, FakeBackend};
use support::world::World;

const A: &str = "i-0000000a";
const B: &str = "i-0000000b";
const C: &str = "i-0000000c";

/// These members serve, each by a key of its own.
async fn serving_at(backend: FakeBackend, members: &[&str]) -> World {
    let mut world = World::new(backend);
    for member in members {
        world.put(&World::key(member), "").await;
    }
    world.start();
    world.until_registered(members).await;
    world.pass(Duration::from_mins(1)).await;
    world.backend.forget_calls();
    world
}

async fn serving(members: &[&str]) -> World {
    serving_at(FakeBackend::default(), members).await
}

fn state(world: &World, member: &str) -> Option<State> {
    let status = world.status()?;
    status.members.get(member).map(|known| known.state)
}

fn count(world: &World, of: fn(&Call) -> bool) -> usize {
    world.backend.calls().iter().filter(|call| of(call)).count()
}

fn is_describe(call: &Call) -> bool {
    matches!(call, Call::Describe(_))
}

fn is_health(call: &Call) -> bool {
    matches!(call, Call::Health(_))
}

fn is_register(call: &Call) -> bool {
    matches!(call, Call::Register(..))
}

fn is_deregister(call: &Call) -> bool {
    matches!(call, Call::Deregister(..))
}

#[tokio::test(start_paused = true)]
async fn one_deregistered_by_hand_is_back_before_another_that_is_deleted_leaves() {
    let world = serving(&[A, B]).await;
    world.backend.tamper_out(&World::id(), &[A]);
    world.del(&World::key(B)).await;
    world.until_registered(&[A]).await;
    assert_eq!(world.backend.gaps(), Vec::<String>::new());
    let calls = world.backend.calls();
    let place = |of: fn(&Call) -> bool| calls.iter().position(of).unwrap();
    assert!(place(is_describe) < place(is_register), "{calls:?}");
    assert!(place(is_register) < place(is_deregister), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_removal_is_preceded_by_a_describe_and_a_registration_is_not() {
    let world = serving(&[A, B]).await;
    world.put(&World::key(C), "").await;
    world.until_registered(&[A, B, C]).await;
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(count(&world, is_describe), 0);
    world.del(&World::key(C)).await;
    world.until_registered(&[A, B]).await;
    assert_eq!(count(&world, is_describe), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_describe_fails_is_retried_and_the_status_shows_why() {
    let world = serving(&[A, B]).await;
    world.backend.fail_describes(4);
    world.del(&World::key(A)).await;
    world
        .until("the error is in the status", |world| {
            let error = world.status().and_then(|status| status.error);
            error.is_some_and(|error| error.what == "no description")
        })
        .await;
    assert_eq!(world.backend.registered(&World::id()).len(), 2);
    world.until_registered(&[B]).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_without_health_is_described_again_and_then_given_its_time() {
    let mut world = World::new(FakeBackend::default());
    world.backend.set_unmentioned(&World::id(), &[A]);
    world.put(&World::key(A), "").await;
    world.put(&World::key(B), "").await;
    world.start();
    world
        .until("A counts as in service", |world| {
            state(world, A) == Some(State::Serving)
        })
        .await;
    let problems = world.status().unwrap().problems.join(" ");
    assert!(problems.contains("without their health"), "{problems}");
    let (describes, health) = (count(&world, is_describe), count(&world, is_health));
    assert!(describes <= 1 + 3 * health, "{describes} and {health}");
    world.del(&World::key(B)).await;
    world.until_registered(&[A]).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_written_again_serves_when_that_was_observed() {
    let world = serving(&[A, B]).await;
    world.backend.set_sick(&World::id(), &[A]);
    world.put(&World::key(A), r#"{"weight": 2}"#).await;
    let revision = world.store.revision();
    world
        .until("its revision is in the status", |world| {
            let status = world.status().unwrap();
            let known = status.members.get(A).unwrap();
            assert!(known.mod_revision < Some(revision) || known.state != State::Serving);
            known.mod_revision == Some(revision)
        })
        .await;
    world.backend.set_sick(&World::id(), &[]);
    world
        .until("it serves", |world| state(world, A) == Some(State::Serving))
        .await;
}

#[tokio::test(start_paused = true)]
async fn no_status_is_older_than_half_an_hour() {
    let world = serving(&[A, B]).await;
    for sick in [&[A][..], &[]] {
        world.backend.set_sick(&World::id(), sick);
        world.pass(Duration::from_mins(33)).await;
        let serves = state(&world, A) == Some(State::Serving);
        assert_eq!(serves, sick.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deregistered_member_drains_as_long_as_the_load_balancer_says() {
    let draining = FakeBackend::default().with_draining(Duration::from_mins(5));
    let world = serving_at(draining, &[A, B]).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[B]).await;
    world.pass(Duration::from_secs(1)).await;
    for _ in 0..4 {
        assert_eq!(state(&world, A), Some(State::Draining));
        world.pass(Duration::from_mins(1)).await;
    }
    world.pass(Duration::from_mins(1)).await;
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(state(&world, A), None);
    assert_eq!(count(&world, is_deregister), 1);
    let asked = count(&world, is_health);
    assert!(asked < 50, "{asked} times for health in 5 minutes");
}

#[tokio::test(start_paused = true)]
async fn the_last_member_drains_before_its_status_ends() {
    let draining = FakeBackend::default().with_draining(Duration::from_mins(5));
    let world = serving_at(draining, &[A]).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[]).await;
    world.pass(Duration::from_mins(4)).await;
    assert_eq!(state(&world, A), Some(State::Draining));
    world
        .until("its status ends", |world| world.status().is_none())
        .await;
}

#[tokio::test(start_paused = true)]
async fn draining_does_not_end_because_health_cannot_be_read() {
    let draining = FakeBackend::default().with_draining(Duration::from_mins(30));
    let world = serving_at(draining, &[A, B]).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[B]).await;
    world.backend.hide_health();
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(state(&world, A), Some(State::Draining));
}

#[tokio::test(start_paused = true)]
async fn a_member_is_registered_once_though_it_is_still_reported_as_leaving() {
    let draining = FakeBackend::default().with_draining(Duration::from_mins(5));
    let world = serving_at(draining, &[A, B]).await;
    world.del(&World::key(A)).await;
    world.until_registered(&[B]).await;
    world.pass(Duration::from_secs(10)).await;
    world.backend.set_lingering(&World::id(), &[A]);
    world.backend.forget_calls();
    world.put(&World::key(A), "").await;
    world.until_registered(&[A, B]).await;
    world.pass(Duration::from_mins(2)).await;
    assert_eq!(count(&world, is_register), 1);
    let asked = count(&world, is_health);
    assert!(asked < 25, "{asked} times for health in 2 minutes");
    world.backend.set_lingering(&World::id(), &[]);
    world
        .until("it serves", |world| state(world, A) == Some(State::Serving))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_deregistration_is_not_reported_as_done() {
    let world = serving(&[A, B]).await;
    world.backend.keep(&World::id(), A);
    world.del(&World::key(A)).await;
    world
        .until("the rejection is in the status", |world| {
            let status = world.status().unwrap();
            let withheld = status.withheld.values().next();
            withheld.is_some_and(|withheld| withheld.why.contains("no such instance"))
        })
        .await;
    assert_eq!(state(&world, A), Some(State::Serving));
    world.pass(Duration::from_mins(1)).await;
    let tries = count(&world, is_deregister);
    assert!((1..=5).contains(&tries), "{tries} tries in a minute");
    let is_done = |world: &World| {
        let changes = world.status().unwrap().changes;
        let mut done = changes.iter();
        done.any(|change| change.action == Action::Deregister)
    };
    assert!(!is_done(&world));
    world.backend.tamper_out(&World::id(), &[A]);
    world
        .until("it is dropped once it is not listed", |world| {
            state(world, A).is_none() && world.status().unwrap().withheld.is_empty()
        })
        .await;
    assert!(!is_done(&world));
}

#[tokio::test(start_paused = true)]
async fn a_description_that_is_empty_for_a_moment_forgets_nobody() {
    let mut world = World::new(FakeBackend::default());
    let lease = world.store.grant(Duration::from_hours(2)).await.unwrap();
    world.put_leased(A, lease).await;
    world.start();
    world.until_registered(&[A]).await;
    world.pass(Duration::from_mins(1)).await;
    world.store.expire(lease);
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(world.status().unwrap().withheld.len(), 1, "it is held");
    for describes in [1, 2, 10] {
        world.backend.empty_describes(describes);
        world.pass(Duration::from_mins(11)).await;
        let status = world.status().unwrap();
        assert_eq!(status.withheld.len(), 1, "{describes}: {status:#?}");
        assert!(status.members.get(A).unwrap().placed);
    }
    world.put(&World::key(B), "").await;
    world.until_registered(&[A, B]).await;
}

#[tokio::test(start_paused = true)]
async fn the_more_balancers_poll_the_less_often_each_does() {
    let mut world = World::new(FakeBackend::default());
    let ids: Vec<BalancerId> = (0..600)
        .map(|number| format!("elb/us-east-1/lb{number}").parse().unwrap())
        .collect();
    world.backend.set_sick(&World::id(), &[A]);
    for id in &ids {
        let key = format!("/lbManager/{id}/multiple/{A}");
        world.put(&key, "").await;
    }
    world.start();
    world.pass(Duration::from_mins(5)).await;
    world.backend.forget_calls();
    world.pass(Duration::from_mins(5)).await;
    let asked = count(&world, is_health);
    // The rate limiter admits ten a second.
    assert!((600..=3000).contains(&asked), "{asked} in 5 minutes");
}
