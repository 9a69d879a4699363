//! One virtual service in several regions of a host.

use std::time::Duration;

use presence::store::{Store, Transaction};

use crate::support::host::{HOST, Host, SHARED};
use crate::{A, B, VIP, key, own, serving};

#[tokio::test(start_paused = true)]
async fn a_service_that_moves_to_another_region_is_not_missed() {
    let mut host = Host::new();
    host.start();
    host.put(&own(A), "").await;
    host.until_weights(VIP, &[(A, 1)]).await;
    host.pass(Duration::from_mins(1)).await;
    let config = format!("/lbManager/ipvs/{SHARED}/{VIP}/config");
    let moves = Transaction::put(config, r#"{"scheduler": "rr"}"#)
        .and_put(key(B), "", None)
        .and_delete(own(A));
    host.store.commit(moves).await.unwrap();
    host.until_weights(VIP, &[(B, 1)]).await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(B, 1)]).await;
    assert!(host.kernel.gaps().is_empty(), "{:?}", host.kernel.gaps());
}

#[tokio::test(start_paused = true)]
async fn two_regions_are_united_where_they_agree() {
    let host = serving(&[A]).await;
    host.put(&own(B), "").await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
    let config = format!("/lbManager/ipvs/{SHARED}/{VIP}/config");
    host.put(&config, r#"{"scheduler": "rr"}"#).await;
    let id = Host::id(SHARED, VIP);
    host.until("the other is told", |host| {
        let status = host.status(&id);
        status.is_some_and(|status| status.problems.join("").contains("is named first"))
    })
    .await;
}

/// Whether its status goes, and that of the other stays.
async fn until_one_status(host: &Host, stays: &str, goes: &str) {
    host.until("the status goes of who says nothing", |host| {
        host.status(&Host::id(goes, VIP)).is_none()
    })
    .await;
    host.pass(Duration::from_hours(1)).await;
    assert!(host.status(&Host::id(goes, VIP)).is_none());
    assert!(host.status(&Host::id(stays, VIP)).is_some());
}

async fn both_have_a_status(host: &Host) {
    for region in [HOST, SHARED] {
        host.until("it has a status", |host| {
            host.status(&Host::id(region, VIP)).is_some()
        })
        .await;
    }
    host.pass(Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_status_goes_of_a_region_that_says_nothing_any_more() {
    for (stays, goes) in [(HOST, SHARED), (SHARED, HOST)] {
        let mut host = Host::new();
        host.start();
        host.put(&Host::key(stays, VIP, "multiple", A), "").await;
        host.put(&Host::key(goes, VIP, "multiple", B), "").await;
        host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
        both_have_a_status(&host).await;
        host.del(&Host::key(goes, VIP, "multiple", B)).await;
        host.until_weights(VIP, &[(A, 1)]).await;
        until_one_status(&host, stays, goes).await;
        // And comes again.
        host.put(&Host::key(goes, VIP, "multiple", B), "").await;
        both_have_a_status(&host).await;
    }
}

#[tokio::test(start_paused = true)]
async fn also_if_it_lost_its_keys_while_nobody_watched() {
    for (stays, goes) in [(HOST, SHARED), (SHARED, HOST)] {
        let mut host = Host::new();
        host.start();
        host.put(&Host::key(stays, VIP, "multiple", A), "").await;
        host.put(&Host::key(goes, VIP, "multiple", B), "").await;
        host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
        both_have_a_status(&host).await;
        host.kill().await;
        host.del(&Host::key(goes, VIP, "multiple", B)).await;
        host.start();
        host.until_weights(VIP, &[(A, 1)]).await;
        until_one_status(&host, stays, goes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn also_if_its_word_did_not_count() {
    let mut host = serving(&[A]).await;
    host.put(&Host::key(HOST, VIP, "single", B), "").await;
    host.until("the other is told", |host| {
        let status = host.status(&Host::id(SHARED, VIP));
        status.is_some_and(|status| !status.problems.is_empty())
    })
    .await;
    host.del(&key(A)).await;
    until_one_status(&host, HOST, SHARED).await;
    host.stop().await;
}
