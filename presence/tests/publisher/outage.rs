use std::time::{Duration, Instant};

use presence::publisher::{Report, Standing};
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::memory::MemoryStore;
use presence::store::{Store, Transaction};
use serde_json::json;
use testbed::etcd::Etcd;
use testbed::wait;

use crate::{DEADLINE, KEY, Running, TTL, entry, member, options, started, weight};

async fn trouble(publisher: &mut Running) -> Report {
    publisher
        .until("trouble", |report| report.trouble.is_some())
        .await
}

#[tokio::test]
async fn etcd_is_killed_for_longer_than_the_lease_lasts() {
    let (mut etcd, store) = started().await;
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (first, lease) = publisher.published(KEY, None).await;
    etcd.kill().await.unwrap();
    let away = trouble(&mut publisher).await;
    assert!(
        matches!(away.keys[KEY], Standing::Published { .. }),
        "the last that is known"
    );
    tokio::time::sleep(TTL * 2).await;
    etcd.restart().await.unwrap();
    publisher
        .until("the end of trouble", |report| report.trouble.is_none())
        .await;

    // A restarted etcd gives every lease its full time again, so end it.
    store.revoke(lease).await.unwrap();
    publisher.published(KEY, Some(first)).await;
    let again = options(&entry(&store, KEY).await.unwrap());
    assert_eq!(again, json!({"weight": 1, "since": first.0}));
    publisher.stop().await;
}

#[tokio::test]
async fn etcd_falls_silent_for_longer_than_the_lease_lasts() {
    let (mut etcd, store) = started().await;
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (first, _) = publisher.published(KEY, None).await;
    etcd.pause().unwrap();
    trouble(&mut publisher).await;
    etcd.resume().unwrap();
    publisher.published(KEY, Some(first)).await;
    let again = options(&entry(&store, KEY).await.unwrap());
    assert_eq!(again, json!({"weight": 1, "since": first.0}));
    publisher.stop().await;
}

#[tokio::test]
async fn etcd_is_not_there_yet() {
    let (mut etcd, store) = started().await;
    etcd.stop().await.unwrap();
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let report = trouble(&mut publisher).await;
    assert!(report.trouble.unwrap().contains("Connection refused"));
    etcd.restart().await.unwrap();
    publisher.published(KEY, None).await;
    publisher.stop().await;
}

#[tokio::test]
async fn an_etcd_that_starts_empty_is_filled_again() {
    let (mut etcd, store) = started().await;
    for n in 0..5 {
        etcd.put(&format!("/{n}"), "").await.unwrap();
    }
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (first, _) = publisher.published(KEY, None).await;
    etcd.wipe().await.unwrap();
    publisher.published(KEY, Some(first)).await;
    let again = options(&entry(&store, KEY).await.unwrap());
    assert_eq!(
        again,
        json!({"weight": 1}),
        "revisions of the old history mean nothing"
    );
    publisher.stop().await;
}

#[tokio::test]
async fn stopping_while_etcd_is_away_takes_bounded_time() {
    let (mut etcd, store) = started().await;
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    publisher.published(KEY, None).await;
    etcd.pause().unwrap();
    let begin = Instant::now();
    publisher.stop().await;
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "{:?}",
        begin.elapsed()
    );
    etcd.resume().unwrap();
    crate::vanished(&store, KEY).await;
}

#[tokio::test]
async fn a_member_of_a_cluster_is_killed() {
    let mut cluster = testbed::etcd::EtcdCluster::start(3).await.unwrap();
    let endpoints = cluster.endpoints().to_vec();
    let config = presence::store::etcd::EtcdConfig::plain(endpoints);
    let store = presence::store::etcd::EtcdStore::connect(config)
        .await
        .unwrap();
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    publisher.published(KEY, None).await;
    for member in 0..3 {
        cluster.kill(member).await.unwrap();
        cluster.leader().await.unwrap();
        cluster.restart(member).await.unwrap();
        publisher
            .until("no trouble", |report| report.trouble.is_none())
            .await;
        publisher.published(KEY, None).await;
    }
    publisher.stop().await;
    let gone = || async { matches!(store.get(KEY).await, Ok(fetched) if fetched.entry.is_none()) };
    testbed::wait::until_true("the key to be gone", crate::DEADLINE, gone)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_for_minutes_costs_few_calls_and_no_member() {
    let store = MemoryStore::new();
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (first, _) = publisher.published(KEY, None).await;
    let before = store.counts();
    store.freeze();
    tokio::time::sleep(Duration::from_mins(5)).await;
    let calls = store.counts().calls - before.calls;
    assert!((30..80).contains(&calls), "{calls} calls in 5 minutes");
    store.thaw();
    publisher.published(KEY, Some(first)).await;
    assert_eq!(store.counts().writes, before.writes + 1);
    publisher.stop().await;
}

#[tokio::test]
async fn etcd_without_space_takes_members_out_and_has_them_back_when_there_is_space() {
    let quota = 16 << 20;
    let quota = format!("--quota-backend-bytes={quota}");
    let etcd = Etcd::builder().arg(quota).start().await.unwrap();
    let store = EtcdStore::connect(EtcdConfig::plain([etcd.endpoint()]))
        .await
        .unwrap();
    let mut publisher = Running::start(&store, &[(KEY, weight(1))]);
    let (first, lease) = publisher.published(KEY, None).await;
    let value = "x".repeat(1 << 20);
    while store
        .commit(Transaction::put("/fill", value.clone()))
        .await
        .is_ok()
    {}

    publisher.want(&[(KEY, member(json!({"ready": false})))], 0);
    let without = trouble(&mut publisher).await.trouble.unwrap();
    assert!(without.contains("etcdctl alarm disarm"), "{without}");
    let is_away = |report: &Report| matches!(report.keys[KEY], Standing::Pending { .. });
    publisher.until("deletion", is_away).await;
    let is_deleted = || async { entry(&store, KEY).await.is_none() };
    wait::until_true("deletion of the key", DEADLINE, is_deleted)
        .await
        .unwrap();
    assert!(store.keep_alive(lease).await.unwrap());

    store.commit(Transaction::delete("/fill")).await.unwrap();
    etcd.compact_now().await.unwrap();
    etcd.defrag().await.unwrap();
    etcd.etcdctl(&["alarm", "disarm"]).await.unwrap();
    publisher.published(KEY, Some(first)).await;
    let again = options(&entry(&store, KEY).await.unwrap());
    assert_eq!(again, json!({"ready": false, "since": first.0}));
    publisher.stop().await;
    assert!(entry(&store, KEY).await.is_none());
}
