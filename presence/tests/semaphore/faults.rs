//! Never more holders than slots, whatever fails.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use presence::semaphore::{Claim, Lost};
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::{Store, StoreError};
use testbed::etcd::{Etcd, EtcdCluster};
use tokio::time::timeout;

use crate::site::Site;
use crate::{Acquiring, DEADLINE, claim, connected, hold, keep, lock, semaphore, started};

/// Longer than any lease here lives.
const SILENCE: Duration = Duration::from_secs(15);

/// As `run-locked` does by default.
fn ten_seconds(service: &str) -> Claim {
    let ttl = Duration::from_secs(10);
    Claim {
        ttl,
        waiting: ttl,
        ..claim(service)
    }
}

#[tokio::test]
async fn a_holder_of_yesterday_is_refused_by_the_register() {
    let (_etcd, store) = started().await;
    let (semaphore, site) = (semaphore(&store), Site::new());
    let first = hold(&semaphore, lock("a")).await;
    assert!(site.enter(&first, 1));
    assert!(site.write(first.token()));
    let mut next = Acquiring::start(&semaphore, lock("b"));
    next.waits_behind(0).await;
    store.revoke(first.lease()).await.unwrap();
    // It does not know yet; the site is told, as it is no fault of its own.
    site.leave(first.token());
    let next = next.held().await;
    assert!(site.enter(&next, 1));
    assert!(!site.write(first.token()));
    assert!(site.write(next.token()));
}

#[tokio::test]
async fn etcd_falls_silent_for_fifteen_seconds() {
    let (mut etcd, store) = started().await;
    let (semaphore, site) = (semaphore(&store), Site::new());
    let (held, kept) = keep(hold(&semaphore, ten_seconds("a")).await);
    assert!(site.enter(&held, 1));
    let mut next = Acquiring::start(&semaphore, ten_seconds("b"));
    next.waits_behind(0).await;
    let sure = held.until().left();
    etcd.pause().unwrap();
    let begin = Instant::now();
    let lost = timeout(DEADLINE, kept).await.unwrap().unwrap();
    assert!(matches!(lost, Lost::NotRenewed { .. }), "{lost:?}");
    assert!(
        begin.elapsed() < sure + Duration::from_millis(500),
        "{:?}",
        begin.elapsed()
    );
    tokio::time::sleep(SILENCE.saturating_sub(begin.elapsed())).await;
    etcd.resume().unwrap();
    let next = next.held().await;
    assert!(site.enter(&next, 1));
    assert!(!site.write(held.token()));
}

#[tokio::test]
async fn a_cluster_loses_its_leader() {
    let mut cluster = EtcdCluster::start(3).await.unwrap();
    let store = connected(EtcdConfig::plain(cluster.endpoints().to_vec())).await;
    let (semaphore, site) = (semaphore(&store), Site::new());
    let (held, kept) = keep(hold(&semaphore, ten_seconds("a")).await);
    assert!(site.enter(&held, 1));
    let mut next = Acquiring::start(&semaphore, ten_seconds("b"));
    next.waits_behind(0).await;
    for round in 0..2 {
        let leader = cluster.leader().await.unwrap();
        if round == 0 {
            cluster.kill(leader).await.unwrap();
        } else {
            cluster.pause(leader).unwrap();
        }
        cluster.leader().await.unwrap();
        let before = held.until();
        let mut deadlines = held.deadlines();
        let renewed = deadlines.wait_for(|until| *until != before);
        timeout(DEADLINE, renewed).await.unwrap().unwrap();
        assert!(
            !kept.is_finished() && next.waits(),
            "still held after the loss"
        );
        if round == 0 {
            cluster.restart(leader).await.unwrap();
        } else {
            cluster.resume(leader).unwrap();
        }
    }
    kept.abort();
    store.revoke(held.lease()).await.unwrap();
    site.leave(held.token());
    assert!(site.enter(&next.held().await, 1));
}

