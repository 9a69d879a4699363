//! Carries what the load balancer says over into the record.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use presence::model::MemberId;

use super::{Context, REGISTRATION, after, time_limit};
use crate::desired::Desired;
use crate::observed::{Condition, Observed};
use crate::record::{Contact, MemberRecord, Record, Role, State};

/// Where health cannot be read, a member counts as in service once it had the
/// time that the health check takes. What was read last, when it still could
/// be, counts before that.
pub(super) fn assume<'a>(
    observed: &'a Observed,
    record: &Record,
    context: &Context,
) -> Cow<'a, Observed> {
    let now = context.now;
    let Some(why) = &observed.unreadable else {
        return Cow::Borrowed(observed);
    };
    let mut assumed = observed.clone();
    for (member, condition) in &mut assumed.members {
        if *condition != Condition::Unread {
            continue;
        }
        let known = record.members.get(member);
        let last = known.map_or(State::Absent, |known| known.state);
        let registered_at = match known.and_then(|known| known.registered_at) {
            None if is_new(last) && record.contact.is_some() => Some(now),
            registered_at => registered_at,
        };
        let ready_at = registered_at.map(|at| context.limit(at, observed.healthy_after));
        *condition = match ready_at {
            _ if last == State::Serving => Condition::InService,
            _ if last == State::OutOfService => Condition::Unknown(format!(
                "health cannot be read ({why}), and it was out of service before"
            )),
            Some(at) if at > now => Condition::Unknown(format!(
                "health cannot be read ({why}): counts as in service from {at:.0}"
            )),
            _ => Condition::InService,
        };
    }
    Cow::Owned(assumed)
}

/// Whether a member of this state that is there now was not there before.
fn is_new(last: State) -> bool {
    matches!(last, State::Absent | State::Rejected)
}

pub(super) fn note(record: &mut Record, desired: &Desired, observed: &Observed, context: &Context) {
    note_contact(record, desired, observed, context.now);
    note_unreadable(record, observed);
    for member in observed.members.keys() {
        record.members.entry(member.clone()).or_default();
    }
    for (member, known) in &mut record.members {
        let rejected = context.is_rejected(member);
        let condition = observed.members.get(member);
        see(known, condition, rejected, observed, context);
        let is_unknown = matches!(condition, Some(Condition::Unknown(_)));
        note_unreported(
            known,
            is_unknown || observed.unreadable.is_some(),
            context.now,
        );
    }
}

fn note_contact(record: &mut Record, desired: &Desired, observed: &Observed, now: Timestamp) {
    let contact = record.contact.get_or_insert_with(|| {
        let served = observed.relied_on();
        Contact {
            at: now,
            serving: served.len(),
            found: observed.members.keys().cloned().collect(),
            served,
        }
    });
    // Who was listed since, or has left, is no find any more.
    let stays = |member: &MemberId| {
        observed.members.contains_key(member) && !desired.members.contains_key(member)
    };
    contact.found.retain(stays);
    contact.served.retain(stays);
}

fn note_unreadable(record: &mut Record, observed: &Observed) {
    if let Some(why) = &observed.unreadable {
        let problem = format!(
            "health cannot be read ({why}): members count as in service {} after they were \
             registered",
            humantime::format_duration(observed.healthy_after)
        );
        if !record.problems.contains(&problem) {
            record.problems.push(problem);
        }
    }
}

fn see(
    known: &mut MemberRecord,
    condition: Option<&Condition>,
    rejected: bool,
    observed: &Observed,
    context: &Context,
) {
    let now = context.now;
    // One that was in service has had its time, however short it was.
    let was_up = matches!(known.state, State::Serving | State::OutOfService);
    note_start(known, condition, was_up, now);
    let in_time = time_limit(known, observed, context).is_some_and(|at| at > now);
    let coming = in_time && (known.unchecked || !was_up);
    let (state, detail) = match condition {
        None if rejected => (State::Rejected, known.detail.take()),
        None => (State::Absent, None),
        Some(Condition::InService | Condition::Unread) => (State::Serving, None),
        Some(Condition::Draining) => (State::Draining, None),
        Some(
            Condition::OutOfService(why) | Condition::Registering(why) | Condition::Unknown(why),
        ) => {
            let state = if coming {
                State::Registering
            } else {
                State::OutOfService
            };
            (state, Some(why.clone()))
        }
    };
    if condition.is_none() {
        known.registered_at = None;
    }
    known.state = state;
    known.detail = detail;
}

/// Since when nothing has reported the health of one that is held.
fn note_unreported(known: &mut MemberRecord, is_unreported: bool, now: Timestamp) {
    let removal = known.removal.as_mut();
    if let Some(removal) = removal.filter(|removal| removal.reason.is_expiry()) {
        let since = removal.unreported_since.unwrap_or(now);
        removal.unreported_since = is_unreported.then_some(since);
    }
}

/// When the time limit of a member starts.
fn note_start(
    known: &mut MemberRecord,
    condition: Option<&Condition>,
    was_up: bool,
    now: Timestamp,
) {
    let unchecked = matches!(condition, Some(Condition::Registering(_)));
    let was_unchecked = std::mem::replace(&mut known.unchecked, unchecked);
    let checked = matches!(
        condition,
        Some(Condition::OutOfService(_) | Condition::Unknown(_))
    );
    if (unchecked || checked) && is_new(known.state) && known.registered_at.is_none() {
        known.registered_at = Some(now);
    }
    if unchecked && !was_unchecked && was_up {
        // It was registered again.
        known.registered_at = Some(now);
    }
    if checked && was_unchecked {
        let latest = known.registered_at.map(|at| after(at, REGISTRATION));
        known.registered_at = latest.map(|latest| latest.min(now));
    }
}

/// Forgets members that are neither listed, nor there, nor about to be.
pub(super) fn forget(
    record: &mut Record,
    desired: &Desired,
    observed: &Observed,
    register: &BTreeSet<MemberId>,
) {
    let stays = |member: &MemberId| {
        desired.members.contains_key(member)
            || observed.members.contains_key(member)
            || register.contains(member)
    };
    record.members.retain(|member, _| stays(member));
    for (member, known) in &mut record.members {
        let gone = !observed.members.contains_key(member) && !register.contains(member);
        if gone && known.wanted != Role::Serve {
            known.placed = false;
        }
    }
}
