//! Who serves: all who may, or of a `single` load balancer the one.

use jiff::Timestamp;
use presence::model::MemberId;

use super::{Context, deadline};
use crate::desired::{Desired, Place};
use crate::observed::Observed;
use crate::record::{Failed, MemberRecord, Record, Role, State};

pub(super) fn assign_roles(
    record: &mut Record,
    desired: &Desired,
    observed: &Observed,
    context: &Context,
) {
    let one = desired
        .is_single()
        .then(|| winner(record, desired, observed, context));
    if one.is_none() {
        record.failed = None;
    }
    for (member, wanted) in &desired.members {
        if wanted.place != Place::In {
            continue;
        }
        let serves = one
            .as_ref()
            .is_none_or(|winner| winner.as_ref() == Some(member));
        if let Some(known) = record.members.get_mut(member) {
            if serves {
                known.removal = None;
                start_clock(known, member, observed, context.now);
            }
            known.wanted = if serves { Role::Serve } else { Role::StandBy };
        }
    }
}

/// One that is there already, but not in service, has from now on as much
/// time as a new one.
fn start_clock(known: &mut MemberRecord, member: &MemberId, observed: &Observed, now: Timestamp) {
    let idle = observed.registered(member) && !observed.serves(member);
    // Where health cannot be read the clock is all that there is.
    let runs = observed.unreadable.is_some() && known.state == State::Registering;
    if idle && !runs && known.wanted != Role::Serve {
        known.registered_at = Some(now);
        known.state = State::Registering;
    }
}

/// The member of the highest rank that may serve. One that was not in service
/// in time, or is refused, gives way while another can serve.
fn winner(
    record: &mut Record,
    desired: &Desired,
    observed: &Observed,
    context: &Context,
) -> Option<MemberId> {
    let ranked = ranked(desired);
    let another_serves = |than: &MemberId| {
        ranked
            .iter()
            .any(|member| *member != than && observed.serves(member))
    };
    let stale = |failed: &Failed| {
        let key = desired.members.get(&failed.member);
        key.is_none_or(|key| key.mod_revision != failed.mod_revision)
            || !another_serves(&failed.member)
    };
    if record.failed.as_ref().is_some_and(stale) {
        record.failed = None;
    }
    let able = able(&ranked, record, observed, context);
    let first = able.first().or(ranked.first()).copied()?;
    let late = record.role(first) == Role::Serve
        && observed.registered(first)
        && !observed.serves(first)
        && deadline(first, record, observed, context).is_some_and(|at| at <= context.now);
    if !late {
        return Some(first.clone());
    }
    let second = able.into_iter().find(|member| observed.serves(member));
    if second.is_some() {
        record.failed = desired.members.get(first).map(|key| Failed {
            member: first.clone(),
            mod_revision: key.mod_revision,
        });
    }
    Some(second.unwrap_or(first).clone())
}

/// Who may be tried. Once one has failed, the one that serves stays: of those
/// that rank below the failed one no other is tried, or two that never get in
/// service would take turns for ever.
fn able<'a>(
    ranked: &[&'a MemberId],
    record: &Record,
    observed: &Observed,
    context: &Context,
) -> Vec<&'a MemberId> {
    let failed = record.failed.as_ref().map(|failed| &failed.member);
    let place = ranked.iter().position(|member| Some(*member) == failed);
    let place = place.unwrap_or(ranked.len());
    ranked
        .iter()
        .copied()
        .enumerate()
        .filter(|(rank, member)| *rank < place || (*rank > place && observed.serves(member)))
        .map(|(_, member)| member)
        .filter(|member| observed.registered(member) || !context.is_rejected(member))
        .collect()
}

fn ranked(desired: &Desired) -> Vec<&MemberId> {
    let mut able: Vec<_> = desired
        .members
        .iter()
        .filter(|(_, wanted)| wanted.place == Place::In)
        .collect();
    able.sort_by_key(|(member, wanted)| {
        std::cmp::Reverse((wanted.rank, wanted.mod_revision, (*member).clone()))
    });
    able.into_iter().map(|(member, _)| member).collect()
}
