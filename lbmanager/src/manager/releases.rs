//! Operators' releases, as the mirror keeps them.

use std::collections::BTreeMap;

use presence::departure::{Change, Step};
use presence::keys;
use presence::mirror::View;
use presence::model::{BalancerId, Revision};
use presence::store::{Condition, Entry, Transaction};

/// The releases that stand, each with its key's mod_revision.
#[derive(Debug, Clone, Default)]
pub struct Releases {
    all: Option<Revision>,
    each: BTreeMap<BalancerId, Revision>,
}

impl Releases {
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
            .map(|revision| (keys::status::release_all(), revision));
        let each = self
            .each
            .iter()
            .filter(move |(id, revision)| done(id, **revision))
            .map(|(id, revision)| (keys::status::release(id), *revision));
        all.into_iter().chain(each).map(|(key, revision)| {
            Transaction::delete(key.clone()).when(key, Condition::ModRevision(revision))
        })
    }

    fn set(&mut self, key: &str, revision: Option<Revision>) {
        if key == keys::status::release_all() {
            self.all = revision;
            return;
        }
        let name = key.strip_prefix(&keys::status::releases_prefix());
        let Some(id) = name.and_then(|name| name.parse().ok()) else {
            return;
        };
        match revision {
            Some(revision) => self.each.insert(id, revision),
            None => self.each.remove(&id),
        };
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
