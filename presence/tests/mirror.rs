//! The mirror over the store in memory, with tokio's clock paused.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use presence::departure::{Cause, Change, Step};
use presence::mirror::{Connection, Mirror, Replay, Snapshot, View};
use presence::model::Revision;
use presence::process::shutdown::{Shutdown, Trigger};
use presence::store::memory::MemoryStore;
use presence::store::{Entry, KeyRange, Store, Transaction};
use tokio::sync::watch;
use tokio::time::timeout;

/// Values by key, and why the others are gone.
#[derive(Debug, Clone, Default)]
struct Keys {
    values: BTreeMap<String, String>,
    gone: BTreeMap<String, (Cause, Revision)>,
}

impl View for Keys {
    fn list(&mut self, key: &str, entry: &Entry) {
        let value = String::from_utf8_lossy(&entry.value).into_owned();
        self.values.insert(key.to_owned(), value);
        self.gone.remove(key);
    }

    fn apply(&mut self, step: Step) {
        for correction in step.corrections {
            for key in correction.keys {
                self.gone.insert(key, (Cause::Explicit, step.revision));
            }
        }
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.list(&key, &entry),
                Change::Gone { key, cause } => {
                    self.values.remove(&key);
                    self.gone.insert(key, (cause, step.revision));
                }
            }
        }
    }

    fn succeed(&mut self, before: &Self, at: Revision) {
        self.gone.clone_from(&before.gone);
        self.gone.retain(|key, _| !self.values.contains_key(key));
        for key in before.values.keys() {
            if !self.values.contains_key(key) {
                self.gone.insert(key.clone(), (Cause::Unknown, at));
            }
        }
    }
}

struct Rig {
    store: MemoryStore,
    snapshots: watch::Receiver<Option<Arc<Snapshot<Keys>>>>,
    connection: watch::Receiver<Connection>,
    _trigger: Trigger,
}

impl Rig {
    fn start(store: &MemoryStore, replay: Option<Revision>) -> Self {
        Self::start_replaying(store, replay.map(Replay::from))
    }

    fn start_replaying(store: &MemoryStore, replay: Option<Replay>) -> Self {
        let (snapshot, snapshots) = watch::channel(None);
        let (connected, connection) = watch::channel(Connection::Starting);
        let (trigger, shutdown) = Shutdown::manual();
        let mirror = Mirror {
            told: None,
            store: store.clone(),
            range: KeyRange::below("/a/"),
            empty: Keys::default(),
            replay: ready(move |_: &Keys| replay),
            absorbed: None,
            snapshots: snapshot,
            connection: connected,
            heartbeat: None,
        };
        tokio::spawn(mirror.run(shutdown));
        Self {
            store: store.clone(),
            snapshots,
            connection,
            _trigger: trigger,
        }
    }

    async fn put(&self, key: &str, value: &str) {
        put(&self.store, key, value).await;
    }

    async fn del(&self, key: &str) {
        del(&self.store, key).await;
    }

    async fn until(&mut self, what: &str, is: impl Fn(&Snapshot<Keys>) -> bool) -> Snapshot<Keys> {
        let waiting = self
            .snapshots
            .wait_for(|snapshot| snapshot.as_ref().is_some_and(|snapshot| is(snapshot)));
        let found = timeout(Duration::from_mins(5), waiting).await;
        let found = found.unwrap_or_else(|_| panic!("not in 5 minutes: {what}"));
        let snapshot = found.unwrap().clone().unwrap();
        (*snapshot).clone()
    }

    async fn until_has(&mut self, key: &str) -> Snapshot<Keys> {
        self.until(key, |snapshot| snapshot.view.values.contains_key(key))
            .await
    }
}

async fn put(store: &MemoryStore, key: &str, value: &str) {
    store.commit(Transaction::put(key, value)).await.unwrap();
}

