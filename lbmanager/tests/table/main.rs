//! Virtual services over fakes: the store and the kernel in memory, tokio's
//! clock paused.

#![allow(clippy::unwrap_used, missing_docs)]

mod claims;
mod crashes;
mod endings;
mod identities;
mod regions;
mod state;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use crate::support::status;
use ipvs::{Command, DestinationConfig, Forward, Scheduler, ServiceConfig};
use lbmanager::reconcile::Rest;
use presence::store::{Store, Transaction};
use support::host::{HOST, Host, SHARED};
use support::kernel::{server, service};

const VIP: &str = "10.0.0.1:80";
const OTHER: &str = "10.0.0.2:80";
const A: &str = "10.0.1.1:80";
const B: &str = "10.0.1.2:80";
const C: &str = "10.0.1.3:80";
const D: &str = "10.0.1.4:80";

fn key(member: &str) -> String {
    Host::key(SHARED, VIP, "multiple", member)
}

fn own(member: &str) -> String {
    Host::key(HOST, VIP, "multiple", member)
}

async fn serving(members: &[&str]) -> Host {
    let mut host = Host::new();
    host.start();
    for member in members {
        host.put(&key(member), "").await;
    }
    let weights: Vec<(&str, u32)> = members.iter().map(|member| (*member, 1)).collect();
    host.until_weights(VIP, &weights).await;
    host.pass(Duration::from_secs(30)).await;
    host
}

fn foreign() -> [Command; 2] {
    let config = ServiceConfig::new(ipvs::Family::V4, Scheduler::RR);
    let add = Command::AddService {
        service: service("192.0.2.1:443"),
        config,
    };
    let server = Command::AddDestination {
        service: service("192.0.2.1:443"),
        destination: server("192.0.2.9:443"),
        config: DestinationConfig::new(Forward::Direct, 7),
    };
    [add, server]
}

