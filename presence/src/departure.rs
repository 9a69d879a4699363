//! Why a key vanished. etcd only says that it did; the lease it was on tells
//! the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{LeaseId, Revision};
use crate::store::{Entry, Event};

/// Why a key vanished, as far as anybody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Somebody deleted it.
    Explicit,
    /// Its lease ended: its owner died, or lost its connection for too long.
    LeaseEnded,
    /// It vanished while nobody looked.
    Unknown,
}

/// One change with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key was written.
    Put {
        /// Which key.
        key: String,
        /// What it is now.
        entry: Entry,
    },
    /// The key is gone.
    Gone {
        /// Which key.
        key: String,
        /// Why.
        cause: Cause,
    },
}

/// All that one revision changed. What happened together is told together,
/// because how many keys one delete took says what was meant by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub revision: Revision,
    /// What, in the order of the store.
    pub changes: Vec<Change>,
    /// One client's request made these changes. `false`: the expiry of a lease
    /// may have, so they say nothing about the intention of a client.
    pub is_request: bool,
    /// Earlier deletes that this revision explains. To be applied before the
    /// changes.
    pub corrections: Vec<Correction>,
}

/// Deletes of one revision that were explicit, as later changes prove: the
/// lease of the keys outlived them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The revision of the deletes.
    pub revision: Revision,
    /// The deleted keys.
    pub keys: Vec<String>,
}

/// The leases that must be asked about before [`Classifier::classify`].
pub fn leases(events: &[Event]) -> BTreeSet<LeaseId> {
    events.iter().filter_map(lease_before).collect()
}

/// Keys whose cause a later change may still correct; the oldest are dropped.
const UNPROVEN: usize = 10_000;

/// Derives the causes of deletes, in the order of the history.
///
/// etcd deletes all keys of a lease that expires, in one revision. So a lease
/// that had a key after the revision of a delete did not cause the delete.
#[derive(Debug, Default)]
pub struct Classifier {
    /// Per lease the last deletes that its expiry may have caused.
    unproven: BTreeMap<LeaseId, Correction>,
    by_age: BTreeSet<(Revision, LeaseId)>,
    keys: usize,
}

impl Classifier {
    /// Groups events by revision and gives each delete its cause. `exists`:
    /// whether a lease still exists, for leases with a known answer.
    pub fn classify(&mut self, events: Vec<Event>, exists: &BTreeMap<LeaseId, bool>) -> Vec<Step> {
        let last_used = last_used(&events);
        let alive = |lease, at| {
            if last_used.get(&lease).is_some_and(|last| *last > at) {
                return Some(true);
            }
            exists.get(&lease).copied()
        };
        let mut steps = Vec::new();
        let mut rest = events.into_iter().peekable();
        while let Some(first) = rest.next() {
            let revision = first.revision();
            let mut together = vec![first];
            while let Some(event) = rest.next_if(|event| event.revision() == revision) {
                together.push(event);
            }
            steps.push(self.step(revision, together, &alive));
        }
        steps
    }

    fn step(
        &mut self,
        revision: Revision,
        together: Vec<Event>,
        alive: &impl Fn(LeaseId, Revision) -> Option<bool>,
    ) -> Step {
        let corrections = self.outlived(&together, revision);
        let origin = origin(&together, |lease| alive(lease, revision));
        if let Origin::Unproven { lease, .. } = origin {
            self.remember(lease, revision, &together);
        }
        let changes = together.into_iter().map(|event| change(event, origin));
        Step {
            revision,
            changes: changes.collect(),
            is_request: matches!(origin, Origin::Request),
            corrections,
        }
    }

    /// The remembered deletes whose lease has, or had until now, another key.
    fn outlived(&mut self, together: &[Event], now: Revision) -> Vec<Correction> {
        let leases: BTreeSet<LeaseId> = together.iter().filter_map(lease_used).collect();
        let mut corrections = Vec::new();
        for lease in leases {
            if self
                .unproven
                .get(&lease)
                .is_some_and(|deletes| deletes.revision < now)
            {
                corrections.extend(self.forget(lease));
            }
        }
        corrections
    }

