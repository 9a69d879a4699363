//! Operators' releases: as the mirror keeps them, and until they are done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presence::departure::{Change, Step};
use presence::keys::StatusTree;
use presence::keys::status::StatusKey;
use presence::mirror::{Snapshot, View};
use presence::model::{BalancerId, Revision};
use presence::store::{Condition, Entry, Store, Transaction};
use tokio::time::Instant;

use super::{Manager, statuses};
use crate::tree::Tree;

/// How long a release stands that concerns several managers.
const STANDS: Duration = Duration::from_secs(5);

/// The releases that stand, each with its key's mod_revision.
#[derive(Debug, Clone)]
pub struct Releases {
    keys: StatusTree,
    all: Option<Revision>,
    each: BTreeMap<BalancerId, Revision>,
}

impl Releases {
    /// None of this tree is known yet.
    pub fn new(keys: StatusTree) -> Self {
        Self {
            keys,
            all: None,
            each: BTreeMap::new(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.each.is_empty()
    }

    /// The release of everything.
    pub fn all(&self) -> Option<Revision> {
        self.all
    }

    /// The newest release that concerns this load balancer.
    pub fn of(&self, id: &BalancerId) -> Option<Revision> {
        self.each.get(id).copied().max(self.all)
    }

    /// All that stand, by the mod_revisions of their keys.
    pub fn revisions(&self) -> impl Iterator<Item = Revision> {
        self.each.values().copied().chain(self.all)
    }

    /// The transactions that delete those that are done, unless one was said
    /// again since: that of everything, and those of one load balancer each.
    pub fn finished(
        &self,
        all_done: impl Fn(Revision) -> bool,
        done: impl Fn(&BalancerId, Revision) -> bool,
    ) -> impl Iterator<Item = Transaction> {
        let all = self
            .all
            .filter(|revision| all_done(*revision))
            .map(|revision| (self.keys.release_all(), revision));
        let each = self
            .each
            .iter()
            .filter(move |(id, revision)| done(id, **revision))
            .map(|(id, revision)| (self.keys.release(id), *revision));
        all.into_iter().chain(each).map(|(key, revision)| {
            Transaction::delete(key.clone()).when(key, Condition::ModRevision(revision))
        })
    }

    fn set(&mut self, key: &str, revision: Option<Revision>) {
        match (self.keys.parse(key), revision) {
            (Ok(StatusKey::ReleaseAll), revision) => self.all = revision,
            (Ok(StatusKey::Release(id)), Some(revision)) => {
                self.each.insert(id, revision);
            }
            (Ok(StatusKey::Release(id)), None) => {
                self.each.remove(&id);
            }
            _ => {}
        }
    }
}

impl View for Releases {
    fn list(&mut self, key: &str, entry: &Entry) {
        self.set(key, Some(entry.mod_revision));
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.set(&key, Some(entry.mod_revision)),
                Change::Gone { key, .. } => self.set(&key, None),
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}

impl<S: Store> Manager<S> {
    pub(super) async fn release(&mut self, snapshot: &Snapshot<Tree>, releases: &Releases) {
        if self.settings.dry_run || releases.is_empty() {
            return;
        }
        if releases.all().is_some() && self.history.frozen().is_some() {
            match self.list_statuses().await {
                Ok(listing) => {
                    tracing::warn!("an operator releases everything; removals go on");
                    let header = listing.header;
                    let statuses = statuses::statuses_in(&self.keys, listing);
                    self.history.accept(header, &statuses::revisions(&statuses));
                    self.save_history();
                }
                Err(error) => self.complain("everything cannot be released yet", &error),
            }
            return;
        }
        let finished = self.finished_releases(snapshot, releases);
        for transaction in finished {
            if let Err(error) = self.store.commit(transaction).await {
                return self.complain("a release that is done cannot be deleted yet", &error);
            }
        }
    }

    /// Releases that nobody waits for any more. Those that concern several
    /// managers stand for a while, so that each has seen them.
    fn finished_releases(
        &mut self,
        snapshot: &Snapshot<Tree>,
        releases: &Releases,
    ) -> Vec<Transaction> {
        let now = Instant::now();
        let standing: BTreeSet<Revision> = releases.revisions().collect();
        self.released_at
            .retain(|revision, _| standing.contains(revision));
        for revision in standing {
            self.released_at.entry(revision).or_insert(now);
        }
        let seen_by_all = |revision: Revision| {
            let since = self.released_at.get(&revision);
            since.is_some_and(|since| now.duration_since(*since) >= STANDS)
        };
        let reports = self.reports.borrow();
        let done = |id: &BalancerId, revision: Revision| {
            let report = reports.get(id);
            !self.fleet.has(id) || report.is_some_and(|report| report.released >= Some(revision))
        };
        let of_all = |revision| {
            let mut known = snapshot.view.balancers.keys();
            seen_by_all(revision) && known.all(|id| done(id, revision))
        };
        let of_one = |id: &BalancerId, revision| {
            let alone = !self.fleet.has_others(id) || seen_by_all(revision);
            self.fleet.cares_for(id) && alone && done(id, revision)
        };
        releases.finished(of_all, of_one).collect()
    }
}