async fn del(store: &MemoryStore, key: &str) {
    store.commit(Transaction::delete(key)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn follows_what_is_written_and_deleted() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    put(&store, "/ab", "not below the prefix").await;
    let mut rig = Rig::start(&store, None);
    let first = rig.until_has("/a/1").await;
    assert_eq!(first.view.values.len(), 1);
    rig.put("/a/2", "y").await;
    rig.until_has("/a/2").await;
    rig.del("/a/1").await;
    let last = rig
        .until("deleted", |snapshot| {
            snapshot.view.gone.contains_key("/a/1")
        })
        .await;
    assert_eq!(last.view.gone["/a/1"].0, Cause::Explicit);
    assert_eq!(last.header.revision, store.revision());
}

#[tokio::test(start_paused = true)]
async fn resumes_after_the_store_was_away_and_misses_nothing() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    let mut rig = Rig::start(&store, None);
    rig.until_has("/a/1").await;
    store.set_unavailable(true);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(matches!(*rig.connection.borrow(), Connection::Lost(_)));
    assert_eq!(
        rig.snapshots.borrow().as_ref().unwrap().view.values.len(),
        1,
        "away is not empty"
    );
    store.set_unavailable(false);
    rig.del("/a/1").await;
    rig.put("/a/2", "y").await;
    let last = rig.until_has("/a/2").await;
    assert_eq!(
        last.view.gone["/a/1"].0,
        Cause::Explicit,
        "it saw the delete itself"
    );
    assert!(last.reconnects > 0);
    assert_eq!(*rig.connection.borrow(), Connection::Following);
}

