//! Nobody takes the last member that serves out, unless somebody said so.

use jiff::Timestamp;
use presence::model::MemberId;

use super::removal::{Manner, manner};
use super::{Context, Scene, Verdicts};
use crate::record::{Reason, Record};

/// Holds back one of those who may leave, if they are all that serve.
pub(super) fn spare_last(verdicts: &mut Verdicts, record: &Record, scene: &Scene<'_>) {
    if verdicts.go.is_empty() {
        return;
    }
    let (observed, context) = (scene.observed, scene.context);
    let serving = observed.serving();
    let may_serve = observed.may_serve();
    let mut leaving: Vec<(bool, Timestamp, MemberId, Reason)> = verdicts
        .go
        .iter()
        .filter(|(member, _)| may_serve.contains(*member))
        .map(|(member, reason)| {
            let known = record.members.get(member);
            let removal = known.and_then(|known| known.removal);
            let since = removal.map_or(context.now, |removal| removal.since);
            let let_go = removal.is_some_and(|removal| removal.let_go);
            (
                is_said(*reason, let_go, context),
                since,
                member.clone(),
                *reason,
            )
        })
        .collect();
    let stays = |member: &MemberId| !verdicts.go.contains_key(member);
    if serving.iter().any(stays) {
        return;
    }
    // One that nobody told to leave stays for the others; else the last told. One
    // that serves for certain is better than one that may.
    leaving.sort_by_key(|(said, since, member, _)| {
        (!said, serving.contains(member), *since, member.clone())
    });
    let Some((said, since, member, reason)) = leaving.pop() else {
        return;
    };
    if !said {
        let why = "it is the last that serves; it stays until another is in service, its key \
                   returns, the load balancer calls it unhealthy, or lbmanager release";
        verdicts.hold(&member, reason, why, None);
        return;
    }
    let until = context.limit(since, observed.patience());
    if scene.coming && context.now < until {
        let why = "it is the last that serves, and another is on its way";
        verdicts.hold(&member, reason, why, Some(until));
    }
}

/// Whether somebody said that it is to leave, be it the last.
fn is_said(reason: Reason, let_go: bool, context: &Context) -> bool {
    match manner(reason, context) {
        Manner::AtOnce | Manner::Reused => true,
        Manner::Careful | Manner::Settled => let_go,
        Manner::WhenReplaced | Manner::Quiesce | Manner::Never => false,
    }
}
