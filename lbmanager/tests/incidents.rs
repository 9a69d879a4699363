//! Incidents of expired leases with many members: the driver over fakes, with
//! tokio's clock paused.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use presence::model::LeaseId;
use presence::store::Store;
use support::fake::FakeBackend;
use support::world::World;

const MEMBERS: u32 = 64;
const LONG: Duration = Duration::from_hours(9);

fn member(number: u32) -> String {
    format!("i-{number:08x}")
}

fn registered(world: &World) -> BTreeSet<String> {
    world.backend.registered(&World::id())
}

fn held(world: &World) -> BTreeSet<String> {
    let withheld = world.status().unwrap().withheld;
    withheld.keys().map(ToString::to_string).collect()
}

async fn put(world: &World, number: u32) -> LeaseId {
    let lease = world.store.grant(LONG).await.unwrap();
    world.put_leased(&member(number), lease).await;
    lease
}

async fn all_in_service(world: &mut World) {
    world.start();
    let all: Vec<String> = (0..MEMBERS).map(member).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    world.until_registered(&all).await;
    world.pass(Duration::from_mins(1)).await;
}

async fn restart(world: &mut World) {
    world.kill().await;
    world.start();
}

/// Half of them stay after 1, 10 and 30 minutes, whether the manager restarts
/// or not.
async fn half_stay(world: &mut World) {
    for minutes in [1, 9, 20] {
        world.pass(Duration::from_mins(minutes)).await;
        assert_eq!(registered(world).len(), 32, "{minutes} minutes later");
        restart(world).await;
    }
    assert_eq!(registered(world).len(), 32);
}

async fn on_one_lease() -> World {
    let mut world = World::new(FakeBackend::default());
    let lease = world.store.grant(LONG).await.unwrap();
    for number in 0..MEMBERS {
        world.put_leased(&member(number), lease).await;
    }
    all_in_service(&mut world).await;
    world.store.expire(lease);
    world
}

#[tokio::test(start_paused = true)]
async fn of_64_members_on_one_lease_32_stay() {
    let mut world = on_one_lease().await;
    half_stay(&mut world).await;
    let first: BTreeSet<String> = (0..32).map(member).collect();
    assert!(registered(&world).is_disjoint(&first), "by member");
    let status = world.status().unwrap();
    let why = &status.withheld.values().next().unwrap().why;
    let arithmetic = "64 of 64 leases expired, at most 32 members may leave (max_removals 0.5)";
    assert!(why.starts_with(arithmetic), "{why}");
    let incident = status.incident.unwrap();
    assert_eq!((incident.serving, incident.removed.len()), (64, 32));
}

#[tokio::test(start_paused = true)]
async fn of_64_members_on_leases_of_their_own_32_stay_though_half_return_and_expire_again() {
    let mut world = World::new(FakeBackend::default());
    let mut leases = Vec::new();
    for number in 0..MEMBERS {
        leases.push(put(&world, number).await);
    }
    all_in_service(&mut world).await;
    for round in 0..MEMBERS + 16 {
        if let Some(lease) = leases.get(round as usize) {
            world.store.expire(*lease);
        }
        // Every other member returns 4 s after its lease expired, and expires
        // again 2 s after that.
        if let Some(number) = round.checked_sub(8).filter(|number| number % 2 == 0) {
            let lease = put(&world, number % MEMBERS).await;
            world.pass(Duration::from_secs(2)).await;
            world.store.expire(lease);
        }
        world.pass(Duration::from_millis(470)).await;
        if round == 30 {
            restart(&mut world).await;
        }
        assert!(registered(&world).len() >= 32, "round {round}");
    }
    half_stay(&mut world).await;
}

#[tokio::test(start_paused = true)]
async fn held_members_leave_when_unhealthy_deleted_or_released_and_stay_if_they_return() {
    let mut world = on_one_lease().await;
    half_stay(&mut world).await;
    let stays = registered(&world);
    let mut next = stays.iter().cloned();

    let sick = next.next().unwrap();
    world.backend.never_healthy(&World::id(), &sick);
    world
        .until("the unhealthy one has left", |world| {
            !registered(world).contains(&sick)
        })
        .await;
    let deleted = next.next().unwrap();
    world.put(&World::key(&deleted), "").await;
    world.pass(Duration::from_secs(10)).await;
    world.del(&World::key(&deleted)).await;
    world
        .until("the deleted one has left", |world| {
            !registered(world).contains(&deleted)
        })
        .await;
    let returns = next.next().unwrap();
    world.put(&World::key(&returns), "").await;
    world.pass(Duration::from_mins(5)).await;
    assert_eq!(registered(&world).len(), 30);
    assert!(!held(&world).contains(&returns));

    let release = support::status().release(&World::id());
    world.release(&release).await;
    world.until_registered(&[&returns]).await;
    assert!(world.status().unwrap().incident.is_none());
}

/// The incident is over once all keys are back and `--hold` has passed. Before
/// that, members that left in it still count.
#[tokio::test(start_paused = true)]
async fn an_incident_lasts_until_no_lease_has_expired_for_the_hold_time() {
    let world = on_one_lease().await;
    world.pass(Duration::from_mins(2)).await;
    let lease = world.store.grant(LONG).await.unwrap();
    for number in 0..MEMBERS {
        world.put_leased(&member(number), lease).await;
    }
    world.pass(Duration::from_mins(5)).await;
    assert_eq!(registered(&world).len(), 64);
    world.store.expire(lease);
    world.pass(Duration::from_mins(5)).await;
    assert_eq!(registered(&world).len(), 32, "one incident");
    let first: BTreeSet<String> = (0..32).map(member).collect();
    assert!(registered(&world).is_disjoint(&first), "the same ones");
    let lease = world.store.grant(LONG).await.unwrap();
    for number in 0..MEMBERS {
        world.put_leased(&member(number), lease).await;
    }
    world.pass(Duration::from_mins(16)).await;
    assert!(world.status().unwrap().incident.is_none());
}
