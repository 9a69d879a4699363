//! On the store in memory, with the clock paused.

use std::time::Duration;

use presence::semaphore::{Claim, Lost};
use presence::store::memory::MemoryStore;
use tokio::time::{Instant, sleep};

use crate::{Acquiring, claim, entry_of, hold, keep, lock, semaphore};

#[tokio::test(start_paused = true)]
async fn a_lock_is_lost_to_the_second_when_etcd_falls_silent() {
    let store = MemoryStore::new();
    let claim = Claim {
        ttl: Duration::from_secs(10),
        ..lock("a")
    };
    let (held, kept) = keep(hold(&semaphore(&store), claim).await);
    sleep(Duration::from_mins(1)).await;
    let sure = held.until().left();
    store.freeze();
    let begin = Instant::now();
    let lost = kept.await.unwrap();
    assert!(matches!(lost, Lost::NotRenewed { .. }), "{lost:?}");
    let noticed = begin.elapsed();
    assert!(
        noticed >= sure && noticed <= sure + Duration::from_millis(10),
        "{noticed:?} {sure:?}"
    );
    assert!(held.until().has_passed());
}

#[tokio::test(start_paused = true)]
async fn a_lock_outlives_an_outage_that_is_shorter_than_its_lease() {
    let store = MemoryStore::new();
    let (held, kept) = keep(hold(&semaphore(&store), claim("a")).await);
    sleep(Duration::from_mins(10)).await;
    store.set_unavailable(true);
    sleep(Duration::from_mins(2)).await;
    store.set_unavailable(false);
    sleep(Duration::from_mins(10)).await;
    assert!(!kept.is_finished());
    store.expire(held.lease());
    assert_eq!(kept.await.unwrap(), Lost::Gone { key: entry_of("a") });
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_hour_asks_little() {
    let store = MemoryStore::new();
    let semaphore = semaphore(&store);
    let (held, _kept) = keep(hold(&semaphore, claim("a")).await);
    let waiting = Claim {
        waiting: presence::semaphore::WAITING,
        ..claim("b")
    };
    let mut next = Acquiring::start(&semaphore, waiting);
    next.waits_behind(0).await;
    let before = store.counts();
    sleep(Duration::from_hours(1)).await;
    let after = store.counts();
    assert_eq!(after.writes, before.writes);
    assert_eq!(after.watches, before.watches);
    let calls = after.calls - before.calls;
    assert!((1_000..2_000).contains(&calls), "{calls} calls");
    store.expire(held.lease());
    next.held().await;
}

#[tokio::test(start_paused = true)]
async fn the_turn_comes_at_once_and_not_with_the_next_look() {
    let store = MemoryStore::new();
    let semaphore = semaphore(&store);
    let held = hold(&semaphore, claim("a")).await;
    let mut next = Acquiring::start(&semaphore, claim("b"));
    next.waits_behind(0).await;
    let begin = Instant::now();
    held.release().await.unwrap();
    next.held().await;
    assert!(begin.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_and_told() {
    let store = MemoryStore::new();
    let semaphore = semaphore(&store);
    let held = hold(&semaphore, claim("a")).await;
    let mut next = Acquiring::start(&semaphore, claim("b"));
    next.waits_behind(0).await;
    store.set_unavailable(true);
    let told = next.until("trouble", |now| now.trouble.is_some()).await;
    assert!(told.to_string().contains("connection refused"), "{told}");
    let before = store.counts().calls;
    sleep(Duration::from_mins(1)).await;
    let calls = store.counts().calls - before;
    assert!((25..100).contains(&calls), "{calls} calls in a minute");
    store.set_unavailable(false);
    let told = next.until("a place", |now| now.requeued == 1).await;
    assert_eq!(told.trouble, None, "its lease ended meanwhile");
    assert_eq!(told.waiting_ahead(), Some(0));
    held.release().await.unwrap();
    next.held().await;
}

#[tokio::test(start_paused = true)]
async fn giving_up_while_etcd_is_silent_takes_bounded_time() {
    let store = MemoryStore::new();
    let semaphore = semaphore(&store);
    let _held = hold(&semaphore, claim("a")).await;
    let mut next = Acquiring::start(&semaphore, claim("b"));
    next.waits_behind(0).await;
    store.freeze();
    let begin = Instant::now();
    next.give_up().await;
    assert!(
        begin.elapsed() <= Duration::from_secs(6),
        "{:?}",
        begin.elapsed()
    );
    store.thaw();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(store.peek(&entry_of("b")), None);
    assert!(store.peek(&entry_of("a")).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_gone_is_read_anew() {
    let store = MemoryStore::new();
    let semaphore = semaphore(&store);
    let held = hold(&semaphore, claim("a")).await;
    let mut next = Acquiring::start(&semaphore, claim("b"));
    next.waits_behind(0).await;
    store.compact(store.revision());
    store.break_watches();
    held.release().await.unwrap();
    next.held().await;
}
