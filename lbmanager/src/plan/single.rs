//! Who serves: all who may, or of a `single` load balancer the one.

use presence::model::MemberId;

use super::{Context, deadline};
use crate::desired::{Desired, Place};
use crate::observed::Observed;
use crate::record::{Failed, Record, Role};

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
            known.wanted = if serves { Role::Serve } else { Role::StandBy };
            if serves {
                known.removal = None;
            }
        }
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
    let failed = record.failed.as_ref().map(|failed| failed.member.clone());
    let mut able = ranked
        .iter()
        .copied()
        .filter(|member| Some(*member) != failed.as_ref() && !context.is_rejected(member));
    let first = able.next().or_else(|| ranked.first().copied())?;
    let late = observed.registered(first)
        && !observed.serves(first)
        && deadline(first, record, observed).is_some_and(|at| at <= context.now);
    if !late || !another_serves(first) {
        return Some(first.clone());
    }
    let second = able.find(|member| observed.serves(member)).cloned();
    if second.is_some() {
        record.failed = desired.members.get(first).map(|key| Failed {
            member: first.clone(),
            mod_revision: key.mod_revision,
        });
    }
    second.or_else(|| Some(first.clone()))
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
