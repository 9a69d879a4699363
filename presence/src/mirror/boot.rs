//! Learning, at the start, why keys are gone that somebody remembers: the
//! history since then is replayed, from an old listing up to the present one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::timeout;

use super::{View, ask_leases, listed};
use crate::departure;
use crate::model::Revision;
use crate::store::{Event, Listing, Store, StoreError, Watch, WatchMessage};

/// Longer than this nobody waits for causes: what is missing without one is
/// treated with care anyway.
const PATIENCE: Duration = Duration::from_secs(10);

/// The view as it is `now`, with the departures since `after`, and the last
/// revision that it holds the changes of. `None` if the history is not to be
/// had.
pub(super) async fn replay<S: Store, V: View>(
    store: &S,
    prefix: &str,
    empty: &V,
    now: Listing,
    after: Revision,
) -> Option<(V, Revision)> {
    match timeout(PATIENCE, replay_from(store, prefix, empty, &now, after)).await {
        Ok(Ok(replayed)) => Some(replayed),
        Ok(Err(error)) => {
            tracing::warn!("why keys are gone could not be read from etcd's history: {error}");
            None
        }
        Err(_) => {
            tracing::warn!("why keys are gone could not be read from etcd's history in time");
            None
        }
    }
}

async fn replay_from<S: Store, V: View>(
    store: &S,
    prefix: &str,
    empty: &V,
    now: &Listing,
    after: Revision,
) -> Result<(V, Revision), StoreError> {
    let old = oldest(store, prefix, after).await?;
    let mut view = listed(empty, &old.entries);
    let mut applied = old.header.revision;
    let mut remaining = Remaining::new(&old, now);
    let mut watch = store.watch(prefix, applied).await?;
    while !remaining.is_empty() {
        match watch.next().await? {
            WatchMessage::Events { events, .. } => {
                let leases = ask_leases(store, &events).await;
                for event in &events {
                    remaining.happened(event);
                }
                applied = events.last().map_or(applied, Event::revision);
                for step in departure::explain(events, &leases) {
                    view.apply(step);
                }
            }
            WatchMessage::Progress(_) => {}
            WatchMessage::Compacted(_) => return Err(StoreError::Compacted),
        }
    }
    Ok((view, applied))
}

/// The listing at that revision, or at the oldest that there still is.
async fn oldest<S: Store>(store: &S, prefix: &str, after: Revision) -> Result<Listing, StoreError> {
    match store.list(prefix, Some(after)).await {
        Err(StoreError::Compacted) => {}
        other => return other,
    }
    // A range does not say how far the history is gone; a watch does.
    let mut watch = store.watch(prefix, Revision(1)).await?;
    loop {
        match watch.next().await? {
            WatchMessage::Compacted(revision) => return store.list(prefix, Some(revision)).await,
            WatchMessage::Events { .. } | WatchMessage::Progress(_) => {}
        }
    }
}

/// The keys whose state is not yet that of the listing to arrive at. A key
/// with the same mod_revision, or gone in both, has nothing more to come; so
/// the end is exact, and nobody has to guess from silence.
struct Remaining<'a> {
    goal: BTreeMap<&'a str, Revision>,
    until: Revision,
    keys: BTreeSet<String>,
}

impl<'a> Remaining<'a> {
    fn new(old: &Listing, now: &'a Listing) -> Self {
        let goal = revisions(now);
        let before = revisions(old);
        let keys = goal
            .iter()
            .chain(&before)
            .filter(|(key, _)| goal.get(*key) != before.get(*key))
            .map(|(key, _)| (*key).to_owned())
            .collect();
        Self {
            goal,
            until: now.header.revision,
            keys,
        }
    }

    fn happened(&mut self, event: &Event) {
        if event.revision() > self.until {
            // Changes come in order: all that was to come has come.
            self.keys.clear();
            return;
        }
        let key = event.key();
        let now = match event {
            Event::Put { entry, .. } => Some(&entry.mod_revision),
            Event::Delete { .. } => None,
        };
        if now == self.goal.get(key) {
            self.keys.remove(key);
        } else {
            self.keys.insert(key.to_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn revisions(listing: &Listing) -> BTreeMap<&str, Revision> {
    let entries = listing.entries.iter();
    entries
        .map(|(key, entry)| (key.as_str(), entry.mod_revision))
        .collect()
}