#[tokio::test(start_paused = true)]
async fn what_vanished_across_a_compaction_is_gone_for_an_unknown_reason() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    put(&store, "/a/2", "x").await;
    let mut rig = Rig::start(&store, None);
    rig.until_has("/a/2").await;
    // A watch that does not get to read what happened: broken, and its
    // history compacted before it is opened again.
    store.break_watches();
    rig.del("/a/1").await;
    rig.put("/a/3", "y").await;
    store.compact(store.revision());
    let last = rig.until_has("/a/3").await;
    assert_eq!(last.view.gone["/a/1"].0, Cause::Unknown);
    assert_eq!(last.replacements, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_is_told_from_a_delete() {
    let store = MemoryStore::new();
    let lease = store.grant(Duration::from_hours(1)).await.unwrap();
    let leased = Transaction::default()
        .and_put("/a/1", "", Some(lease))
        .and_put("/a/2", "", Some(lease));
    store.commit(leased).await.unwrap();
    let mut rig = Rig::start(&store, None);
    rig.until_has("/a/2").await;
    rig.del("/a/1").await;
    let one = rig
        .until("deleted", |snapshot| {
            snapshot.view.gone.contains_key("/a/1")
        })
        .await;
    assert_eq!(one.view.gone["/a/1"].0, Cause::Explicit);
    store.expire(lease);
    let two = rig
        .until("expired", |snapshot| {
            snapshot.view.gone.contains_key("/a/2")
        })
        .await;
    assert_eq!(two.view.gone["/a/2"].0, Cause::LeaseEnded);
}

#[tokio::test(start_paused = true)]
async fn a_restored_snapshot_and_an_empty_store_are_replaced_histories() {
    for restore in [true, false] {
        let store = MemoryStore::new();
        put(&store, "/a/1", "x").await;
        let snapshot = store.snapshot();
        put(&store, "/a/2", "x").await;
        let mut rig = Rig::start(&store, None);
        rig.until_has("/a/2").await;
        if restore {
            store.restore(&snapshot);
        } else {
            store.wipe();
        }
        let replaced = rig
            .until("replaced", |snapshot| {
                snapshot.replacements > 0 && !snapshot.view.values.contains_key("/a/2")
            })
            .await;
        assert_eq!(replaced.view.gone["/a/2"].0, Cause::Unknown);
        assert!(replaced.replaced.is_some());
        rig.put("/a/3", "y").await;
        rig.until_has("/a/3").await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_snapshot_knows_why_keys_are_gone_since_a_revision() {
    let store = MemoryStore::new();
    let lease = store.grant(Duration::from_hours(1)).await.unwrap();
    put(&store, "/a/1", "x").await;
    put(&store, "/a/2", "x").await;
    let leased = Transaction::default().and_put("/a/3", "", Some(lease));
    store.commit(leased).await.unwrap();
    let known = store.revision();
    del(&store, "/a/1").await;
    del(&store, "/a/2").await;
    put(&store, "/a/2", "again").await;
    store.expire(lease);
    put(&store, "/b", "elsewhere").await;
    let mut rig = Rig::start(&store, Some(known));
    let first = rig.until_has("/a/2").await;
    assert_eq!(first.view.gone["/a/1"].0, Cause::Explicit);
    assert_eq!(first.view.gone["/a/3"].0, Cause::LeaseEnded);
    assert!(!first.view.gone.contains_key("/a/2"));
    assert_eq!(first.header.revision, store.revision());
    rig.put("/a/4", "y").await;
    rig.until_has("/a/4").await;
}

#[tokio::test(start_paused = true)]
async fn where_history_is_compacted_the_rest_of_it_still_tells_causes() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    put(&store, "/a/2", "x").await;
    let known = store.revision();
    del(&store, "/a/1").await;
    store.compact(store.revision());
    del(&store, "/a/2").await;
    put(&store, "/a/3", "x").await;
    let mut rig = Rig::start(&store, Some(known));
    let first = rig.until_has("/a/3").await;
    assert_eq!(first.view.gone["/a/2"].0, Cause::Explicit);
    assert!(!first.view.gone.contains_key("/a/1"), "nobody can tell");
}

#[tokio::test(start_paused = true)]
async fn a_long_history_is_replayed_to_its_end() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    let known = store.revision();
    for n in 0..200_000 {
        put(&store, "/a/2", &n.to_string()).await;
    }
    del(&store, "/a/1").await;
    let mut rig = Rig::start(&store, Some(known));
    let first = rig.until_has("/a/2").await;
    assert_eq!(first.view.gone["/a/1"].0, Cause::Explicit);
    assert_eq!(first.view.values["/a/2"], "199999");
    rig.put("/a/3", "y").await;
    rig.until_has("/a/3").await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_came_and_went_since_is_found() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    let known = store.revision();
    put(&store, "/a/1", "y").await;
    put(&store, "/a/2", "came").await;
    del(&store, "/a/2").await;
    let replay = Replay {
        after: known,
        deleted: BTreeSet::from(["/a/2".to_owned()]),
    };
    let mut rig = Rig::start_replaying(&store, Some(replay));
    let first = rig.until_has("/a/1").await;
    assert_eq!(first.view.gone["/a/2"].0, Cause::Explicit);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_interrupted_is_tried_again() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    let known = store.revision();
    del(&store, "/a/1").await;
    put(&store, "/a/2", "x").await;
    store.set_watches_break_at_once(true);
    let mut rig = Rig::start(&store, Some(known));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(store.counts().watches, 1);
    store.set_watches_break_at_once(false);
    let first = rig.until_has("/a/2").await;
    assert_eq!(first.view.gone["/a/1"].0, Cause::Explicit);
}

/// The last change of the tree is long compacted, as in a quiet tree in an
/// etcd that compacts every hour.
#[tokio::test(start_paused = true)]
async fn a_delete_during_an_outage_is_explicit_also_if_all_before_is_compacted() {
    let store = MemoryStore::new();
    let lease = store.grant(Duration::from_hours(1)).await.unwrap();
    put(&store, "/a/1", "x").await;
    let leased = Transaction::default().and_put("/a/2", "", Some(lease));
    store.commit(leased).await.unwrap();
    let mut rig = Rig::start(&store, None);
    rig.until_has("/a/2").await;
    put(&store, "/elsewhere", "x").await;
    store.set_unavailable(true);
    store.set_unavailable(false);
    store.compact(store.revision());
    del(&store, "/a/1").await;
    store.expire(lease);
    let last = rig
        .until("deleted", |snapshot| snapshot.view.gone.len() == 2)
        .await;
    assert_eq!(last.view.gone["/a/1"].0, Cause::Explicit);
    assert_eq!(last.view.gone["/a/2"].0, Cause::LeaseEnded);
    assert_eq!(last.replacements, 0);
    rig.put("/a/3", "y").await;
    rig.until_has("/a/3").await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_as_soon_as_it_stands_is_no_hot_loop() {
    let store = MemoryStore::new();
    put(&store, "/a/1", "x").await;
    let mut rig = Rig::start(&store, None);
    rig.until_has("/a/1").await;
    store.set_watches_break_at_once(true);
    let before = store.counts();
    tokio::time::sleep(Duration::from_mins(10)).await;
    let after = store.counts();
    // Of the longest wait, 5 s, at least a half.
    let watches = after.watches - before.watches;
    assert!((100..300).contains(&watches), "{watches} in 10 minutes");
    assert_eq!(after.lists, before.lists);
    store.set_watches_break_at_once(false);
    rig.put("/a/2", "y").await;
    rig.until_has("/a/2").await;
}
