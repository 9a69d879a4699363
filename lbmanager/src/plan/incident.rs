//! Incidents of expired leases. When many leases expire, the cause is more likely
//! on the way to etcd than in the members. So one incident removes a share of the
//! members that served when it began. The others are held.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use presence::model::MemberId;

use super::removal::{Manner, manner};
use super::{Context, Expiry, Scene, Verdicts};
use crate::record::{Incident, Record, Removal, Role};

/// How long an expired member of the host's own region is held, so that its
/// publisher can write the key again.
const RETURN: Duration = Duration::from_secs(15);

/// Ends an incident that is over as of the last decision. Leases that expired
/// since then are another incident.
pub(super) fn close(record: &mut Record, context: &Context) {
    let is_over = ends_at(record, context).is_some_and(|at| at <= context.now);
    if is_over {
        record.incident = None;
    }
}

/// When the open incident ends, unless a lease expires before. `None`: there is
/// none, or it holds members.
pub(super) fn ends_at(record: &Record, context: &Context) -> Option<Timestamp> {
    let mut held = record.withheld.values();
    let last = record.incident.as_ref()?.last;
    (!held.any(|held| held.reason.is_expiry())).then(|| context.limit(last, context.hold))
}

/// Judges registered members whose lease expired.
pub(super) fn judge_expired(
    verdicts: &mut Verdicts,
    expired: Vec<(MemberId, Removal)>,
    record: &mut Record,
    scene: &Scene<'_>,
) {
    let active = active(record, scene);
    let mut counted = Vec::new();
    for (member, removal) in expired {
        let replaced = active
            .as_ref()
            .is_some_and(|active| scene.observed.serves(active));
        if removal.let_go || replaced || is_hold_over(&removal, scene) {
            verdicts.go.insert(member, removal.reason);
        } else if manner(removal.reason, scene.context) == Manner::Reused {
            judge_reused(verdicts, member, &removal, record, scene);
        } else if let Some(active) = &active {
            judge_superseded(verdicts, member, &removal, active, record, scene);
        } else {
            counted.push((member, removal));
        }
    }
    if !counted.is_empty() {
        judge_counted(verdicts, counted, record, scene);
    }
}

/// The `single` member that takes over.
fn active(record: &Record, scene: &Scene<'_>) -> Option<MemberId> {
    let mut members = record.members.iter();
    let active = members.find(|(_, known)| known.wanted == Role::Serve);
    active
        .filter(|_| scene.desired.is_single())
        .map(|(member, _)| member.clone())
}

/// Whether it was held for long enough, and nothing has reported its health for
/// as long.
fn is_hold_over(removal: &Removal, scene: &Scene<'_>) -> bool {
    hold_ends_at(removal, scene).is_some_and(|at| at <= scene.context.now)
}

fn hold_ends_at(removal: &Removal, scene: &Scene<'_>) -> Option<Timestamp> {
    let unreported_since = match scene.context.expiry {
        Expiry::Own => None,
        Expiry::Unchecked => Some(removal.since),
        Expiry::Checked | Expiry::Probed => removal.unreported_since,
    };
    Some(scene.context.limit(unreported_since?, scene.context.hold))
}

fn judge_reused(
    verdicts: &mut Verdicts,
    member: MemberId,
    removal: &Removal,
    record: &Record,
    scene: &Scene<'_>,
) {
    let until = scene.context.limit(removal.since, RETURN);
    if until <= scene.context.now || scene.is_unhealthy(&member, record) {
        verdicts.go.insert(member, removal.reason);
    } else {
        let why = "its publisher may write the key again";
        verdicts.hold(&member, removal.reason, why, Some(until));
    }
}

fn judge_superseded(
    verdicts: &mut Verdicts,
    member: MemberId,
    removal: &Removal,
    active: &MemberId,
    record: &Record,
    scene: &Scene<'_>,
) {
    if scene.is_unhealthy(&member, record) {
        verdicts.go.insert(member, removal.reason);
    } else {
        let why = format!("until {active} is in service");
        verdicts.hold(&member, removal.reason, why, hold_ends_at(removal, scene));
    }
}

/// Members whose removals the incident counts.
fn judge_counted(
    verdicts: &mut Verdicts,
    mut expired: Vec<(MemberId, Removal)>,
    record: &mut Record,
    scene: &Scene<'_>,
) {
    let unhealthy: BTreeSet<MemberId> = expired
        .iter()
        .filter(|(member, _)| scene.is_unhealthy(member, record))
        .map(|(member, _)| member.clone())
        .collect();
    expired.sort_by_key(|(member, removal)| {
        (
            !unhealthy.contains(member),
            removal.revision,
            member.clone(),
        )
    });
    let incident = open(record, &expired, verdicts, scene);
    let share = scene.desired.options.max_removals;
    let most = share_of(share, incident.serving);
    let why = message(incident, &expired, most, share);
    let mut left = most.saturating_sub(incident.removed.len());
    let removed = incident.removed.clone();
    for (member, removal) in expired {
        if removed.contains(&member) {
            verdicts.go.insert(member, removal.reason);
        } else if left > 0 {
            left -= 1;
            verdicts.go.insert(member.clone(), removal.reason);
            verdicts.budgeted.insert(member);
        } else if unhealthy.contains(&member) {
            verdicts.go.insert(member, removal.reason);
        } else {
            let until = hold_ends_at(&removal, scene);
            verdicts.hold(&member, removal.reason, why.clone(), until);
        }
    }
}

/// The open incident, with these expiries in it.
fn open<'a>(
    record: &'a mut Record,
    expired: &[(MemberId, Removal)],
    verdicts: &Verdicts,
    scene: &Scene<'_>,
) -> &'a mut Incident {
    let now = scene.context.now;
    let incident = record.incident.get_or_insert_with(|| {
        let removals = || expired.iter().map(|(_, removal)| removal);
        // Members that leave for another reason do not go on serving.
        let serving = scene.observed.serving();
        let staying = serving.iter().filter(|id| !verdicts.go.contains_key(*id));
        Incident {
            revision: removals()
                .map(|removal| removal.revision)
                .min()
                .unwrap_or_default(),
            since: removals().map(|removal| removal.since).min().unwrap_or(now),
            last: now,
            serving: staying.count(),
            removed: BTreeSet::new(),
        }
    });
    let last = expired.iter().map(|(_, removal)| removal.since).max();
    incident.last = last.unwrap_or(now).max(incident.last);
    incident
}

fn message(
    incident: &Incident,
    expired: &[(MemberId, Removal)],
    most: usize,
    share: f64,
) -> String {
    let expired = expired.iter().map(|(member, _)| member);
    let all: BTreeSet<&MemberId> = incident.removed.iter().chain(expired).collect();
    format!(
        "{} of {} leases expired, at most {most} members may leave (max_removals {share}); it \
         stays until its key returns, the load balancer reports it unhealthy, its key is deleted, \
         or lbmanager release",
        all.len(),
        incident.serving,
    )
}

/// That share of `all`, rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share from 0 to 1 of a number of members"
)]
fn share_of(share: f64, all: usize) -> usize {
    // 0.29 x 100 is a little below 29 in floating point.
    (share * all as f64 + 1e-9).floor() as usize
}
