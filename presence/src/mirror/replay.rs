//! Learns why keys are gone: replays the history from an old listing up to
//! the present one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::{View, listed};
use crate::departure::{self, Classifier};
use crate::model::{LeaseId, Revision};
use crate::process::health::Heartbeat;
use crate::store::{Event, Header, KeyRange, Listing, Store, StoreError, Watch, WatchMessage};

/// Which part of the history is replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    /// The changes after this revision.
    pub after: Revision,
    /// Keys that existed at some time after `after` and do not exist now. The
    /// replay does not end before it has found their deletion.
    pub deleted: BTreeSet<String>,
}

impl From<Revision> for Replay {
    fn from(after: Revision) -> Self {
        Self {
            after,
            deleted: BTreeSet::new(),
        }
    }
}

/// A replay ends if etcd sends no change for this long. A long history takes
/// as long as it takes: etcd sends about 10,000 revisions per second.
const SILENCE: Duration = Duration::from_secs(10);

/// How often the oldest listing is looked for while compactions go on.
const TRIES: usize = 3;

/// What the replay needs to read.
pub(super) struct Source<'a, S, V> {
    pub store: &'a S,
    pub range: &'a KeyRange,
    pub empty: &'a V,
    pub heartbeat: Option<&'a Heartbeat>,
}

/// The present view with the departures of the replayed history in it.
pub(super) struct Replayed<V> {
    pub view: V,
    pub deletes: Classifier,
    /// The view has the changes up to this revision, and the keys of the
    /// target.
    pub applied: Revision,
}

impl<S: Store, V: View> Source<'_, S, V> {
    /// `before`: the view at the first revision, if it is known. `None`: etcd
    /// no longer tells.
    pub async fn replay(
        &self,
        before: Option<&V>,
        replay: Replay,
        target: Target,
    ) -> Result<Option<Replayed<V>>, StoreError> {
        let old = self.oldest(replay.after).await?;
        let mut view = listed(self.empty, &old.entries);
        if let Some(before) = before {
            view.succeed(before, old.header.revision);
        }
        let mut applied = old.header.revision;
        let mut remaining = Remaining::new(old, replay.deleted, target);
        let mut deletes = Classifier::default();
        let mut gone = BTreeMap::new();
        let mut watch = self.store.watch_range(self.range, applied).await?;
        let mut deadline = Instant::now() + SILENCE;
        while !remaining.is_empty() {
            let Ok(message) = timeout_at(deadline, watch.next()).await else {
                return Ok(None);
            };
            match message? {
                WatchMessage::Events { events, .. } => {
                    let exists = self.ask_leases(&events, &mut gone).await;
                    for event in &events {
                        remaining.happened(event);
                    }
                    applied = events.last().map_or(applied, Event::revision);
                    for step in deletes.classify(events, &exists) {
                        view.apply(step);
                    }
                    deadline = Instant::now() + SILENCE;
                    self.heartbeat.inspect(|heartbeat| heartbeat.beat());
                }
                WatchMessage::Progress(_) => {}
                WatchMessage::Compacted(_) => return Err(StoreError::Compacted),
            }
        }
        Ok(Some(Replayed {
            view,
            deletes,
            applied,
        }))
    }

    /// A lease that is gone stays gone: it is asked about once.
    async fn ask_leases(
        &self,
        events: &[Event],
        gone: &mut BTreeMap<LeaseId, bool>,
    ) -> BTreeMap<LeaseId, bool> {
        let mut exists = ask_leases(self.store, events, gone).await;
        gone.extend(exists.iter().filter(|(_, exists)| !**exists));
        exists.extend(gone.iter());
        exists
    }

    /// The listing at that revision, or at the oldest that there still is.
    async fn oldest(&self, after: Revision) -> Result<Listing, StoreError> {
        let mut at = after;
        for _ in 0..TRIES {
            match self.store.list_range(self.range, Some(at)).await {
                Err(StoreError::Compacted) => at = self.compacted(at).await?,
                other => return other,
            }
        }
        self.store.list_range(self.range, Some(at)).await
    }

    /// The revision up to which the history is compacted. A range does not
    /// tell it; a watch does.
    async fn compacted(&self, at: Revision) -> Result<Revision, StoreError> {
        let mut watch = self.store.watch_range(self.range, at).await?;
        loop {
            match watch.next().await? {
                WatchMessage::Compacted(revision) => return Ok(revision),
                WatchMessage::Events { .. } | WatchMessage::Progress(_) => {}
            }
        }
    }
}

/// The state that a replay arrives at: each key with its mod_revision.
pub(super) struct Target {
    header: Header,
    keys: Vec<(String, Revision)>,
}

impl From<Listing> for Target {
    fn from(listing: Listing) -> Self {
        Self {
            header: listing.header,
            keys: revisions(listing.entries),
        }
    }
}

impl Target {
    fn get(&self, key: &str) -> Option<Revision> {
        let found = self.keys.binary_search_by(|(name, _)| (**name).cmp(key));
        found.ok().map(|index| self.keys[index].1)
    }
}

/// The keys whose state is not yet that of the target. A key with the same
/// mod_revision, or gone in both, has nothing more to come; so the end is
/// exact, and nobody has to guess from silence.
struct Remaining {
    target: Target,
    keys: BTreeSet<String>,
}

impl Remaining {
    fn new(old: Listing, deleted: BTreeSet<String>, target: Target) -> Self {
        let old = revisions(old.entries);
        let changed = old
            .iter()
            .filter(|(key, revision)| target.get(key) != Some(*revision))
            .map(|(key, _)| key.clone());
        let is_new = |key: &str| {
            let found = old.binary_search_by(|(name, _)| (**name).cmp(key));
            found.is_err()
        };
        let new = target.keys.iter().map(|(key, _)| key);
        let new = new.filter(|key| is_new(key)).cloned();
        let keys = changed.chain(new).chain(deleted).collect();
        Self { target, keys }
    }

    fn happened(&mut self, event: &Event) {
        if event.revision() > self.target.header.revision {
            // Changes come in order: all that was to come has come.
            self.keys.clear();
            return;
        }
        let key = event.key();
        let now = match event {
            Event::Put { entry, .. } => Some(entry.mod_revision),
            Event::Delete { .. } => None,
        };
        if now == self.target.get(key) {
            self.keys.remove(key);
        } else if !self.keys.contains(key) {
            self.keys.insert(key.to_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Without the values, which are most of a listing's size.
fn revisions(entries: Vec<(String, crate::store::Entry)>) -> Vec<(String, Revision)> {
    let entries = entries.into_iter();
    entries
        .map(|(key, entry)| (key, entry.mod_revision))
        .collect()
}

/// Asks what became of the leases that vanished keys were on, but not of those
/// that are known to be gone. What cannot be answered within a few seconds stays
/// unknown, which is the careful answer.
pub(super) async fn ask_leases<S: Store>(
    store: &S,
    events: &[Event],
    gone: &BTreeMap<LeaseId, bool>,
) -> BTreeMap<LeaseId, bool> {
    let mut answers = BTreeMap::new();
    let deadline = Duration::from_secs(5);
    let asking = async {
        let leases = departure::leases(events).into_iter();
        for lease in leases.filter(|lease| !gone.contains_key(lease)) {
            match store.lease_exists(lease).await {
                Ok(exists) => {
                    answers.insert(lease, exists);
                }
                Err(error) => {
                    tracing::warn!("why keys of the lease {lease} are gone is not known: {error}");
                }
            }
        }
    };
    // What was answered before the deadline counts.
    let _ = timeout(deadline, asking).await;
    answers
}
