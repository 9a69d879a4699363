//! Carries what the load balancer says over into the record.

use std::collections::BTreeSet;

use jiff::Timestamp;
use presence::model::MemberId;

use super::{Context, after, removal};
use crate::desired::Desired;
use crate::observed::{Condition, Observed};
use crate::record::{Contact, MemberRecord, Record, Role, State};

/// Where health cannot be read, a member counts as in service once it had the
/// time that the health check takes.
pub(super) fn assume(observed: &Observed, record: &Record, now: Timestamp) -> Observed {
    let Some(why) = &observed.unreadable else {
        return observed.clone();
    };
    let mut assumed = observed.clone();
    for (member, condition) in &mut assumed.members {
        let registered_at = record
            .members
            .get(member)
            .and_then(|known| known.registered_at);
        let ready_at = registered_at.map(|at| after(at, observed.healthy_after));
        *condition = match ready_at {
            Some(at) if at > now => Condition::Unknown(format!(
                "health cannot be read ({why}): counts as in service from {at:.0}"
            )),
            _ => Condition::InService,
        };
    }
    assumed
}

pub(super) fn note(record: &mut Record, desired: &Desired, observed: &Observed, context: &Context) {
    record
        .left
        .retain(|left| after(*left, removal::WINDOW) > context.now);
    if record.contact.is_none() {
        record.contact = Some(Contact {
            at: context.now,
            serving: observed.serving().len(),
            found: observed.members.keys().cloned().collect(),
        });
    }
    if let Some(contact) = &mut record.contact {
        // Who was listed since, or has left, is no find any more.
        contact.found.retain(|member| {
            observed.members.contains_key(member) && !desired.members.contains_key(member)
        });
    }
    for member in observed.members.keys() {
        record.members.entry(member.clone()).or_default();
    }
    for (member, known) in &mut record.members {
        let rejected = context.is_rejected(member);
        let condition = observed.members.get(member);
        see(known, condition, rejected, observed, context.now);
    }
}

fn see(
    known: &mut MemberRecord,
    condition: Option<&Condition>,
    rejected: bool,
    observed: &Observed,
    now: Timestamp,
) {
    if let Some(Condition::OutOfService(_) | Condition::Unknown(_)) = condition
        && known.state == State::Absent
        && known.registered_at.is_none()
    {
        known.registered_at = Some(now);
    }
    let coming = known
        .registered_at
        .is_some_and(|at| after(at, observed.patience()) > now);
    let (state, detail) = match condition {
        None if rejected => (State::Rejected, known.detail.take()),
        None => (State::Absent, None),
        Some(Condition::InService) => (State::Serving, None),
        Some(Condition::Draining) => (State::Draining, None),
        Some(Condition::OutOfService(why) | Condition::Unknown(why)) if coming => {
            (State::Registering, Some(why.clone()))
        }
        Some(Condition::OutOfService(why) | Condition::Unknown(why)) => {
            (State::OutOfService, Some(why.clone()))
        }
    };
    if condition.is_none() {
        known.registered_at = None;
    }
    known.state = state;
    known.detail = detail;
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
