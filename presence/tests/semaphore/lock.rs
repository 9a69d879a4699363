use presence::semaphore::Lost;
use presence::store::Store;
use tokio::time::{Instant, timeout};

use crate::{Acquiring, DEADLINE, delete, entry_of, hold, keep, lock, semaphore};

pub async fn it_is_kept_for_longer_than_its_lease<S: Store>(store: S) {
    let claim = lock("a");
    let ttl = claim.ttl;
    let (held, kept) = keep(hold(&semaphore(&store), claim).await);
    let mut deadlines = held.deadlines();
    let begin = Instant::now();
    while begin.elapsed() < ttl * 2 {
        assert!(!deadlines.borrow_and_update().has_passed());
        timeout(DEADLINE, deadlines.changed())
            .await
            .unwrap()
            .unwrap();
        assert!(held.until().left() <= ttl);
    }
    assert!(!kept.is_finished());
    kept.abort();
}

async fn lost<S: Store>(store: &S, end: impl AsyncFnOnce(&crate::Held<S>)) -> Lost {
    let (held, kept) = keep(hold(&semaphore(store), lock("a")).await);
    let mut next = Acquiring::start(&semaphore(store), lock("b"));
    next.waits_behind(0).await;
    end(&held).await;
    let begin = Instant::now();
    let lost = timeout(DEADLINE, kept).await.unwrap().unwrap();
    let noticed = begin.elapsed();
    assert!(noticed < std::time::Duration::from_secs(1), "{noticed:?}");
    if !matches!(lost, Lost::TakenOver { .. }) {
        next.held().await;
    }
    lost
}

fn gone() -> Lost {
    Lost::Gone { key: entry_of("a") }
}

pub async fn it_is_lost_when_the_lease_is_revoked<S: Store>(store: S) {
    let lost = lost(&store, async |held| {
        store.revoke(held.lease()).await.unwrap();
    });
    assert_eq!(lost.await, gone());
}

pub async fn it_is_lost_when_the_entry_is_deleted<S: Store>(store: S) {
    let lost = lost(&store, async |_| delete(&store, &entry_of("a")).await);
    assert_eq!(lost.await, gone());
}

pub async fn it_is_lost_when_another_process_takes_it_over<S: Store>(store: S) {
    let lost = lost(&store, async |_| {
        drop(hold(&semaphore(&store), lock("a")).await);
    });
    let taken_over = Lost::TakenOver { key: entry_of("a") };
    assert_eq!(lost.await, taken_over);
}

pub async fn a_release_leaves_nothing_and_lets_the_next_on<S: Store>(store: S) {
    let semaphore = semaphore(&store);
    let held = hold(&semaphore, lock("a")).await;
    let lease = held.lease();
    let mut next = Acquiring::start(&semaphore, lock("b"));
    next.waits_behind(0).await;
    held.release().await.unwrap();
    assert!(!store.lease_exists(lease).await.unwrap());
    next.held().await.release().await.unwrap();
    let left = store.list("/service-monitor/", None).await.unwrap();
    assert_eq!(left.entries, []);
}
