//! What etcd holds, without anything of how it is reached.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::watch::Subject;
use crate::model::{LeaseId, Revision};
use crate::store::{
    Commit, Compare, Condition, Entry, Event, Header, KeyRange, Listing, MOST_OPERATIONS,
    Operation, StoreError, Transaction,
};

/// The largest request that etcd takes by its own defaults.
const LARGEST_REQUEST: usize = 3 << 19;

type Entries = BTreeMap<String, Entry>;

/// Keys, their history and the leases.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub header: Header,
    pub compacted: Revision,
    entries: Entries,
    /// The entries as they were at `compacted`.
    base: Entries,
    history: BTreeMap<Revision, Vec<Event>>,
    leases: BTreeMap<LeaseId, Lease>,
    last_lease: i64,
}

#[derive(Debug, Clone)]
struct Lease {
    ttl: Duration,
    ends: Instant,
}

impl State {
    pub fn empty(cluster: u64) -> Self {
        Self {
            header: Header {
                cluster,
                revision: Revision(1),
            },
            compacted: Revision(0),
            entries: Entries::new(),
            base: Entries::new(),
            history: BTreeMap::new(),
            leases: BTreeMap::new(),
            last_lease: 0,
        }
    }

    /// etcd never gives the same lease twice, not even after a restore.
    pub fn outlive(&mut self, before: &Self) {
        self.last_lease = before.last_lease;
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn list(&self, range: &KeyRange, at: Option<Revision>) -> Result<Listing, StoreError> {
        let revision = at.unwrap_or(self.header.revision);
        if revision < self.compacted {
            return Err(StoreError::Compacted);
        }
        if revision > self.header.revision {
            return Err(rejected("required revision is a future revision"));
        }
        let mut entries = self.base.clone();
        for event in self
            .history
            .range(..=revision)
            .flat_map(|(_, events)| events)
        {
            apply(&mut entries, event);
        }
        entries.retain(|key, _| range.contains(key));
        Ok(Listing {
            header: Header {
                revision,
                ..self.header
            },
            entries: entries.into_iter().collect(),
        })
    }

    /// Everything in the range after that revision, a message a revision.
    pub fn since(&self, range: &Subject, after: Revision) -> Vec<Vec<Event>> {
        let revisions = self.history.range(after.next()..);
        revisions
            .map(|(_, events)| range.of(events))
            .filter(|events| !events.is_empty())
            .collect()
    }

    pub fn compact(&mut self, to: Revision) {
        let to = to.min(self.header.revision);
        let kept = self.history.split_off(&to.next());
        let gone = std::mem::replace(&mut self.history, kept);
        for event in gone.into_values().flatten() {
            apply(&mut self.base, &event);
        }
        self.compacted = self.compacted.max(to);
    }

    /// The answer, and what happened.
    pub fn commit(
        &mut self,
        transaction: &Transaction,
    ) -> Result<(Commit, Vec<Event>), StoreError> {
        check(transaction)?;
        let succeeded = transaction.when.iter().all(|compare| self.holds(compare));
        let mut events = Vec::new();
        if succeeded {
            self.check_leases(transaction)?;
            let revision = self.header.revision.next();
            for operation in &transaction.then {
                self.events(operation, revision, &mut events);
            }
            self.record(&events);
        }
        let commit = Commit {
            header: self.header,
            succeeded,
        };
        Ok((commit, events))
    }

    pub fn grant(&mut self, ttl: Duration, now: Instant) -> LeaseId {
        self.last_lease += 1;
        let lease = LeaseId(self.last_lease);
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let ttl = Duration::from_secs(seconds.max(1));
        let ends = now + ttl;
        self.leases.insert(lease, Lease { ttl, ends });
        lease
    }

    pub fn keep_alive(&mut self, lease: LeaseId, now: Instant) -> bool {
        self.leases.get_mut(&lease).is_some_and(|lease| {
            lease.ends = now + lease.ttl;
            true
        })
    }

    pub fn time_left(&self, lease: LeaseId, now: Instant) -> Option<Duration> {
        let lease = self.leases.get(&lease)?;
        Some(lease.ends.saturating_duration_since(now))
    }

    pub fn keys_on(&self, lease: LeaseId) -> Option<Vec<String>> {
        self.leases.get(&lease)?;
        let entries = self.entries.iter();
        let its = entries.filter(|(_, entry)| entry.lease == Some(lease));
        Some(its.map(|(key, _)| key.clone()).collect())
    }

    /// All keys of a lease go in one revision.
    pub fn end_lease(&mut self, lease: LeaseId) -> Vec<Event> {
        if self.leases.remove(&lease).is_none() {
            return Vec::new();
        }
        let revision = self.header.revision.next();
        let its = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.lease == Some(lease));
        let events: Vec<_> = its
            .map(|(key, entry)| Event::Delete {
                key: key.clone(),
                revision,
                previous: Some(entry.clone()),
            })
            .collect();
        self.record(&events);
        events
    }

