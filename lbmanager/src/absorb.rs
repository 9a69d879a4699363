//! Carries what the tree says over into the record: who is listed, and why
//! those who are not any more are to leave. Pure.
//!
//! The mirror shows departures as state and may forget old ones; the record
//! keeps each until its member is gone, over restarts too.

use jiff::Timestamp;
use presence::model::{BalancerId, MemberId, MemberOptions, Ownership, Revision};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::desired::{self, Desired, Place};
use crate::record::{Reason, Record, Removal, Role, State};
use crate::tree::{BalancerTree, Config, Departure};

/// What the tree wants, and the record with that in it.
pub fn take_in(
    id: &BalancerId,
    before: Record,
    tree: &BalancerTree,
    general: Option<&Config>,
    release: Option<Revision>,
    now: Timestamp,
) -> (Desired, Record) {
    let before = since_purge(before, tree);
    let desired = desired::desired(id, tree, general, &before);
    let mut record = absorb(before, tree, &desired, release, now);
    let_go(&mut record, release);
    (desired, record)
}

/// An operator's release covers the removals that are held when it is taken in
/// and whose cause is not newer than the release, and no removal after: a guard
/// that stayed off would not be there when it is needed. Until the load balancer
/// was looked at once it is not known which these are.
fn let_go(record: &mut Record, release: Option<Revision>) {
    if record.contact.is_none() || release <= record.released {
        return;
    }
    let leaving = record.members.iter_mut();
    let removals = leaving.filter_map(|(_, known)| known.removal.as_mut());
    for removal in removals.filter(|removal| Some(removal.revision) <= release) {
        removal.let_go = true;
    }
    record.incident = None;
    record.released = release;
}

/// Adapts a record to a history that replaced the one it is from, whose
/// revision was `at` when it was read: older revisions cannot be compared with
/// newer ones, and nothing recorded or released before counts as newer.
pub fn adopt_history(record: &mut Record, tree: &BalancerTree, at: Revision) {
    record.revision = tree.revision;
    record.released = Some(at);
    let removals = record.members.iter_mut();
    for removal in removals.filter_map(|(_, known)| known.removal.as_mut()) {
        removal.revision = removal.revision.min(at);
    }
}

/// The record to start from: a purge since it was written ends all that it
/// knew.
pub fn since_purge(before: Record, tree: &BalancerTree) -> Record {
    match tree.purged {
        Some(purged) if purged > before.revision && !before.is_new() => Record {
            revision: purged,
            incident: before.incident,
            changes: before.changes,
            ..Record::default()
        },
        _ => before,
    }
}

/// The record with the tree's news in it.
pub fn absorb(
    before: Record,
    tree: &BalancerTree,
    desired: &Desired,
    release: Option<Revision>,
    now: Timestamp,
) -> Record {
    let mut record = before;
    // Before first contact nobody was known who could have departed.
    let seen = if record.is_new() {
        tree.revision
    } else {
        record.revision
    };
    note_departed(&mut record, tree, desired, seen, now);
    note_missing(
        &mut record,
        desired,
        seen.max(tree.revision).max(after(release)),
        now,
    );
    note_listed(&mut record, desired, now);
    if was_add_only(&record) && desired.options.ownership != Ownership::AddOnly {
        disown(&mut record);
    }
    record.revision = seen.max(tree.revision);
    record.class = desired.class;
    if desired.blocked.is_none() || record.options.is_some() {
        record.options = Some(json(&desired.written_options));
    }
    record.problems = problems(desired);
    record
}

/// What is wrong, as far as a status has room for it: a status that is too
/// large for etcd would stop everything.
fn problems(desired: &Desired) -> Vec<String> {
    const MOST: usize = 50;
    let all = desired.blocked.iter().chain(&desired.problems);
    let mut problems: Vec<String> = all.take(MOST).cloned().collect();
    let all = desired.problems.len() + usize::from(desired.blocked.is_some());
    if all > MOST {
        problems.push(format!("and {} more problems", all - MOST));
    }
    problems
}

fn note_departed(
    record: &mut Record,
    tree: &BalancerTree,
    desired: &Desired,
    seen: Revision,
    now: Timestamp,
) {
    // Keys in the class that is not in force change nothing, and so does
    // their end.
    let in_force = record.class;
    let mut news: Vec<(&MemberId, Departure)> = tree
        .departures
        .iter()
        .filter(|((class, _), _)| in_force.is_none_or(|in_force| in_force == *class))
        .filter(|((_, member), why)| why.revision > seen && !desired.members.contains_key(member))
        .map(|((_, member), why)| (member, *why))
        .collect();
    news.sort_by_key(|(_, why)| why.revision);
    for (member, why) in news {
        let known = record.members.entry(member.clone()).or_default();
        // One that left before, for the same reason, was back in between.
        known.removal = None;
        known.leaves(Reason::from(why.cause), why.revision, now);
    }
}

/// Members whose keys are gone without a trace, as of that revision.
fn note_missing(record: &mut Record, desired: &Desired, at: Revision, now: Timestamp) {
    for (member, known) in &mut record.members {
        if known.mod_revision.is_some() && !desired.members.contains_key(member) {
            known.leaves(Reason::Unknown, at, now);
        }
    }
}

fn was_add_only(record: &Record) -> bool {
    let ownership = record
        .options
        .as_ref()
        .and_then(|options| options.get("ownership"));
    ownership.is_some_and(|ownership| ownership == &json!(Ownership::AddOnly))
}

/// Members that `add-only` held are unmanaged members from now on: that they are
/// registered is no longer what an event of long ago says, but what is found.
fn disown(record: &mut Record) {
    for (_, known) in &mut record.members {
        if known.mod_revision.is_none() {
            known.removal = None;
            known.placed = false;
        }
    }
    record.contact = None;
    record.incident = None;
}

/// A release that exists already was not written with a key in mind that may
/// have disappeared later.
fn after(release: Option<Revision>) -> Revision {
    release.map_or(Revision::default(), Revision::next)
}

fn note_listed(record: &mut Record, desired: &Desired, now: Timestamp) {
    if record.members.is_empty() {
        record.members.reserve(desired.members.len());
    }
    for (member, wanted) in &desired.members {
        let known = record.members.entry(member.clone()).or_default();
        let is_rewritten = known.mod_revision != Some(wanted.mod_revision);
        if is_rewritten && known.state == State::Serving {
            // Not observed at the load balancer since then.
            known.state = State::Registering;
            known.registered_at = None;
        }
        known.mod_revision = Some(wanted.mod_revision);
        let is_default = wanted.options == MemberOptions::default();
        known.options = (!is_default).then(|| Box::new(json(&wanted.options)));
        match wanted.place {
            Place::In => {
                let kept = matches!(
                    known.removal,
                    Some(Removal {
                        reason: Reason::Switched | Reason::FailedToServe,
                        ..
                    })
                );
                if !kept {
                    known.removal = None;
                }
            }
            Place::Out(reason) => {
                known.wanted = Role::Out;
                known.is_to_leave(reason, wanted.mod_revision, now);
                // Writing the key again requests the same once more.
                if let Some(removal) = &mut known.removal {
                    removal.revision = wanted.mod_revision;
                }
            }
            Place::Wait => {
                known.wanted = Role::Wait;
                known.removal = None;
            }
        }
    }
}

fn json(options: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(options) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Whether nobody is listed, and nobody is to leave any more.
pub fn has_nothing_left(record: &Record, desired: &Desired) -> bool {
    desired.is_empty() && record.members.values().all(|known| known.removal.is_none())
}