    fn remember(&mut self, lease: LeaseId, revision: Revision, together: &[Event]) {
        let keys: Vec<String> = together
            .iter()
            .map(|event| event.key().to_owned())
            .collect();
        self.forget(lease);
        self.keys += keys.len();
        self.by_age.insert((revision, lease));
        self.unproven.insert(lease, Correction { revision, keys });
        while self.keys > UNPROVEN
            && let Some((_, oldest)) = self.by_age.first().copied()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, lease: LeaseId) -> Option<Correction> {
        let deletes = self.unproven.remove(&lease)?;
        self.by_age.remove(&(deletes.revision, lease));
        self.keys -= deletes.keys.len();
        Some(deletes)
    }
}

/// What made the changes of one revision.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// A client's request.
    Request,
    /// Perhaps the expiry of this lease, which is the cause if nothing else is
    /// known.
    Unproven { lease: LeaseId, cause: Cause },
    /// The previous values are unknown, and so are the leases.
    Unknown,
}

/// The last revision at which each lease had a key.
fn last_used(events: &[Event]) -> BTreeMap<LeaseId, Revision> {
    let used = events
        .iter()
        .filter_map(|event| Some((lease_used(event)?, event.revision())));
    used.collect()
}

fn change(event: Event, origin: Origin) -> Change {
    match event {
        Event::Put { key, entry } => Change::Put { key, entry },
        Event::Delete { key, previous, .. } => {
            let cause = match origin {
                Origin::Request => Cause::Explicit,
                _ if previous.as_ref().is_some_and(is_leaving) => Cause::Explicit,
                Origin::Unproven { cause, .. } => cause,
                Origin::Unknown => Cause::Unknown,
            };
            Change::Gone { key, cause }
        }
    }
}

/// Whether a publisher announced in the value that it deletes the key.
fn is_leaving(entry: &Entry) -> bool {
    #[derive(Deserialize)]
    struct Value {
        #[serde(default)]
        leaving: bool,
    }
    serde_json::from_slice::<Value>(&entry.value).is_ok_and(|value| value.leaving)
}

fn lease_before(event: &Event) -> Option<LeaseId> {
    match event {
        Event::Put { .. } => None,
        Event::Delete { previous, .. } => previous.as_ref()?.lease,
    }
}

/// The lease that had a key in this revision.
fn lease_used(event: &Event) -> Option<LeaseId> {
    match event {
        Event::Put { entry, .. } => entry.lease,
        Event::Delete { .. } => lease_before(event),
    }
}

