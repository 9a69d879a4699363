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
}

/// The leases that must be asked about before [`explain`] can tell.
pub fn leases(events: &[Event]) -> BTreeSet<LeaseId> {
    events.iter().filter_map(lease_before).collect()
}

/// Groups events by revision and says why each key vanished. `exists` holds
/// whether a lease still exists, for those that could be asked about.
pub fn explain(events: Vec<Event>, exists: &BTreeMap<LeaseId, bool>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = events.into_iter().peekable();
    while let Some(first) = rest.next() {
        let revision = first.revision();
        let mut together = vec![first];
        while let Some(event) = rest.next_if(|event| event.revision() == revision) {
            together.push(event);
        }
        let cause = cause_of(&together, exists);
        let changes = together.into_iter().map(|event| change(event, cause));
        steps.push(Step {
            revision,
            changes: changes.collect(),
        });
    }
    steps
}

fn change(event: Event, cause: Cause) -> Change {
    match event {
        Event::Put { key, entry } => Change::Put { key, entry },
        Event::Delete { key, .. } => Change::Gone { key, cause },
    }
}

fn lease_before(event: &Event) -> Option<LeaseId> {
    match event {
        Event::Put { .. } => None,
        Event::Delete { previous, .. } => previous.as_ref()?.lease,
    }
}

/// A lease that ends deletes its keys in one revision that holds nothing
/// else. So whatever shares its revision with a key of another lease, of none,
/// or with a write, was done by somebody, whether or not a lease ended since.
fn cause_of(together: &[Event], exists: &BTreeMap<LeaseId, bool>) -> Cause {
    let mut common = None;
    let mut unknown = false;
    for event in together {
        let previous = match event {
            Event::Put { .. } => return Cause::Explicit,
            Event::Delete { previous, .. } => previous,
        };
        match previous.as_ref().map(|entry| entry.lease) {
            None => unknown = true,
            Some(None) => return Cause::Explicit,
            Some(Some(lease)) => match common {
                None => common = Some(lease),
                Some(other) if other == lease => {}
                Some(_) => return Cause::Explicit,
            },
        }
    }
    match common.and_then(|lease| exists.get(&lease)) {
        Some(true) => Cause::Explicit,
        Some(false) if !unknown => Cause::LeaseEnded,
        _ => Cause::Unknown,
    }
}

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
        let steps = explain(events, &exists).into_iter();
        steps
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
}