#[tokio::test(start_paused = true)]
async fn a_put_adds_and_a_delete_drains_and_removes() {
    let host = serving(&[A, B]).await;
    host.kernel.connect(VIP, A, 3);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.pass(Duration::from_secs(5)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.kernel.connect(VIP, A, 0);
    host.until_weights(VIP, &[(B, 1)]).await;
    let status = host.status(&Host::id(SHARED, VIP)).unwrap();
    assert!(!status.members.contains_key(A), "{status:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_has_an_end() {
    let host = serving(&[A, B]).await;
    host.kernel.connect(VIP, A, 3);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.pass(Duration::from_secs(28)).await;
    assert!(host.kernel.weights(VIP).unwrap().contains_key(A));
    host.pass(Duration::from_secs(4)).await;
    assert!(!host.kernel.weights(VIP).unwrap().contains_key(A));
}

#[tokio::test(start_paused = true)]
async fn one_that_returns_while_it_drains_is_revived() {
    let host = serving(&[A, B]).await;
    host.kernel.connect(VIP, A, 3);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.put(&key(A), r#"{"weight": 4}"#).await;
    host.until_weights(VIP, &[(A, 4), (B, 1)]).await;
    host.pass(Duration::from_mins(5)).await;
    host.until_weights(VIP, &[(A, 4), (B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_goes_on_after_a_restart() {
    let mut host = serving(&[A, B]).await;
    host.kernel.connect(VIP, A, 3);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.pass(Duration::from_secs(10)).await;
    host.kill().await;
    host.start();
    host.pass(Duration::from_secs(15)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.pass(Duration::from_secs(8)).await;
    assert!(!host.kernel.weights(VIP).unwrap().contains_key(A));
}

#[tokio::test(start_paused = true)]
async fn a_single_service_is_never_without_a_real_server() {
    let mut host = Host::new();
    host.start();
    let key = |member| Host::key(HOST, VIP, "single", member);
    for member in [A, B, C, A] {
        host.put(&key(member), "").await;
        host.until_weights(VIP, &[(member, 1)]).await;
    }
    assert!(host.kernel.gaps().is_empty(), "{:?}", host.kernel.gaps());
}

#[tokio::test(start_paused = true)]
async fn replacing_all_at_once_leaves_no_moment_without_a_real_server() {
    let host = serving(&[A, B]).await;
    let swap = Transaction::delete(key(A))
        .and_delete(key(B))
        .and_put(key(C), "", None)
        .and_put(key(D), "", None);
    host.store.commit(swap).await.unwrap();
    host.until_weights(VIP, &[(C, 1), (D, 1)]).await;
    assert!(host.kernel.gaps().is_empty(), "{:?}", host.kernel.gaps());
}

#[tokio::test(start_paused = true)]
async fn the_last_key_takes_the_service_along() {
    let host = serving(&[A]).await;
    host.del(&key(A)).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(VIP).is_none()
    })
    .await;
    let id = Host::id(SHARED, VIP);
    host.until("its status is gone", |host| host.status(&id).is_none())
        .await;
    host.put(&key(B), "").await;
    host.until_weights(VIP, &[(B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_others_made_is_not_touched() {
    let mut host = Host::new();
    for command in foreign() {
        host.kernel.tamper(command);
    }
    host.start();
    host.put(&key(A), "").await;
    host.until_weights(VIP, &[(A, 1)]).await;
    host.del(&key(A)).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(VIP).is_none()
    })
    .await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights("192.0.2.1:443", &[("192.0.2.9:443", 7)])
        .await;
    let theirs = service("192.0.2.1:443");
    let commands = host.kernel.commands();
    assert!(commands.iter().all(|command| *command.service() != theirs));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_somebody_emptied_is_filled_again() {
    let host = serving(&[A, B]).await;
    host.kernel.clear();
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn weights_set_by_hand_are_set_back() {
    let host = serving(&[A, B]).await;
    host.kernel.tamper(Command::EditDestination {
        service: service(VIP),
        destination: server(A),
        config: DestinationConfig::new(Forward::Masq, 0),
    });
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn leases_that_end_are_held_in_shared_regions_and_not_in_the_own() {
    let mut host = Host::new();
    let lease = host.store.grant(Duration::from_hours(2)).await.unwrap();
    let other = |member| Host::key(HOST, OTHER, "multiple", member);
    for member in [A, B, C, D] {
        host.put_leased(&key(member), lease).await;
        host.put_leased(&other(member), lease).await;
    }
    host.start();
    host.until_weights(OTHER, &[(A, 1), (B, 1), (C, 1), (D, 1)])
        .await;
    host.pass(Duration::from_secs(30)).await;
    host.store.expire(lease);
    host.until("the own ones are gone", |host| {
        host.kernel.weights(OTHER).is_none()
    })
    .await;
    let weights = host.kernel.weights(VIP).unwrap();
    let able = |weights: std::collections::BTreeMap<String, u32>| {
        let able = weights.into_iter().filter(|(_, weight)| *weight > 0);
        able.map(|(member, _)| member).collect::<Vec<_>>()
    };
    let held = able(weights);
    assert_eq!(held.len(), 2, "half may leave");
    // Whoever does not answer is not worth holding.
    host.silence(&held[0]);
    host.until("the other one is left", |host| {
        able(host.kernel.weights(VIP).unwrap()) == held[1..]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_is_not_ready_gets_nothing_new_and_stays() {
    let host = serving(&[A, B, C]).await;
    host.kernel.connect(VIP, A, 1);
    host.put(&key(A), r#"{"ready": false}"#).await;
    host.until_weights(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    host.put(&key(A), r#"{"ready": true}"#).await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_was_not_ready_has_its_drain_when_it_leaves() {
    let host = serving(&[A, B, C]).await;
    host.kernel.connect(VIP, A, 1);
    host.put(&key(A), r#"{"ready": false}"#).await;
    host.until_weights(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    host.pass(Duration::from_hours(1)).await;
    host.del(&key(A)).await;
    host.pass(Duration::from_secs(28)).await;
    assert!(host.kernel.weights(VIP).unwrap().contains_key(A));
    host.until_weights(VIP, &[(B, 1), (C, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_revived_is_not_taken_for_drained() {
    let mut host = serving(&[A, B]).await;
    host.kernel.connect(VIP, A, 3);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.pass(Duration::from_secs(2)).await;
    host.kill().await;
    host.put(&key(A), "").await;
    host.kernel.tamper(Command::EditDestination {
        service: service(VIP),
        destination: server(A),
        config: DestinationConfig::new(Forward::Masq, 1),
    });
    host.kernel.forget_commands();
    host.start();
    host.pass(Duration::from_hours(1)).await;
    let commands = host.kernel.commands();
    assert!(commands.is_empty(), "{commands:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_restored_takes_nobody_out() {
    let mut host = Host::new();
    host.put(&key(A), "").await;
    let snapshot = host.store.snapshot();
    host.start();
    host.until_weights(VIP, &[(A, 1)]).await;
    host.put(&key(B), "").await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
    host.pass(Duration::from_mins(1)).await;
    host.store.restore(&snapshot);
    host.put(&key(C), "").await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
    host.release(&status().release_all()).await;
    host.until_weights(VIP, &[(A, 1), (C, 1)]).await;
}

/// Members of a TCP service that are held must answer, also this host's own.
#[tokio::test(start_paused = true)]
async fn own_members_that_do_not_answer_leave_while_removals_are_frozen() {
    let mut host = Host::new();
    host.put(&own(A), "").await;
    let snapshot = host.store.snapshot();
    host.start();
    host.put(&own(B), "").await;
    host.put(&own(C), "").await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
    host.pass(Duration::from_mins(1)).await;
    host.store.restore(&snapshot);
    host.pass(Duration::from_mins(10)).await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
    host.silence(B);
    host.until_weights(VIP, &[(A, 1), (B, 0), (C, 1)]).await;
    host.pass(Duration::from_hours(1)).await;
    assert_eq!(host.kernel.weights(VIP).unwrap()[C], 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_real_server_is_retried_soon_and_then_less_often() {
    let host = serving(&[A]).await;
    host.kernel.refuse(B);
    host.put(&key(B), "").await;
    let attempts = || {
        let commands = host.kernel.commands();
        let attempts = commands.iter().filter(|command| {
            let of_b = server(B);
            matches!(command, Command::AddDestination { destination, .. } if *destination == of_b)
        });
        attempts.count()
    };
    host.pass(Duration::from_mins(1)).await;
    assert!(attempts() >= 3, "{}", attempts());
    host.pass(Duration::from_hours(1)).await;
    let before = attempts();
    host.pass(Duration::from_hours(1)).await;
    let more = attempts() - before;
    assert!((5..=13).contains(&more), "{more}");
    // Its key is another try.
    let before = attempts();
    host.put(&key(B), "").await;
    host.pass(Duration::from_secs(1)).await;
    assert_eq!(attempts(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_after_a_restore_is_applied_while_removals_are_frozen() {
    let mut host = Host::new();
    host.put(&key(A), "").await;
    host.put(&key(C), "").await;
    let snapshot = host.store.snapshot();
    host.start();
    host.until_weights(VIP, &[(A, 1), (C, 1)]).await;
    host.put(&key(B), "").await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
    host.pass(Duration::from_mins(1)).await;
    host.store.restore(&snapshot);
    host.pass(Duration::from_mins(1)).await;
    host.del(&key(C)).await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
}

/// A host that was cut off from etcd sees that the leases of its own members
/// expired. Their launchers write the keys again.
#[tokio::test(start_paused = true)]
async fn an_own_member_whose_key_returns_within_15_seconds_stays() {
    let mut host = Host::new();
    let lease = host.store.grant(Duration::from_hours(2)).await.unwrap();
    host.put_leased(&own(A), lease).await;
    host.start();
    host.until_weights(VIP, &[(A, 1)]).await;
    host.pass(Duration::from_mins(1)).await;
    host.kernel.forget_commands();
    host.store.expire(lease);
    host.pass(Duration::from_secs(12)).await;
    host.put(&own(A), "").await;
    host.pass(Duration::from_hours(1)).await;
    let commands = host.kernel.commands();
    assert!(commands.is_empty(), "{commands:?}");
    // One that does not return leaves, the last one included.
    let lease = host.store.grant(Duration::from_hours(2)).await.unwrap();
    host.put_leased(&own(A), lease).await;
    host.pass(Duration::from_secs(30)).await;
    host.store.expire(lease);
    host.pass(Duration::from_secs(12)).await;
    host.until_weights(VIP, &[(A, 1)]).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(VIP).is_none()
    })
    .await;
}

/// Whose drain may not end is held, which is said.
#[tokio::test(start_paused = true)]
async fn who_drains_is_held_where_he_is_when_nobody_may_be_removed() {
    let host = serving(&[B]).await;
    let snapshot = host.store.snapshot();
    host.put(&key(A), "").await;
    host.put(&key(C), "").await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
    host.kernel.connect(VIP, A, 3);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    host.store.restore(&snapshot);
    let id = Host::id(SHARED, VIP);
    host.until("A is held", |host| {
        let status = host.status(&id).unwrap();
        status.withheld.contains_key(A) && status.withheld.contains_key(C)
    })
    .await;
    host.kernel.connect(VIP, A, 0);
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    let why = &host.status(&id).unwrap().withheld[A].why;
    assert!(why.contains("release --all"), "{why}");
    host.release(&status().release_all()).await;
    host.until_weights(VIP, &[(B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn who_drains_is_held_where_he_is_while_it_is_paused() {
    let host = serving(&[A, B]).await;
    host.kernel.connect(VIP, A, 3);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    let config = format!("/lbManager/ipvs/{SHARED}/{VIP}/config");
    host.put(&config, r#"{"paused": true}"#).await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    let status = host.status(&Host::id(SHARED, VIP)).unwrap();
    assert!(status.withheld[A].why.contains("resume"), "{status:#?}");
    host.del(&config).await;
    host.until_weights(VIP, &[(B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_to_have_no_weight_is_as_the_tree_says() {
    let host = serving(&[A, B]).await;
    host.put(&key(A), r#"{"weight": 0}"#).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    host.pass(Duration::from_mins(2)).await;
    let reports = host.board.watch();
    let rest = reports.borrow()[&Host::id(SHARED, VIP)].rest;
    assert_eq!(rest, Rest::InSync);
}