/// A lease that ends deletes its keys in one revision that holds nothing
/// else. So whatever shares its revision with a key of another lease, of none,
/// or with a write, was done by somebody, whether or not a lease ended since.
fn origin(together: &[Event], alive: impl Fn(LeaseId) -> Option<bool>) -> Origin {
    let mut common = None;
    let mut unknown = false;
    for event in together {
        let previous = match event {
            Event::Put { .. } => return Origin::Request,
            Event::Delete { previous, .. } => previous,
        };
        match previous.as_ref().map(|entry| entry.lease) {
            None => unknown = true,
            Some(None) => return Origin::Request,
            Some(Some(lease)) => match common {
                None => common = Some(lease),
                Some(other) if other == lease => {}
                Some(_) => return Origin::Request,
            },
        }
    }
    let Some(lease) = common else {
        return Origin::Unknown;
    };
    let cause = match alive(lease) {
        Some(true) => return Origin::Request,
        Some(false) if !unknown => Cause::LeaseEnded,
        _ => Cause::Unknown,
    };
    Origin::Unproven { lease, cause }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(key: &str, revision: i64, lease: Option<i64>) -> Event {
        Event::Delete {
            key: key.to_owned(),
            revision: Revision(revision),
            previous: Some(Entry {
                value: Box::default(),
                create_revision: Revision(1),
                mod_revision: Revision(1),
                lease: lease.map(LeaseId),
            }),
        }
    }

    fn forgotten(key: &str, revision: i64) -> Event {
        Event::Delete {
            key: key.to_owned(),
            revision: Revision(revision),
            previous: None,
        }
    }

    fn causes(events: Vec<Event>, exists: &[(i64, bool)]) -> Vec<Cause> {
        let exists = exists.iter().map(|(id, is)| (LeaseId(*id), *is)).collect();
        let steps = Classifier::default().classify(events, &exists);
        steps
            .into_iter()
            .flat_map(|step| step.changes)
            .filter_map(|change| match change {
                Change::Gone { cause, .. } => Some(cause),
                Change::Put { .. } => None,
            })
            .collect()
    }

    #[test]
    fn a_key_without_a_lease_was_deleted_by_somebody() {
        assert_eq!(causes(vec![deleted("a", 5, None)], &[]), [Cause::Explicit]);
    }

    #[test]
    fn a_key_whose_lease_lives_was_deleted_by_somebody() {
        let events = vec![deleted("a", 5, Some(7))];
        assert_eq!(causes(events, &[(7, true)]), [Cause::Explicit]);
    }

    #[test]
    fn keys_that_went_with_their_lease() {
        let events = vec![deleted("a", 5, Some(7)), deleted("b", 5, Some(7))];
        assert_eq!(causes(events, &[(7, false)]), [Cause::LeaseEnded; 2]);
    }

    #[test]
    fn a_lease_that_could_not_be_asked_about_explains_nothing() {
        assert_eq!(
            causes(vec![deleted("a", 5, Some(7))], &[]),
            [Cause::Unknown]
        );
        assert_eq!(causes(vec![forgotten("a", 5)], &[]), [Cause::Unknown]);
    }

    #[test]
    fn what_no_lease_can_have_done_alone_was_done_by_somebody() {
        let gone = [(7, false), (8, false)];
        let two_leases = vec![deleted("a", 5, Some(7)), deleted("b", 5, Some(8))];
        assert_eq!(causes(two_leases, &gone), [Cause::Explicit; 2]);
        let one_without = vec![deleted("a", 5, Some(7)), deleted("b", 5, None)];
        assert_eq!(causes(one_without, &gone), [Cause::Explicit; 2]);
    }

    #[test]
    fn each_revision_is_judged_for_itself() {
        let events = vec![deleted("a", 5, Some(7)), deleted("b", 6, Some(8))];
        let gone = [(7, false), (8, false)];
        assert_eq!(causes(events, &gone), [Cause::LeaseEnded; 2]);
    }

    fn leaving(key: &str, revision: i64, lease: Option<i64>) -> Event {
        let mut event = deleted(key, revision, lease);
        if let Event::Delete {
            previous: Some(entry),
            ..
        } = &mut event
        {
            entry.value = br#"{"weight":1,"leaving":true}"#.as_slice().into();
        }
        event
    }

    #[test]
    fn a_key_that_was_about_to_be_deleted_was_deleted_explicitly() {
        let events = vec![leaving("a", 5, Some(7)), deleted("b", 5, Some(7))];
        let causes = causes(events, &[(7, false)]);
        assert_eq!(causes, [Cause::Explicit, Cause::LeaseEnded]);
    }

    #[test]
    fn what_an_expiry_may_have_deleted_is_no_request() {
        let gone = BTreeMap::from([(LeaseId(7), false)]);
        let classify = |events| Classifier::default().classify(events, &gone)[0].is_request;
        let both = vec![leaving("a", 5, Some(7)), leaving("b", 5, Some(7))];
        assert!(!classify(both));
        assert!(classify(vec![deleted("a", 5, None)]));
    }

    #[test]
    fn a_lease_that_outlived_a_delete_did_not_cause_it() {
        let events = vec![deleted("a", 5, Some(7)), deleted("b", 6, Some(7))];
        let causes = causes(events, &[(7, false)]);
        assert_eq!(causes, [Cause::Explicit, Cause::LeaseEnded]);
    }

    #[test]
    fn a_later_batch_corrects_an_earlier_one() {
        let gone = BTreeMap::from([(LeaseId(7), false)]);
        let mut classifier = Classifier::default();
        let first = classifier.classify(vec![deleted("a", 5, Some(7))], &gone);
        assert_eq!(first[0].corrections, []);
        let second = classifier.classify(vec![deleted("b", 6, Some(7))], &gone);
        let correction = Correction {
            revision: Revision(5),
            keys: vec!["a".to_owned()],
        };
        assert_eq!(second[0].corrections, [correction]);
    }

    #[test]
    fn what_is_remembered_for_corrections_is_bounded() {
        let mut classifier = Classifier::default();
        for n in 0..20_000 {
            let gone = BTreeMap::from([(LeaseId(n), false)]);
            classifier.classify(vec![deleted("a", n, Some(n))], &gone);
        }
        assert_eq!(classifier.keys, UNPROVEN);
        assert_eq!(classifier.unproven.len(), UNPROVEN);
        assert_eq!(classifier.by_age.len(), UNPROVEN);
    }
}
