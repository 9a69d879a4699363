//! Whether etcd's history is the one that this manager knows, also across a
//! restart of either. Pure, but for the file in the state directory.
//!
//! The memory belongs to an [`Identity`]: a manager with another prefix, host
//! ID or cluster has none, and loses none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use presence::keys::Tree;
use presence::keys::status::{ManagerRole, StatusWriter};
use presence::model::{HostId, Revision};
use presence::process::state_file::{StateError, StateFile};
use presence::status::{Frozen, Marker};
use presence::store::{Entry, Header, Transaction};
use presence::watch_state::Replaced;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// Memories of other identities that are kept, the newest ones.
const IDENTITIES: usize = 32;

/// What is remembered of one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The highest revision seen.
    revision: Revision,
    /// The mod_revision of the marker when this manager last wrote or saw it.
    marker: Revision,
    /// Up to here the statuses contain every change of the tree.
    absorbed: Revision,
    /// Set while removals are frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<Frozen>,
}

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The one used last is the last.
    identities: Vec<(Identity, Memory)>,
}

/// Removals are frozen: etcd's history was reset, and no operator has released
/// them yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// How that was detected, and what ends it.
    pub why: Arc<str>,
    /// The revision of the reload that followed: later changes are of the new
    /// history.
    pub revision: Revision,
}

impl Freeze {
    /// What planners need of a freeze.
    pub fn of(frozen: &Frozen) -> Self {
        Self {
            why: frozen_message(frozen).into(),
            revision: frozen.revision,
        }
    }
}

/// Remembers, compares, and says whether removals are frozen, for each role of
/// this process.
#[derive(Debug)]
pub struct History {
    roles: BTreeMap<ManagerRole, Guard>,
    content: Content,
    saved: Content,
    /// `None`: nothing is remembered beyond this process (`--dry-run`).
    file: Option<StateFile<Content>>,
}

/// The memory of one role, and the marker that its status writes carry.
#[derive(Debug)]
struct Guard {
    identity: Identity,
    memory: Memory,
    marker: MarkerWriter,
}

/// Adds a role's marker to transactions that write its statuses. Clones write
/// the same marker.
#[derive(Debug, Clone, Default)]
pub struct MarkerWriter(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    /// `None`: nothing is written (`--dry-run`, tests).
    key: Option<String>,
    value: Vec<u8>,
    revision: Revision,
}

impl MarkerWriter {
    /// The transaction with the marker in it.
    #[must_use]
    pub fn add_to(&self, transaction: Transaction) -> Transaction {
        let written = self.written();
        match &written.key {
            Some(key) => transaction.and_put(key.clone(), written.value.clone(), None),
            None => transaction,
        }
    }

