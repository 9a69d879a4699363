//! A store with revisions, leases and history, small enough to be obvious.

use std::collections::{BTreeMap, BTreeSet};

use presence::departure::{self, Classifier, Step};
use presence::keys;
use presence::model::{LeaseId, Revision};
use presence::store::{Entry, Event};

use lbmanager::record::Record;
use lbmanager::tree::Tree;
use presence::mirror::View;

/// Keys in order, as a listing has them.
pub type Keys = BTreeMap<String, Entry>;

/// One operation of a transaction.
#[derive(Debug, Clone)]
pub enum Op {
    Put(String, String, Option<u8>),
    Delete(String),
}

/// The store, and its whole history.
pub struct Etcd {
    pub revision: i64,
    pub keys: Keys,
    /// The status record of the load balancer. Writing it takes a revision.
    pub status: Option<Vec<u8>>,
    events: Vec<Event>,
    living: BTreeSet<LeaseId>,
    slots: BTreeMap<u8, LeaseId>,
    leases: i64,
    past: BTreeMap<i64, (Keys, Option<Vec<u8>>)>,
}

impl Etcd {
    pub fn new() -> Self {
        Self {
            revision: 1,
            keys: Keys::new(),
            status: None,
            events: Vec::new(),
            living: BTreeSet::new(),
            slots: BTreeMap::new(),
            leases: 0,
            past: BTreeMap::from([(1, (Keys::new(), None))]),
        }
    }

    /// Carries all out in one revision; what does not exist is not deleted.
    pub fn commit(&mut self, ops: Vec<Op>) {
        let revision = Revision(self.revision + 1);
        let mut events = Vec::new();
        for op in ops {
            match op {
                Op::Put(key, value, lease) => {
                    let lease = lease.map(|slot| self.lease(slot));
                    let before = self.keys.get(&key);
                    let entry = Entry {
                        value: value.into_bytes().into(),
                        create_revision: before.map_or(revision, |entry| entry.create_revision),
                        mod_revision: revision,
                        lease,
                    };
                    self.keys.insert(key.clone(), entry.clone());
                    events.push(Event::Put { key, entry });
                }
                Op::Delete(key) => {
                    if let Some(previous) = self.keys.remove(&key) {
                        events.push(Event::Delete {
                            key,
                            revision,
                            previous: Some(previous),
                        });
                    }
                }
            }
        }
        if !events.is_empty() {
            self.events.extend(events);
            self.advance();
        }
    }

    /// Something else is written: a release, for one.
    pub fn advance(&mut self) -> i64 {
        self.revision += 1;
        let now = (self.keys.clone(), self.status.clone());
        self.past.insert(self.revision, now);
        self.revision
    }

    fn lease(&mut self, slot: u8) -> LeaseId {
        if let Some(lease) = self.slots.get(&slot) {
            return *lease;
        }
        self.leases += 1;
        let lease = LeaseId(self.leases);
        self.slots.insert(slot, lease);
        self.living.insert(lease);
        lease
    }

    /// Ends a lease, and tells the keys that went with it.
    pub fn end_lease(&mut self, slot: u8) -> Vec<String> {
        let Some(lease) = self.slots.remove(&slot) else {
            return Vec::new();
        };
        self.living.remove(&lease);
        let keys = self.keys.iter();
        let gone: Vec<String> = keys
            .filter(|(_, entry)| entry.lease == Some(lease))
            .map(|(key, _)| key.clone())
            .collect();
        self.commit(gone.iter().cloned().map(Op::Delete).collect());
        gone
    }

    pub fn write_status(&mut self, record: &Record) {
        self.status = Some(record.to_json());
        self.advance();
    }

    pub fn delete_status(&mut self) {
        if self.status.take().is_some() {
            self.advance();
        }
    }

    /// What happened after that revision, with causes as they can be told now.
    pub fn steps_after(&self, after: i64) -> Vec<Step> {
        let events: Vec<Event> = self
            .events
            .iter()
            .filter(|event| event.revision() > Revision(after))
            .cloned()
            .collect();
        let leases = departure::leases(&events).into_iter();
        let exist = leases.map(|lease| (lease, self.living.contains(&lease)));
        Classifier::default().classify(events, &exist.collect())
    }

    /// A view of the tree as it was at that revision.
    pub fn view_at(&self, revision: i64, keys: &keys::Tree) -> Tree {
        let mut view = Tree::new(keys.clone().into());
        let (_, (listing, _)) = self.past.range(..=revision).next_back().unwrap();
        for (key, entry) in listing {
            view.list(key, entry);
        }
        view
    }

    /// Somebody restores a snapshot of that revision. The leases of the keys
    /// in it live again.
    pub fn restore(&mut self, revision: i64) {
        let (_, (keys, status)) = self.past.range(..=revision).next_back().unwrap();
        self.keys = keys.clone();
        self.status = status.clone();
        self.revision = revision;
        self.past.split_off(&(revision + 1));
        self.events
            .retain(|event| event.revision() <= Revision(revision));
        self.living
            .extend(self.keys.values().filter_map(|entry| entry.lease));
    }
}