#[tokio::test]
async fn a_holder_is_killed() {
    let (_etcd, store) = started().await;
    let (semaphore, site) = (semaphore(&store), Site::new());
    let (held, kept) = keep(hold(&semaphore, lock("a")).await);
    assert!(site.enter(&held, 1));
    let mut next = Acquiring::start(&semaphore, lock("b"));
    next.waits_behind(0).await;
    kept.abort();
    let begin = Instant::now();
    let next = next.held().await;
    assert!(site.enter(&next, 1));
    // etcd looks for leases that ended twice a second.
    assert!(
        begin.elapsed() < lock("a").ttl + Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
}

/// What a process that is stopped does: nothing, its timers included.
#[tokio::test]
async fn a_holder_is_stopped_for_fifteen_seconds_and_goes_on() {
    let etcd = Etcd::start().await.unwrap();
    let site = Site::new();
    let stopped = thread::spawn({
        let (endpoint, site) = (etcd.endpoint(), Arc::clone(&site));
        move || alone(Box::pin(stopped(endpoint, &site)))
    });
    let store = connected(EtcdConfig::plain([etcd.endpoint()])).await;
    let semaphore = semaphore(&store);
    let inside = || async { !site.inside().is_empty() };
    testbed::wait::until_true("a holder", DEADLINE, inside)
        .await
        .unwrap();
    let next = Acquiring::start(&semaphore, ten_seconds("b")).held().await;
    assert!(site.enter(&next, 1));
    tokio::task::spawn_blocking(|| stopped.join().unwrap())
        .await
        .unwrap();
}

async fn stopped(endpoint: String, site: &Site) {
    let store = connected(EtcdConfig::plain([endpoint])).await;
    let held = hold(&semaphore(&store), ten_seconds("a")).await;
    assert!(site.enter(&held, 1));
    let kept = held.keep();
    tokio::pin!(kept);
    // Renews, and is stopped in the middle.
    let _ = timeout(Duration::from_secs(4), &mut kept).await;
    thread::sleep(SILENCE);
    assert!(
        held.until().has_passed(),
        "known at once, without any message"
    );
    let begin = Instant::now();
    let lost = kept.await;
    assert!(begin.elapsed() < Duration::from_millis(100), "{lost:?}");
    assert!(!site.write(held.token()));
}

/// On a runtime with one thread of its own.
fn alone<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(work)
}

#[tokio::test]
async fn who_waits_is_stopped_and_queues_up_anew() {
    let etcd = Etcd::start().await.unwrap();
    let store = connected(EtcdConfig::plain([etcd.endpoint()])).await;
    let semaphore = semaphore(&store);
    let held = hold(&semaphore, claim("a")).await;
    let endpoint = etcd.endpoint();
    let (queued, is_queued) = tokio::sync::oneshot::channel();
    let waiter = thread::spawn(move || {
        alone(async move {
            let store: EtcdStore = connected(EtcdConfig::plain([endpoint])).await;
            let mut waiter = Acquiring::start(&crate::semaphore(&store), lock("b"));
            waiter.waits_behind(0).await;
            queued.send(()).unwrap();
            thread::sleep(lock("b").waiting * 2);
            let told = waiter.until("a place behind c", |now| now.waiting_ahead() == Some(1));
            assert_eq!(told.await.requeued, 1);
            waiter.held().await;
        });
    });
    is_queued.await.unwrap();
    let mut other = Acquiring::start(&semaphore, lock("c"));
    other.waits_behind(1).await;
    other.waits_behind(0).await;
    testbed::wait::until("b to be back", DEADLINE, || async {
        let many = semaphore.queue().await.unwrap().places.len();
        if many == 3 { Ok(()) } else { Err(many) }
    })
    .await
    .unwrap();
    held.release().await.unwrap();
    other.held().await.release().await.unwrap();
    tokio::task::spawn_blocking(|| waiter.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_waiting_does_not_mend_is_an_error() {
    let etcd = Etcd::builder().auth("secret").start().await.unwrap();
    etcd.add_user("eve", "secret", "/other/").await.unwrap();
    let mut config = EtcdConfig::plain([etcd.endpoint()]);
    config.user = Some("eve".to_owned());
    config.password = Some("secret".to_owned().into());
    let store = connected(config).await;
    let (tell, _told) = tokio::sync::watch::channel(presence::semaphore::Progress::default());
    let semaphore = semaphore(&store);
    let acquired = semaphore.acquire(claim("a"), &tell, std::future::pending());
    let refused = timeout(DEADLINE, acquired).await.unwrap();
    assert!(
        matches!(refused, Err(StoreError::Denied { .. })),
        "{refused:?}"
    );
}
