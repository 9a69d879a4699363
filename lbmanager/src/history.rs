//! Whether etcd's history is the one that this manager knows, also across a
//! restart of either. Pure, but for the file it is kept in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use presence::model::{BalancerId, Revision};
use presence::process::state_file::{StateError, StateFile};
use presence::store::Header;
use presence::watch_state::Replaced;
use serde::{Deserialize, Serialize};

/// What is remembered in the state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// etcd's cluster ID.
    cluster: u64,
    /// The highest revision seen.
    revision: Revision,
    /// The mod_revision of each status that this manager wrote.
    statuses: BTreeMap<String, Revision>,
    /// Set while nothing may be removed.
    replaced: Option<Note>,
}

/// When and how it was seen that the history was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// How.
    pub why: String,
}

/// Remembers, compares, and says whether removals are held.
#[derive(Debug)]
pub struct History {
    memory: Memory,
    saved: Memory,
    /// `None`: nothing is remembered beyond this process (`--dry-run`).
    file: Option<StateFile<Memory>>,
}

impl History {
    /// Reads what is remembered.
    pub fn open(file: StateFile<Memory>) -> Result<Self, StateError> {
        let memory = file.read()?.unwrap_or_default();
        Ok(Self {
            saved: memory.clone(),
            memory,
            file: Some(file),
        })
    }

    /// Remembers nothing beyond this process.
    pub fn forgetful() -> Self {
        Self {
            memory: Memory::default(),
            saved: Memory::default(),
            file: None,
        }
    }

    /// Why removals are held, if they are.
    pub fn frozen(&self) -> Option<String> {
        self.memory.replaced.as_ref().map(|note| {
            format!(
                "the history of etcd was replaced ({}, seen {:.0}); look at what would be removed \
                 with lbmanager status, then let it go with lbmanager release --all",
                note.why, note.at
            )
        })
    }

    /// Compares an answer of the store, and the status records in it, with
    /// what is remembered.
    pub fn check(
        &mut self,
        answer: Header,
        statuses: &BTreeMap<BalancerId, Revision>,
        now: Timestamp,
    ) {
        if self.memory.revision == Revision::default() {
            return self.accept(answer, statuses);
        }
        let remembered = Header {
            cluster: self.memory.cluster,
            revision: self.memory.revision,
        };
        match Replaced::check(remembered, answer) {
            Err(replaced) => self.replaced(&replaced.to_string(), now),
            Ok(()) => {
                if let Some(why) = self.lost_status(statuses) {
                    self.replaced(&why, now);
                }
            }
        }
        self.memory.cluster = answer.cluster;
        self.memory.revision = answer.revision;
        self.remember(statuses);
    }

    fn lost_status(&self, statuses: &BTreeMap<BalancerId, Revision>) -> Option<String> {
        let by_name: BTreeMap<String, Revision> = statuses
            .iter()
            .map(|(id, revision)| (id.to_string(), *revision))
            .collect();
        self.memory
            .statuses
            .iter()
            .find_map(|(id, remembered)| match by_name.get(id) {
                None => Some(format!("the status of {id} is gone")),
                Some(now) if now < remembered => Some(format!(
                    "the status of {id} is of revision {now}, older than {remembered}"
                )),
                Some(_) => None,
            })
    }

    /// The store is at this revision at least.
    pub fn seen(&mut self, header: Header) {
        if header.cluster == self.memory.cluster {
            self.memory.revision = self.memory.revision.max(header.revision);
        }
    }

    /// This manager wrote a status at this revision.
    pub fn wrote(&mut self, id: &BalancerId, revision: Revision) {
        self.memory.statuses.insert(id.to_string(), revision);
        self.memory.revision = self.memory.revision.max(revision);
    }

    /// This manager deleted a status.
    pub fn forgot(&mut self, id: &BalancerId) {
        self.memory.statuses.remove(&id.to_string());
    }

    /// The history was replaced: nothing may be removed from now on.
    pub fn replaced(&mut self, why: &str, now: Timestamp) {
        if self.memory.replaced.is_none() {
            tracing::error!(
                "the history of etcd was replaced ({why}): members are still added, but none is \
                 removed until somebody has looked and says: lbmanager release --all"
            );
            self.memory.replaced = Some(Note {
                at: now,
                why: why.to_owned(),
            });
        }
    }

    /// This is the history from now on.
    pub fn accept(&mut self, answer: Header, statuses: &BTreeMap<BalancerId, Revision>) {
        self.memory = Memory {
            cluster: answer.cluster,
            revision: answer.revision,
            ..Memory::default()
        };
        self.remember(statuses);
    }

    fn remember(&mut self, statuses: &BTreeMap<BalancerId, Revision>) {
        self.memory.statuses = statuses
            .iter()
            .map(|(id, revision)| (id.to_string(), *revision))
            .collect();
    }

    /// Whether there is something to save.
    pub fn is_dirty(&self) -> bool {
        self.memory != self.saved
    }

    /// Writes it to the state directory, if it changed.
    pub fn save(&mut self) -> Result<(), StateError> {
        if let Some(file) = &mut self.file
            && self.memory != self.saved
        {
            file.write(&self.memory)?;
        }
        self.saved = self.memory.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn header(cluster: u64, revision: i64) -> Header {
        Header {
            cluster,
            revision: Revision(revision),
        }
    }

    fn statuses(of: &[(&str, i64)]) -> BTreeMap<BalancerId, Revision> {
        of.iter()
            .map(|(id, revision)| (id.parse().unwrap(), Revision(*revision)))
            .collect()
    }

    fn known() -> History {
        let mut history = History::forgetful();
        history.check(header(1, 10), &statuses(&[("elb/us-east-1/a", 7)]), NOW);
        assert_eq!(history.frozen(), None, "nothing to compare with");
        history
    }

    #[test]
    fn the_same_history_going_on_holds_nothing() {
        let mut history = known();
        history.check(header(1, 12), &statuses(&[("elb/us-east-1/a", 9)]), NOW);
        assert_eq!(history.frozen(), None);
    }

    #[test]
    fn a_lower_revision_another_cluster_or_a_lost_status_hold_removals() {
        let same = statuses(&[("elb/us-east-1/a", 7)]);
        let older = statuses(&[("elb/us-east-1/a", 6)]);
        for (answer, statuses) in [
            (header(1, 9), same.clone()),
            (header(2, 99), same),
            (header(1, 99), older),
            (header(1, 99), BTreeMap::new()),
        ] {
            let mut history = known();
            history.check(answer, &statuses, NOW);
            assert!(history.frozen().is_some(), "{answer:?} {statuses:?}");
            history.check(answer, &statuses, NOW);
            assert!(history.frozen().is_some(), "until somebody says so");
            history.accept(answer, &statuses);
            assert_eq!(history.frozen(), None);
        }
    }

    #[test]
    fn a_status_that_we_deleted_is_not_missed() {
        let mut history = known();
        history.forgot(&"elb/us-east-1/a".parse().unwrap());
        history.check(header(1, 12), &BTreeMap::new(), NOW);
        assert_eq!(history.frozen(), None);
    }
}
