//! Who is to leave, why, and in what manner.

use std::collections::{BTreeMap, BTreeSet};

use presence::model::{MemberId, Ownership};

use super::incident;
use super::{Context, Expiry, Scene, Verdicts};
use crate::history::Freeze;
use crate::observed::Observed;
use crate::record::{Reason, Record, Removal, Role};

/// How members that leave for a reason are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Somebody said so: at once. Only the last that serves waits for one that
    /// is being added, and not for long.
    AtOnce,
    /// When the one that takes over is in service.
    WhenReplaced,
    /// Nobody said so: a share of them in one incident, never the last; the
    /// others are held.
    Careful,
    /// Their addresses are used again: all of them, but not at once.
    Reused,
    /// Not of this tree's making: when the tree has been quiet, and not if
    /// they are most of what serves.
    Settled,
    /// At once, but never the last.
    Quiesce,
    /// Not at all.
    Never,
}

/// The one table from reason to manner. A new guard is a new row.
pub fn manner(reason: Reason, context: &Context) -> Manner {
    match reason {
        Reason::Deleted | Reason::Drain => Manner::AtOnce,
        Reason::LeaseEnded | Reason::Unknown if context.expiry == Expiry::Own => Manner::Reused,
        Reason::Switched => Manner::WhenReplaced,
        Reason::LeaseEnded | Reason::Unknown => Manner::Careful,
        Reason::Stranger => Manner::Settled,
        Reason::NotReady | Reason::FailedToServe => Manner::Quiesce,
        Reason::OtherClass => Manner::Never,
    }
}

impl Freeze {
    /// Whether the reset may have caused this removal. It has not if an operator
    /// or a publisher requested it after the reload.
    pub fn holds(&self, removal: &Removal) -> bool {
        let is_request = matches!(removal.reason, Reason::Deleted | Reason::Drain);
        !is_request || removal.revision <= self.revision
    }
}

/// Judges everyone who is there and should not be, each for itself. What
/// their leaving together would mean is judged after.
pub(super) fn judge(record: &mut Record, scene: &Scene<'_>) -> Verdicts {
    let candidates = candidates(record, scene);
    let mut verdicts = Verdicts::default();
    let mut expired = Vec::new();
    let mut strangers = BTreeMap::new();
    for (member, removal) in candidates {
        if let Some(why) = held_by(&member, &removal, record, scene) {
            verdicts.hold(&member, removal.reason, why, None);
            continue;
        }
        match manner(removal.reason, scene.context) {
            Manner::AtOnce | Manner::Quiesce => {
                verdicts.go.insert(member, removal.reason);
            }
            Manner::WhenReplaced => {
                judge_switched(&mut verdicts, member, removal.reason, record, scene);
            }
            Manner::Careful | Manner::Reused => expired.push((member, removal)),
            Manner::Settled => {
                strangers.insert(member, removal);
            }
            Manner::Never => {
                let why = "it is listed in the other class";
                verdicts.hold(&member, removal.reason, why, None);
            }
        }
    }
    judge_strangers(&mut verdicts, strangers, record, scene);
    incident::judge_expired(&mut verdicts, expired, record, scene);
    verdicts
}

/// Why nothing, or not this, may be removed at all.
fn held_by(
    member: &MemberId,
    removal: &Removal,
    record: &Record,
    scene: &Scene<'_>,
) -> Option<String> {
    if let Some(why) = &scene.desired.blocked {
        return Some(why.clone());
    }
    if scene.desired.options.ownership == Ownership::AddOnly {
        let why =
            "ownership is add-only: members are never deregistered, lbmanager release included";
        return Some(why.to_owned());
    }
    let freeze = scene.context.frozen.as_ref()?;
    // Only the manager itself can tell that traffic to it is lost.
    let is_lost = matches!(scene.context.expiry, Expiry::Probed | Expiry::Own)
        && removal.reason.is_expiry()
        && scene.is_unhealthy(member, record);
    (freeze.holds(removal) && !is_lost).then(|| freeze.why.to_string())
}

