//! The semaphore as its users run it, on etcd itself and on the store in
//! memory.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod behaviour;
mod crowd;
mod faults;
mod lock;
mod mix;
mod outage;
mod site;

use std::sync::Arc;
use std::time::Duration;

use presence::keys::service_monitor;
use presence::process::clock::Clock;
use presence::semaphore::{Claim, Held, Progress, Semaphore};
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::{Store, StoreError, Transaction};
use testbed::etcd::Etcd;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

macro_rules! on_both {
    ($module:ident: $($name:ident),+ $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    crate::$module::$name(presence::store::memory::MemoryStore::new()).await;
                }
            )+
        }

        mod etcd {
            $(
                #[tokio::test]
                async fn $name() {
                    let (_etcd, store) = crate::started().await;
                    crate::$module::$name(store).await;
                }
            )+
        }
    };
}

mod behaves {
    on_both! { behaviour:
        the_first_holds_at_once_and_the_others_follow_in_order,
        as_many_hold_as_there_are_slots,
        fewer_slots_let_nobody_new_on,
        the_key_wins_over_the_claim,
        what_the_service_holds_is_renewed_by_another_process,
        a_process_of_the_same_service_waits_for_the_turn_of_the_first,
        the_same_service_id_on_another_host_waits,
        who_gives_up_deletes_its_own_entry_alone,
        a_place_that_was_deleted_is_taken_anew_at_the_end,
        a_release_is_of_what_was_seen,
        what_cannot_be_read_counts_as_held,
        the_queue_tells_who_holds_and_who_waits,
        semaphores_do_not_hinder_each_other,
        what_is_left_held_ends_with_its_lease,
    }
}

mod locks {
    on_both! { lock:
        it_is_kept_for_longer_than_its_lease,
        it_is_lost_when_the_lease_is_revoked,
        it_is_lost_when_the_entry_is_deleted,
        it_is_lost_when_another_process_takes_it_over,
        a_release_leaves_nothing_and_lets_the_next_on,
    }
}

async fn started() -> (Etcd, EtcdStore) {
    let etcd = Etcd::start().await.unwrap();
    let store = connected(EtcdConfig::plain([etcd.endpoint()])).await;
    (etcd, store)
}

async fn connected(config: EtcdConfig) -> EtcdStore {
    EtcdStore::connect(config).await.unwrap()
}

fn semaphore<S: Store>(store: &S) -> Semaphore<S> {
    labelled(store, "web")
}

fn labelled<S: Store>(store: &S, label: &str) -> Semaphore<S> {
    let keys = service_monitor::lease(&label.parse().unwrap());
    Semaphore::new(store.clone(), keys, Clock::system())
}

/// Of a service on the host `one`, for four minutes.
fn claim(service: &str) -> Claim {
    Claim {
        service: service.parse().unwrap(),
        host: "one".parse().unwrap(),
        ttl: Duration::from_mins(4),
        waiting: Duration::from_secs(3),
        slots: 1,
    }
}

/// As claims of locks are: short, and on one lease.
fn lock(service: &str) -> Claim {
    let ttl = Duration::from_secs(3);
    Claim {
        ttl,
        waiting: ttl,
        ..claim(service)
    }
}

fn entry_of(service: &str) -> String {
    format!("/service-monitor/web/lease/queue/{service}")
}

async fn delete<S: Store>(store: &S, key: &str) {
    store.commit(Transaction::delete(key)).await.unwrap();
}

/// Who holds at once.
async fn hold<S: Store>(semaphore: &Semaphore<S>, claim: Claim) -> Held<S> {
    Acquiring::start(semaphore, claim).held().await
}

/// One that wants to hold, and how to speak with it.
struct Acquiring<S: Store> {
    progress: watch::Receiver<Progress>,
    give_up: oneshot::Sender<()>,
    task: JoinHandle<Result<Option<Held<S>>, StoreError>>,
}

impl<S: Store> Acquiring<S> {
    fn start(semaphore: &Semaphore<S>, claim: Claim) -> Self {
        let (tell, progress) = watch::channel(Progress::default());
        let (give_up, enough) = oneshot::channel::<()>();
        let enough = async { drop(enough.await) };
        let semaphore = semaphore.clone();
        let task = async move { semaphore.acquire(claim, &tell, enough).await };
        Self {
            progress,
            give_up,
            task: tokio::spawn(task),
        }
    }

    /// Waits until it is told that it waits, behind so many.
    async fn waits_behind(&mut self, ahead: usize) -> Progress {
        self.until("place in the queue", |now| {
            now.waiting_ahead() == Some(ahead)
        })
        .await
    }

    async fn until(&mut self, what: &str, mut holds: impl FnMut(&Progress) -> bool) -> Progress {
        let found = timeout(DEADLINE, self.progress.wait_for(|now| holds(now))).await;
        let found = found.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("no {what}: {:?}", self.progress.borrow()))
    }

    async fn held(self) -> Held<S> {
        let ended = timeout(DEADLINE, self.task).await;
        let ended = ended.unwrap_or_else(|_| panic!("still: {}", *self.progress.borrow()));
        ended.unwrap().unwrap().expect("held")
    }

    async fn give_up(self) {
        self.give_up.send(()).unwrap();
        let ended = timeout(DEADLINE, self.task).await.unwrap().unwrap();
        assert!(ended.unwrap().is_none());
    }

    fn waits(&self) -> bool {
        !self.task.is_finished()
    }
}

/// Held by a task of its own for as long as that runs.
fn keep<S: Store>(held: Held<S>) -> (Arc<Held<S>>, JoinHandle<presence::semaphore::Lost>) {
    let held = Arc::new(held);
    let kept = held.clone();
    let task = tokio::spawn(async move { kept.keep().await });
    (held, task)
}
