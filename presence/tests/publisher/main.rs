//! The publisher as its users run it, on etcd itself and on the store in
//! memory.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod behaviour;
mod outage;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use presence::model::{LeaseId, Revision};
use presence::process::state_file::{StateDir, StateFile};
use presence::publisher::{
    Content, Others, Publisher, Report, Standing, Tenure, Wanted, WantedKey,
};
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::{Entry, Store, Transaction};
use serde_json::{Value, json};
use testbed::etcd::Etcd;
use testbed::wait;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// The shortest that etcd grants by default.
const TTL: Duration = Duration::from_secs(2);

const KEY: &str = "/lbManager/elbv2/eu-west-1/web/multiple/i-1";

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    crate::behaviour::$name(presence::store::memory::MemoryStore::new()).await;
                }
            )+
        }

        mod etcd {
            $(
                #[tokio::test]
                async fn $name() {
                    let (_etcd, store) = crate::started().await;
                    crate::behaviour::$name(store).await;
                }
            )+
        }
    };
}

on_both! {
    writes_on_its_lease_and_keeps_it_alive,
    takes_over_and_the_other_returns_with_its_rank,
    the_old_ones_stop_leaves_the_new_ones_key_alone,
    an_operators_deletion_holds_until_told,
    a_lease_that_is_revoked_is_replaced,
    a_new_value_keeps_the_rank,
    what_is_wanted_no_longer_is_deleted_alone,
    a_key_that_is_the_beginning_of_another_is_no_trouble,
    a_plain_value_stays_as_it_is,
    one_key_that_cannot_be_written_hinders_no_other,
    killed_it_goes_on_with_its_lease_and_its_keys,
    what_an_earlier_life_left_goes_when_it_is_known_not_to_be_wanted,
    who_goes_on_leaves_alone_what_others_wrote_since,
    an_ordinary_end_is_no_life_to_go_on_with,
}

async fn started() -> (Etcd, EtcdStore) {
    let etcd = Etcd::start().await.unwrap();
    let config = EtcdConfig::plain([etcd.endpoint()]);
    let store = EtcdStore::connect(config).await.unwrap();
    (etcd, store)
}

/// A publisher that runs, and how to speak with it.
struct Running {
    wanted: watch::Sender<Arc<Wanted>>,
    report: watch::Receiver<Report>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start<S: Store>(store: &S, keys: &[(&str, Content)]) -> Self {
        Self::start_with(store, wanted(keys, 0), None)
    }

    /// One that remembers its lease there, and goes on with the one that it finds.
    fn resume<S: Store>(store: &S, keys: &[(&str, Content)], others: Others, at: &Path) -> Self {
        let wanted = Wanted {
            others,
            ..wanted(keys, 0)
        };
        let directory = StateDir::open(at).unwrap();
        Self::start_with(store, wanted, Some(directory.file("lease.json")))
    }

    fn start_with<S: Store>(
        store: &S,
        wanted: Wanted,
        memory: Option<StateFile<Option<Tenure>>>,
    ) -> Self {
        let (wanted, wanted_here) = watch::channel(Arc::new(wanted));
        let (report_there, report) = watch::channel(Report::default());
        let (shutdown, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let publisher = Publisher {
            store: store.clone(),
            ttl: TTL,
            wanted: wanted_here,
            report: report_there,
            memory,
            heirs: None,
            heartbeat: None,
        };
        let task = publisher.run(stopped);
        Self {
            wanted,
            report,
            shutdown,
            task: tokio::spawn(task),
        }
    }

    fn want(&self, keys: &[(&str, Content)], told: u64) {
        self.wanted.send_replace(Arc::new(wanted(keys, told)));
    }

    /// Waits until the report is so.
    async fn until(&mut self, what: &str, mut holds: impl FnMut(&Report) -> bool) -> Report {
        let found = tokio::time::timeout(DEADLINE, self.report.wait_for(|now| holds(now))).await;
        let found = found.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("no {what}: {:?}", self.report.borrow()))
    }

    /// Waits until the key is published otherwise than at that revision.
    async fn published(&mut self, key: &str, not_at: Option<Revision>) -> (Revision, LeaseId) {
        let report = self.until("publication", |report| match report.keys.get(key) {
            Some(Standing::Published { at, trouble, .. }) => {
                Some(*at) != not_at && trouble.is_none()
            }
            _ => false,
        });
        match report.await.keys[key] {
            Standing::Published { at, lease, .. } => (at, lease),
            ref other => panic!("{other:?} after it was published"),
        }
    }

    async fn standing_by(&mut self, key: &str) {
        let stands_by =
            |report: &Report| matches!(report.keys.get(key), Some(Standing::StandingBy { .. }));
        self.until("standing by", stands_by).await;
    }

    async fn stop(self) {
        self.shutdown.send(()).unwrap();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .unwrap()
            .unwrap();
    }

    /// As after a crash: nothing is deleted.
    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

fn wanted(keys: &[(&str, Content)], told: u64) -> Wanted {
    let keys = keys.iter().map(|(key, content)| {
        let content = content.clone();
        let wanted = WantedKey {
            told,
            ..WantedKey::new(content)
        };
        ((*key).to_owned(), wanted)
    });
    Wanted {
        keys: keys.collect(),
        ..Wanted::default()
    }
}

fn member(options: Value) -> Content {
    match options {
        Value::Object(options) => Content::Member(options),
        other => panic!("{other} is no object"),
    }
}

fn weight(weight: u32) -> Content {
    member(json!({ "weight": weight }))
}

async fn entry<S: Store>(store: &S, key: &str) -> Option<Entry> {
    store.get(key).await.unwrap().entry
}

fn options(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.value).unwrap()
}

async fn delete<S: Store>(store: &S, key: &str) {
    store.commit(Transaction::delete(key)).await.unwrap();
}

async fn vanished<S: Store>(store: &S, key: &str) {
    let gone = || async { entry(store, key).await.is_none() };
    wait::until_true("the key to vanish", DEADLINE, gone)
        .await
        .unwrap();
}