    /// Such a transaction was committed at this revision.
    pub fn committed(&self, revision: Revision) {
        let mut written = self.written();
        written.revision = written.revision.max(revision);
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// Reads what is remembered. It belongs to this tree, host and these roles,
    /// and to a cluster that is not known yet: see [`History::identify`].
    pub fn open(
        file: StateFile<Content>,
        tree: &Tree,
        host: &HostId,
        roles: impl IntoIterator<Item = ManagerRole>,
    ) -> Result<Self, StateError> {
        let content = file.read()?.unwrap_or_default();
        Ok(Self {
            saved: content.clone(),
            content,
            file: Some(file),
            ..Self::forgetful(tree, host, roles)
        })
    }

    /// Remembers nothing beyond this process.
    pub fn forgetful(
        tree: &Tree,
        host: &HostId,
        roles: impl IntoIterator<Item = ManagerRole>,
    ) -> Self {
        let roles = roles.into_iter();
        Self {
            roles: roles
                .map(|role| (role, Guard::new(role, tree, host)))
                .collect(),
            content: Content::default(),
            saved: Content::default(),
            file: None,
        }
    }

    /// The roles of this process.
    pub fn roles(&self) -> BTreeSet<ManagerRole> {
        self.roles.keys().copied().collect()
    }

    /// The marker of a role, for those who write its statuses.
    pub fn marker(&self, role: ManagerRole) -> MarkerWriter {
        let guard = self.roles.get(&role);
        guard.map(|guard| guard.marker.clone()).unwrap_or_default()
    }

    /// This is the cluster that answers: recalls what is remembered of it.
    pub fn identify(&mut self, cluster: u64) {
        for guard in self.roles.values_mut() {
            guard.identity.cluster = cluster;
            guard.memory = self.content.recall(&guard.identity);
            let mut written = guard.marker.written();
            written.value = marker_value(cluster, None, guard.memory.absorbed);
            written.revision = guard.memory.marker;
        }
    }

    /// Another cluster answers now: what is remembered of it counts, and a
    /// freeze that has no revision yet. The cluster before, if there was one.
    pub fn enter_cluster(&mut self, role: ManagerRole, cluster: u64) -> Option<u64> {
        let guard = self.roles.get_mut(&role)?;
        let before = guard.identity.cluster;
        if before == cluster {
            return None;
        }
        let frozen = guard.memory.frozen.take_if(|frozen| frozen.is_open());
        self.content.remember(&guard.identity, &guard.memory);
        guard.identity.cluster = cluster;
        guard.memory = self.content.recall(&guard.identity);
        guard.memory.frozen = frozen.or(guard.memory.frozen.take());
        let mut written = guard.marker.written();
        written.value = marker_value(cluster, None, guard.memory.absorbed);
        written.revision = guard.memory.marker;
        Some(before)
    }

    /// Why etcd's history is not the one that this role remembers, if so. The
    /// answers are of linearizable reads that began after `known` was taken.
    pub fn check(
        &self,
        role: ManagerRole,
        known: &Memory,
        answer: Header,
        marker: Option<&Entry>,
    ) -> Option<String> {
        let guard = self.roles.get(&role)?;
        let remembered = Header {
            cluster: guard.identity.cluster,
            revision: known.revision,
        };
        if let Err(reset) = Replaced::check(remembered, answer) {
            return Some(reset.to_string());
        }
        let lost = |what: String| Some(format!("the marker of this manager {what}"));
        match marker {
            None if known.marker > Revision::default() => {
                lost(format!("was of revision {} and is gone", known.marker))
            }
            None => None,
            Some(entry) if entry.mod_revision < known.marker => lost(format!(
                "was of revision {} and is of revision {} now",
                known.marker, entry.mod_revision
            )),
            Some(entry) => Marker::copied(entry, answer),
        }
    }

    /// What this role remembers; to be taken before etcd is read.
    pub fn known(&mut self, role: ManagerRole) -> Memory {
        self.note_commits();
        let guard = self.roles.get(&role);
        guard.map(|guard| guard.memory.clone()).unwrap_or_default()
    }

    /// The store is at this revision at least.
    pub fn seen(&mut self, header: Header) {
        for guard in self.roles.values_mut() {
            if guard.identity.cluster == header.cluster {
                guard.memory.revision = guard.memory.revision.max(header.revision);
            }
        }
    }

    /// The marker is in etcd like this. From now on the history is compared
    /// with it.
    pub fn accept(&mut self, role: ManagerRole, header: Header, marker: &Entry) {
        let Some(guard) = self.roles.get_mut(&role) else {
            return;
        };
        guard.memory.revision = header.revision;
        guard.memory.marker = marker.mod_revision;
        let parsed = Marker::parse(&marker.value);
        let absorbed = parsed.map_or(Revision::default(), |marker| marker.absorbed);
        guard.memory.absorbed = guard.memory.absorbed.max(absorbed);
        let mut written = guard.marker.written();
        written.revision = marker.mod_revision;
        written.value = marker_value(
            header.cluster,
            Some(marker.create_revision),
            guard.memory.absorbed,
        );
    }

    /// Removals of this role are frozen.
    pub fn freeze(&mut self, role: ManagerRole, frozen: Frozen) {
        if let Some(guard) = self.roles.get_mut(&role) {
            guard.memory.frozen = Some(frozen);
        }
    }

    /// The tree was read again at this revision after a reset: what was
    /// absorbed before belongs to another history.
    pub fn reloaded(&mut self, role: ManagerRole, revision: Revision) {
        if let Some(guard) = self.roles.get_mut(&role) {
            guard.memory.absorbed = revision;
        }
    }

    /// An operator has released this role.
    pub fn thaw(&mut self, role: ManagerRole) {
        if let Some(guard) = self.roles.get_mut(&role) {
            guard.memory.frozen = None;
        }
    }

    /// Since when and why this role is frozen.
    pub fn frozen(&self, role: ManagerRole) -> Option<&Frozen> {
        self.roles.get(&role)?.memory.frozen.as_ref()
    }

    /// The same for planners, of each role that is frozen.
    pub fn freezes(&self) -> BTreeMap<ManagerRole, Freeze> {
        let roles = self.roles.keys();
        roles
            .filter_map(|role| Some((*role, self.freeze_of(*role)?)))
            .collect()
    }

    fn freeze_of(&self, role: ManagerRole) -> Option<Freeze> {
        self.frozen(role).map(Freeze::of)
    }

    /// Up to where the statuses of all roles contain every change.
    pub fn absorbed(&self) -> Revision {
        let absorbed = self.roles.values().map(|guard| guard.memory.absorbed);
        absorbed.min().unwrap_or_default()
    }

    /// The same for one role.
    pub fn absorbed_by(&self, role: ManagerRole) -> Revision {
        let guard = self.roles.get(&role);
        guard.map(|guard| guard.memory.absorbed).unwrap_or_default()
    }

    /// They do up to this revision.
    pub fn absorb(&mut self, revision: Revision) {
        for guard in self.roles.values_mut() {
            guard.memory.absorbed = guard.memory.absorbed.max(revision);
            let mut written = guard.marker.written();
            if let Some(marker) = Marker::parse(&written.value) {
                let absorbed = guard.memory.absorbed;
                written.value = Marker { absorbed, ..marker }.to_json();
            }
        }
    }

    /// Whether there is something to save.
    pub fn is_dirty(&mut self) -> bool {
        self.note_commits();
        for guard in self.roles.values() {
            self.content.remember(&guard.identity, &guard.memory);
        }
        self.content != self.saved
    }

    /// Writes it to the state directory, if it changed.
    pub fn save(&mut self) -> Result<(), StateError> {
        if self.is_dirty() {
            if let Some(file) = &mut self.file {
                file.write(&self.content)?;
            }
            self.saved = self.content.clone();
        }
        Ok(())
    }

    fn note_commits(&mut self) {
        for guard in self.roles.values_mut() {
            let committed = guard.marker.written().revision;
            guard.memory.marker = guard.memory.marker.max(committed);
            guard.memory.revision = guard.memory.revision.max(committed);
        }
    }
}

impl Guard {
    fn new(role: ManagerRole, tree: &Tree, host: &HostId) -> Self {
        let key = tree.status().written(&StatusWriter::of(role, host));
        let written = Written {
            key: Some(key),
            ..Written::default()
        };
        Self {
            identity: Identity {
                cluster: 0,
                prefix: tree.to_string(),
                host: host.clone(),
                role,
            },
            memory: Memory::default(),
            marker: MarkerWriter(Arc::new(Mutex::new(written))),
        }
    }
}

impl Content {
    fn recall(&self, identity: &Identity) -> Memory {
        let mut known = self.identities.iter();
        let found = known.find(|(other, _)| other == identity);
        found.map(|(_, memory)| memory.clone()).unwrap_or_default()
    }

