//! Virtual services that are not managed any more, and what is left of them.

use std::time::Duration;

use crate::support::status;
use ipvs::{Scheduler, ServiceFlags};
use presence::store::{Store, Transaction};

use crate::support::host::{HOST, Host, SHARED};
use crate::{A, B, VIP, foreign, key, own, serving};

#[tokio::test(start_paused = true)]
async fn a_purge_leaves_everything_as_it_is() {
    let host = serving(&[A, B]).await;
    let prefix = format!("/lbManager/ipvs/{SHARED}/{VIP}/");
    let purge = Transaction::default().and_delete_prefix(prefix);
    host.store.commit(purge).await.unwrap();
    let id = Host::id(SHARED, VIP);
    host.until("its status is gone", |host| host.status(&id).is_none())
        .await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_purge_leaves_nobody_half_way_out() {
    let host = serving(&[A, B]).await;
    host.kernel.connect(VIP, A, 1);
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(A, 0), (B, 1)]).await;
    let config = format!("/lbManager/ipvs/{SHARED}/{VIP}/config");
    host.put(&config, "{}").await;
    let prefix = format!("/lbManager/ipvs/{SHARED}/{VIP}/");
    let purge = Transaction::default().and_delete_prefix(prefix);
    host.store.commit(purge).await.unwrap();
    host.until_weights(VIP, &[(B, 1)]).await;
    let id = Host::id(SHARED, VIP);
    host.until("its status is gone", |host| host.status(&id).is_none())
        .await;
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(B, 1)]).await;
}

/// Strangers in a service that others made are not this manager's, even where
/// it was killed before it could write down what it found.
#[tokio::test(start_paused = true)]
async fn strangers_stay_strangers_over_a_crash() {
    let mut host = Host::new();
    for command in foreign() {
        host.kernel.tamper(command);
    }
    host.start();
    let key = Host::key(HOST, "192.0.2.1:443", "multiple", A);
    host.die_after(1);
    host.put(&key, "").await;
    host.pass(Duration::from_secs(1)).await;
    host.kill().await;
    host.start();
    host.pass(Duration::from_secs(5)).await;
    let weights = host.kernel.weights("192.0.2.1:443").unwrap();
    assert_eq!(weights.get("192.0.2.9:443"), Some(&7), "{weights:?}");
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_leaves_the_config_leaves_the_real_servers() {
    let mut host = Host::new();
    host.start();
    let config = format!("/lbManager/ipvs/{HOST}/{VIP}/config");
    host.put(&config, r#"{"scheduler": "rr"}"#).await;
    for member in [A, B] {
        host.put(&own(member), "").await;
    }
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
    host.pass(Duration::from_mins(2)).await;
    let prefix = format!("/lbManager/ipvs/{HOST}/{VIP}/multiple/");
    let purge = Transaction::default().and_delete_prefix(prefix);
    host.store.commit(purge).await.unwrap();
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
    host.kill().await;
    host.start();
    host.pass(Duration::from_hours(1)).await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_config_keeps_a_service_that_has_no_member() {
    let mut host = Host::new();
    host.start();
    let config = format!("/lbManager/ipvs/{SHARED}/{VIP}/config");
    host.put(&config, r#"{"scheduler": "sh", "persistence": 60}"#)
        .await;
    host.until_weights(VIP, &[]).await;
    let set_up = host.kernel.config(VIP).unwrap();
    assert_eq!(set_up.scheduler, Scheduler::SH);
    assert_eq!(set_up.flags, ServiceFlags::FALLBACK);
    assert_eq!(set_up.persistence, Some(Duration::from_mins(1)));
    host.del(&config).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(VIP).is_none()
    })
    .await;
}

/// It is gone for good: no delete of it will ever be told.
#[tokio::test(start_paused = true)]
async fn a_config_that_a_restored_store_lacks_keeps_no_service() {
    let mut host = Host::new();
    host.put(&Host::key(HOST, "10.0.0.9:80", "multiple", A), "")
        .await;
    let snapshot = host.store.snapshot();
    host.start();
    let config = format!("/lbManager/ipvs/{SHARED}/{VIP}/config");
    host.put(&config, r#"{"scheduler": "rr"}"#).await;
    host.until_weights(VIP, &[]).await;
    host.pass(Duration::from_mins(1)).await;
    host.store.restore(&snapshot);
    host.pass(Duration::from_mins(10)).await;
    host.until_weights(VIP, &[]).await;
    host.release(&status().release_all()).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(VIP).is_none()
    })
    .await;
}
