//! Random histories whose true causes are known.

use proptest::prelude::*;

use super::*;

const LEASES: i64 = 3;
const KEYS: u8 = 4;

#[derive(Debug, Clone)]
enum Action {
    /// Writes a key, on a lease or on none.
    Put(u8, i64, bool),
    /// Deletes these keys in one revision.
    Delete(Vec<u8>),
    Expire(i64),
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0..KEYS;
    prop_oneof![
        4 => (key.clone(), 0..=LEASES, prop::bool::weighted(0.2))
            .prop_map(|(key, lease, leaving)| Action::Put(key, lease, leaving)),
        3 => prop::collection::vec(key, 1..3).prop_map(Action::Delete),
        1 => (1..=LEASES).prop_map(Action::Expire),
    ]
}

/// What happened, as etcd tells it, and as it was.
#[derive(Default)]
struct History {
    revision: i64,
    entries: BTreeMap<String, Entry>,
    /// A lease that expired has a successor with another ID.
    generations: BTreeMap<i64, i64>,
    revisions: Vec<Vec<Event>>,
    expired: BTreeSet<LeaseId>,
    /// Deletes by an expiry whose value did not announce them.
    by_expiry: BTreeSet<(String, Revision)>,
}

impl History {
    fn of(actions: Vec<Action>) -> Self {
        let mut history = Self::default();
        for action in actions {
            history.happen(action);
        }
        history
    }

    fn lease(&self, number: i64) -> LeaseId {
        let generation = self.generations.get(&number).copied().unwrap_or_default();
        LeaseId(number + 100 * generation)
    }

    fn happen(&mut self, action: Action) {
        self.revision += 1;
        let events: Vec<Event> = match action {
            Action::Put(key, lease, leaving) => vec![self.put(key, lease, leaving)],
            Action::Delete(keys) => {
                let keys: BTreeSet<u8> = keys.into_iter().collect();
                let keys = keys.into_iter().map(|key| key.to_string());
                keys.filter_map(|key| self.delete(key)).collect()
            }
            Action::Expire(number) => self.expire(number),
        };
        if events.is_empty() {
            self.revision -= 1;
        } else {
            self.revisions.push(events);
        }
    }

    fn put(&mut self, key: u8, lease: i64, leaving: bool) -> Event {
        let value: &[u8] = if leaving { br#"{"leaving":true}"# } else { b"" };
        let entry = Entry {
            value: value.into(),
            create_revision: Revision(1),
            mod_revision: Revision(self.revision),
            lease: (lease > 0).then(|| self.lease(lease)),
        };
        self.entries.insert(key.to_string(), entry.clone());
        Event::Put {
            key: key.to_string(),
            entry,
        }
    }

    fn delete(&mut self, key: String) -> Option<Event> {
        let previous = Some(self.entries.remove(&key)?);
        let revision = Revision(self.revision);
        Some(Event::Delete {
            key,
            revision,
            previous,
        })
    }

    fn expire(&mut self, number: i64) -> Vec<Event> {
        let lease = self.lease(number);
        *self.generations.entry(number).or_default() += 1;
        self.expired.insert(lease);
        let its = self.entries.iter();
        let its = its.filter(|(_, entry)| entry.lease == Some(lease));
        let its: Vec<String> = its.map(|(key, _)| key.clone()).collect();
        for key in &its {
            if !is_leaving(&self.entries[key]) {
                let deleted = (key.clone(), Revision(self.revision));
                self.by_expiry.insert(deleted);
            }
        }
        its.into_iter().filter_map(|key| self.delete(key)).collect()
    }

    /// The causes as they are known at the end, if it is told in batches of
    /// this many revisions.
    fn told(&self, batch: usize) -> BTreeMap<(String, Revision), Cause> {
        let mut classifier = Classifier::default();
        let mut causes = BTreeMap::new();
        for batch in self.revisions.chunks(batch) {
            let events: Vec<Event> = batch.iter().flatten().cloned().collect();
            let exists = leases(&events).into_iter();
            let exists = exists.map(|lease| (lease, !self.expired.contains(&lease)));
            let exists = exists.collect();
            for step in classifier.classify(events, &exists) {
                for correction in step.corrections {
                    for key in correction.keys {
                        causes.insert((key, correction.revision), Cause::Explicit);
                    }
                }
                for change in step.changes {
                    if let Change::Gone { key, cause } = change {
                        causes.insert((key, step.revision), cause);
                    }
                }
            }
        }
        causes
    }

    /// Whether a key was on the lease after this revision.
    fn is_used_after(&self, lease: LeaseId, revision: Revision) -> bool {
        let events = self.revisions.iter().flatten();
        let mut later = events.filter(|event| event.revision() > revision);
        later.any(|event| lease_used(event) == Some(lease))
    }
}

proptest! {
    #[test]
    fn no_expiry_is_taken_for_an_explicit_delete(
        actions in prop::collection::vec(action(), 1..60),
        batch in 1..20_usize,
    ) {
        let history = History::of(actions);
        let told = history.told(batch);
        for deleted in &history.by_expiry {
            prop_assert_eq!(told[deleted], Cause::LeaseEnded);
        }
    }

    #[test]
    fn a_delete_is_explicit_if_its_lease_lived_on(
        actions in prop::collection::vec(action(), 1..60),
        batch in 1..20_usize,
    ) {
        let history = History::of(actions);
        let told = history.told(batch);
        for event in history.revisions.iter().flatten() {
            let Event::Delete { key, revision, previous } = event else {
                continue;
            };
            let cause = told[&(key.clone(), *revision)];
            let lives = previous.as_ref().unwrap().lease.is_none_or(|lease| {
                !history.expired.contains(&lease) || history.is_used_after(lease, *revision)
            });
            let leaves = previous.as_ref().is_some_and(is_leaving);
            prop_assert!(cause == Cause::Explicit || !lives && !leaves, "{event:?}: {cause:?}");
        }
    }

    #[test]
    fn batches_make_no_difference(
        actions in prop::collection::vec(action(), 1..60),
        batch in 1..20_usize,
    ) {
        let history = History::of(actions);
        prop_assert_eq!(history.told(batch), history.told(usize::MAX));
    }
}