fn candidates(record: &mut Record, scene: &Scene<'_>) -> Vec<(MemberId, Removal)> {
    let (desired, observed) = (scene.desired, scene.observed);
    let now = scene.context.now;
    let revision = record.revision;
    let failed = record.failed.as_ref().map(|failed| failed.member.clone());
    let mut candidates = Vec::new();
    for (member, known) in &mut record.members {
        if !observed.registered(member) || matches!(known.wanted, Role::Serve | Role::Wait) {
            continue;
        }
        let reason = if desired.elsewhere.contains_key(member) {
            Reason::OtherClass
        } else if known.wanted == Role::StandBy {
            if failed.as_ref() == Some(member) {
                Reason::FailedToServe
            } else {
                Reason::Switched
            }
        } else if let Some(removal) = known.removal {
            removal.reason
        } else if known.placed {
            Reason::Unknown
        } else {
            Reason::Stranger
        };
        // Without any member the load balancer is not managed: what it holds is
        // left alone.
        let theirs = desired.options.ownership == Ownership::Own || desired.class.is_none();
        if reason == Reason::Stranger && theirs {
            known.removal = None;
            continue;
        }
        // What became of its key in the class in force counts again once its
        // other key is gone.
        if reason != Reason::OtherClass {
            known.is_to_leave(reason, revision, now);
        }
        let removal = known.removal.unwrap_or(Removal {
            reason,
            since: now,
            revision,
            unreported_since: None,
            let_go: false,
        });
        candidates.push((member.clone(), Removal { reason, ..removal }));
    }
    candidates
}

fn judge_switched(
    verdicts: &mut Verdicts,
    member: MemberId,
    reason: Reason,
    record: &Record,
    scene: &Scene<'_>,
) {
    let mut winners = record
        .members
        .iter()
        .filter(|(_, known)| known.wanted == Role::Serve)
        .map(|(winner, _)| winner);
    match winners.next() {
        Some(winner) if scene.observed.serves(winner) => {
            verdicts.go.insert(member, reason);
        }
        Some(winner) => {
            let why = format!("until {winner} is in service");
            verdicts.hold(&member, reason, why, None);
        }
        None => verdicts.hold(&member, reason, "nobody takes over", None),
    }
}

/// Members that are not of this tree's making.
fn judge_strangers(
    verdicts: &mut Verdicts,
    strangers: BTreeMap<MemberId, Removal>,
    record: &Record,
    scene: &Scene<'_>,
) {
    if strangers.is_empty() {
        return;
    }
    let context = scene.context;
    let held = strangers.iter().filter(|(_, removal)| !removal.let_go);
    let held: BTreeSet<MemberId> = held.map(|(member, _)| member.clone()).collect();
    let adopted = scene.desired.options.adopt;
    let most = are_most(&held, record, scene.observed).filter(|_| !adopted);
    let found = record.contact.as_ref().map(|contact| &contact.found);
    for (member, Removal { let_go, .. }) in strangers {
        let replaces = found.is_some_and(|found| found.contains(&member)) && scene.coming;
        let (why, until) = if context.now < context.settled_at {
            let why = "until the tree has been quiet for a while";
            (why.to_owned(), Some(context.settled_at))
        } else if let Some(why) = most.as_ref().filter(|_| !let_go) {
            (why.clone(), None)
        } else if replaces && !let_go {
            ("until those that take over are in service".to_owned(), None)
        } else {
            verdicts.go.insert(member, Reason::Stranger);
            continue;
        };
        verdicts.hold(&member, Reason::Stranger, why, until);
    }
}

/// Whether strangers are most of what serves, or were when they were found:
/// that they fail their health checks since makes them no less somebody's.
fn are_most(
    strangers: &BTreeSet<MemberId>,
    record: &Record,
    observed: &Observed,
) -> Option<String> {
    let serving = observed.relied_on();
    most_of(strangers, &serving, serving.len(), "that serve").or_else(|| {
        let contact = record.contact.as_ref()?;
        let which = "that served when it was first looked at";
        most_of(strangers, &contact.served, contact.serving, which)
    })
}

fn most_of(
    strangers: &BTreeSet<MemberId>,
    who: &BTreeSet<MemberId>,
    all: usize,
    which: &str,
) -> Option<String> {
    let count = strangers.intersection(who).count();
    (2 * count > all).then(|| {
        format!(
            "{count} of the {all} {which} are strangers, more than half: is this the right load \
             balancer? Let them go with lbmanager release, or set adopt: true"
        )
    })
}
