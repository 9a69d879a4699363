//! Whether etcd's history is the one that this manager knows, also across a
//! restart of either. Pure, but for the file it is kept in.

use std::collections::BTreeMap;
use std::sync::Arc;

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

/// Removals are frozen: the history was replaced, and no operator has released
/// it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// How that was detected, and what ends it.
    pub why: Arc<str>,
    /// The revision of the reload that followed: later changes are of the new
    /// history.
    pub revision: Revision,
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

    /// What is remembered. To be taken before the store is asked: what is
    /// written while it answers is newer than its answer.
    pub fn known(&self) -> Memory {
        self.memory.clone()
    }

    /// Compares an answer of the store, and the status records in it, with
    /// what was known before it was asked. How the history was replaced, if it
    /// was.
    pub fn check(
        &mut self,
        known: &Memory,
        answer: Header,
        statuses: &BTreeMap<BalancerId, Revision>,
        now: Timestamp,
    ) -> Option<Replaced> {
        if known.revision == Revision::default() {
            self.accept(answer, statuses);
            return None;
        }
        let remembered = Header {
            cluster: known.cluster,
            revision: known.revision,
        };
        let statuses = by_name(statuses);
        let verdict = Replaced::check(remembered, answer);
        let replaced = verdict.err().or_else(|| self.lost_status(known, &statuses));
        self.memory.cluster = answer.cluster;
        if let Some(replaced) = &replaced {
            self.replaced(&replaced.to_string(), now);
            self.memory.revision = answer.revision;
            self.memory.statuses = statuses;
        } else {
            self.memory.revision = self.memory.revision.max(answer.revision);
            for (id, revision) in statuses {
                let newest = self.memory.statuses.entry(id).or_default();
                *newest = revision.max(*newest);
            }
        }
        replaced
    }

    /// One that this manager deleted since is no loss.
    fn lost_status(
        &self,
        known: &Memory,
        statuses: &BTreeMap<String, Revision>,
    ) -> Option<Replaced> {
        let mut known = known.statuses.iter();
        let lost = known.find_map(|(id, remembered)| match statuses.get(id) {
            None if self.memory.statuses.contains_key(id) => {
                Some(format!("the status of {id} is gone"))
            }
            Some(now) if now < remembered => Some(format!(
                "the status of {id} is of revision {now}, older than {remembered}"
            )),
            _ => None,
        });
        lost.map(Replaced::Lost)
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
            statuses: by_name(statuses),
            ..Memory::default()
        };
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

fn by_name(statuses: &BTreeMap<BalancerId, Revision>) -> BTreeMap<String, Revision> {
    let statuses = statuses.iter();
    statuses
        .map(|(id, revision)| (id.to_string(), *revision))
        .collect()
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

    fn check(
        history: &mut History,
        answer: Header,
        statuses: &BTreeMap<BalancerId, Revision>,
        now: Timestamp,
    ) {
        let known = history.known();
        history.check(&known, answer, statuses, now);
    }

    fn known() -> History {
        let mut history = History::forgetful();
        check(
            &mut history,
            header(1, 10),
            &statuses(&[("elb/us-east-1/a", 7)]),
            NOW,
        );
        assert_eq!(history.frozen(), None, "nothing to compare with");
        history
    }

    #[test]
    fn the_same_history_going_on_holds_nothing() {
        let mut history = known();
        check(
            &mut history,
            header(1, 12),
            &statuses(&[("elb/us-east-1/a", 9)]),
            NOW,
        );
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
            check(&mut history, answer, &statuses, NOW);
            assert!(history.frozen().is_some(), "{answer:?} {statuses:?}");
            check(&mut history, answer, &statuses, NOW);
            assert!(history.frozen().is_some(), "until somebody says so");
            history.accept(answer, &statuses);
            assert_eq!(history.frozen(), None);
        }
    }

    #[test]
    fn a_status_that_we_deleted_is_not_missed() {
        let mut history = known();
        history.forgot(&"elb/us-east-1/a".parse().unwrap());
        check(&mut history, header(1, 12), &BTreeMap::new(), NOW);
        assert_eq!(history.frozen(), None);
    }

    #[test]
    fn what_is_written_or_deleted_while_etcd_answers_is_newer_than_the_answer() {
        let mut history = known();
        let (a, b) = ("elb/us-east-1/a".parse().unwrap(), "elb/us-east-1/b");
        let before = history.known();
        history.wrote(&a, Revision(13));
        let answer = statuses(&[("elb/us-east-1/a", 7), (b, 9)]);
        let verdict = history.check(&before, header(1, 12), &answer, NOW);
        assert_eq!(verdict, None);
        let before = history.known();
        history.forgot(&a);
        let verdict = history.check(&before, header(1, 14), &statuses(&[(b, 9)]), NOW);
        assert_eq!((verdict, history.frozen()), (None, None));
        let older = statuses(&[(b, 8)]);
        let before = history.known();
        assert!(history.check(&before, header(1, 15), &older, NOW).is_some());
    }
}