    /// When the first lease ends by itself.
    pub fn next_end(&self) -> Option<Instant> {
        self.leases.values().map(|lease| lease.ends).min()
    }

    pub fn overdue(&self, now: Instant) -> Option<LeaseId> {
        let overdue = |(id, lease): (&LeaseId, &Lease)| (lease.ends <= now).then_some(*id);
        self.leases.iter().find_map(overdue)
    }

    fn holds(&self, compare: &Compare) -> bool {
        let entry = self.entries.get(&compare.key);
        let revision = |of: fn(&Entry) -> Revision| entry.map_or(Revision(0), of);
        match compare.condition {
            Condition::Absent => entry.is_none(),
            Condition::Present => entry.is_some(),
            Condition::ModRevision(at) => revision(|entry| entry.mod_revision) == at,
            Condition::CreateRevision(at) => revision(|entry| entry.create_revision) == at,
            Condition::Lease(lease) => entry.is_some_and(|entry| entry.lease == Some(lease)),
        }
    }

    fn check_leases(&self, transaction: &Transaction) -> Result<(), StoreError> {
        let leases = transaction
            .then
            .iter()
            .filter_map(|operation| match operation {
                Operation::Put { lease, .. } => *lease,
                Operation::Delete { .. } | Operation::DeletePrefix { .. } => None,
            });
        let mut gone = leases.filter(|lease| !self.leases.contains_key(lease));
        gone.next()
            .map_or(Ok(()), |lease| Err(StoreError::LeaseGone(lease)))
    }

    fn events(&self, operation: &Operation, revision: Revision, events: &mut Vec<Event>) {
        let named: Vec<&String> = match operation {
            Operation::DeletePrefix { prefix } => {
                let keys = self.entries.keys();
                keys.filter(|key| key.starts_with(prefix)).collect()
            }
            Operation::Put { key, value, lease } => {
                let before = self.entries.get(key);
                let entry = Entry {
                    value: value.clone().into_boxed_slice(),
                    create_revision: before.map_or(revision, |entry| entry.create_revision),
                    mod_revision: revision,
                    lease: *lease,
                };
                let key = key.clone();
                return events.push(Event::Put { key, entry });
            }
            Operation::Delete { key } => vec![key],
        };
        for key in named {
            let deleted = events.iter().any(|event| event.key() == key);
            if let Some(previous) = self.entries.get(key).filter(|_| !deleted) {
                events.push(Event::Delete {
                    key: key.clone(),
                    revision,
                    previous: Some(previous.clone()),
                });
            }
        }
    }

    fn record(&mut self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        self.header.revision = self.header.revision.next();
        for event in events {
            apply(&mut self.entries, event);
        }
        self.history.insert(self.header.revision, events.to_vec());
    }
}

fn apply(entries: &mut Entries, event: &Event) {
    match event {
        Event::Put { key, entry } => entries.insert(key.clone(), entry.clone()),
        Event::Delete { key, .. } => entries.remove(key),
    };
}

fn check(transaction: &Transaction) -> Result<(), StoreError> {
    if transaction.then.len() > MOST_OPERATIONS || transaction.when.len() > MOST_OPERATIONS {
        return Err(rejected("too many operations in txn request"));
    }
    let mut size = 0;
    for (n, operation) in transaction.then.iter().enumerate() {
        let Operation::Put { key, value, .. } = operation else {
            continue;
        };
        size += key.len() + value.len();
        let mut others = transaction.then.iter().enumerate().filter(|(m, _)| *m != n);
        if others.any(|(_, other)| names(other, key)) {
            return Err(rejected("duplicate key given in txn request"));
        }
    }
    if size > LARGEST_REQUEST {
        return Err(rejected("request is too large"));
    }
    Ok(())
}

fn names(operation: &Operation, key: &str) -> bool {
    match operation {
        Operation::Put { key: named, .. } | Operation::Delete { key: named } => named == key,
        Operation::DeletePrefix { prefix } => key.starts_with(prefix),
    }
}

fn rejected(reason: &str) -> StoreError {
    StoreError::Rejected {
        endpoints: super::PLACE.to_owned(),
        reason: format!("etcdserver: {reason}"),
    }
}