    fn remember(&mut self, identity: &Identity, memory: &Memory) {
        let mut known = self.identities.iter_mut();
        match known.find(|(other, _)| other == identity) {
            Some((_, remembered)) => remembered.clone_from(memory),
            None if identity.cluster == 0 => {}
            None => {
                self.identities.push((identity.clone(), memory.clone()));
                let surplus = self.identities.len().saturating_sub(IDENTITIES);
                self.identities.drain(..surplus);
            }
        }
    }
}

/// What an operator is told of a freeze.
pub fn frozen_message(frozen: &Frozen) -> String {
    format!(
        "the history of etcd was reset ({}, seen {:.0}): check what would be removed with \
         lbmanager status, then release it with lbmanager release --all",
        frozen.why, frozen.at
    )
}

fn marker_value(cluster: u64, created: Option<Revision>, absorbed: Revision) -> Vec<u8> {
    Marker {
        cluster,
        created,
        absorbed,
    }
    .to_json()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::Timestamp;

    use super::*;

    const ROLE: ManagerRole = ManagerRole::Aws;

    fn header(cluster: u64, revision: i64) -> Header {
        Header {
            cluster,
            revision: Revision(revision),
        }
    }

    fn marker(cluster: u64, created: i64, mod_revision: i64) -> Entry {
        Entry {
            value: marker_value(cluster, Some(Revision(created)), Revision(0)).into(),
            create_revision: Revision(created),
            mod_revision: Revision(mod_revision),
            lease: None,
        }
    }

    fn history() -> History {
        let tree = Tree::new("/lbManager").unwrap();
        History::forgetful(&tree, &"host-1".parse().unwrap(), [ROLE])
    }

    fn known() -> History {
        let mut history = history();
        history.identify(1);
        history.accept(ROLE, header(1, 10), &marker(1, 3, 7));
        history
    }

    fn check(history: &mut History, answer: Header, marker: Option<&Entry>) -> Option<String> {
        let known = history.known(ROLE);
        history.check(ROLE, &known, answer, marker)
    }

    #[test]
    fn the_same_history_going_on_is_no_reset() {
        let mut history = known();
        for (revision, written) in [(10, 7), (12, 7), (12, 11)] {
            let marker = marker(1, 3, written);
            assert_eq!(
                check(&mut history, header(1, revision), Some(&marker)),
                None
            );
        }
    }

    #[test]
    fn a_lower_revision_and_a_lost_older_or_copied_marker_are_resets() {
        let ours = marker(1, 3, 7);
        let copy = Entry {
            create_revision: Revision(20),
            mod_revision: Revision(20),
            ..ours.clone()
        };
        for (answer, found) in [
            (header(1, 9), Some(&ours)),
            (header(2, 99), Some(&ours)),
            (header(1, 99), Some(&marker(1, 3, 6))),
            (header(1, 99), None),
            (header(1, 99), Some(&copy)),
        ] {
            let why = check(&mut known(), answer, found);
            assert!(why.is_some(), "{answer:?} {found:?}");
        }
    }

    #[test]
    fn an_unknown_identity_has_no_memory_but_knows_a_copy() {
        let mut history = history();
        history.identify(1);
        assert_eq!(check(&mut history, header(1, 2), None), None);
        assert_eq!(
            check(&mut history, header(1, 9), Some(&marker(1, 3, 7))),
            None
        );
        let copy = marker(2, 3, 7);
        assert!(check(&mut history, header(1, 9), Some(&copy)).is_some());
    }

    #[test]
    fn each_identity_keeps_its_memory() {
        let mut history = known();
        assert!(history.is_dirty());
        history.identify(2);
        assert_eq!(check(&mut history, header(2, 1), None), None);
        history.identify(1);
        assert!(check(&mut history, header(1, 9), None).is_some());
    }

    #[test]
    fn a_commit_while_etcd_answers_is_newer_than_the_answer() {
        let mut history = known();
        let before = history.known(ROLE);
        history.marker(ROLE).committed(Revision(13));
        let found = marker(1, 3, 7);
        assert_eq!(
            history.check(ROLE, &before, header(1, 12), Some(&found)),
            None
        );
        assert!(check(&mut history, header(1, 14), Some(&found)).is_some());
    }

    #[test]
    fn a_freeze_ends_with_a_thaw_only() {
        let mut history = known();
        let frozen = Frozen {
            why: "a test".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            revision: Revision(4),
            id: String::new(),
        };
        history.freeze(ROLE, frozen);
        history.accept(ROLE, header(1, 4), &marker(1, 4, 4));
        assert_eq!(history.freeze_of(ROLE).unwrap().revision, Revision(4));
        assert_eq!(
            check(&mut history, header(1, 5), Some(&marker(1, 4, 4))),
            None
        );
        history.thaw(ROLE);
        assert_eq!(history.freeze_of(ROLE), None);
    }
}
