//! What must hold when nothing happens any more but time passing.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use lbmanager::desired::Place;
use lbmanager::observed::Condition;
use lbmanager::record::{Reason, Role};
use presence::model::{Class, MemberId, Ownership};

use super::balancer::after;
use super::check::{self, holds};
use super::driver::{Decision, Fault};
use super::world::{Verdict, World};

const RESYNC: Duration = Duration::from_mins(5);
const LONG: Duration = Duration::from_hours(2);
/// For this long at the end nothing changes any more.
const QUIET: Duration = Duration::from_hours(1);

/// Lets time pass and looks at what has become of everything.
pub fn comes_to_rest(world: &mut World) -> Verdict {
    let end = after(world.now, LONG);
    let mut last = None;
    while world.now < end {
        let decision = world.pass(Fault::None)?;
        let next = next_look(world, decision.as_ref());
        last = decision;
        world.pass_time(next);
    }
    let changed_at = world.changes.last().copied();
    holds(changed_at.is_none_or(|at| after(at, QUIET) < end), || {
        format!("changes until {changed_at:?}: {:#?}", world.driver.record)
    })?;
    match last {
        None => Ok(()),
        Some(decision) => is_at_rest(world, &decision)
            .map_err(|what| format!("in the end {what}: {decision:#?}", decision = decision.plan)),
    }
}

/// As the manager would: soon where it waits, at the time it was told, and
/// once in a while in any case.
fn next_look(world: &World, decision: Option<&Decision>) -> Timestamp {
    let acted = decision.is_some_and(|decision| decision.plan.has_steps());
    let soon = acted.then(|| after(world.now, Duration::from_secs(1)));
    let change = decision
        .filter(|decision| decision.plan.is_waiting())
        .and_then(|_| world.balancer.next_change(world.now));
    let timer = decision.and_then(|decision| decision.plan.look_again);
    let resync = after(world.now, RESYNC);
    [soon, change, timer]
        .into_iter()
        .flatten()
        .fold(resync, Ord::min)
}

fn is_at_rest(world: &World, decision: &Decision) -> Verdict {
    let plan = &decision.plan;
    let is_refused = |member: &MemberId| world.balancer.refused.contains(member);
    holds(
        plan.register.iter().all(is_refused) && plan.deregister.is_empty(),
        || "there are steps".to_owned(),
    )?;
    if decision.desired.blocked.is_some() {
        return Ok(());
    }
    let reasons = plan
        .record
        .withheld
        .values()
        .map(|withheld| withheld.reason);
    let waits_for = |reason: Reason| {
        matches!(
            reason,
            Reason::LeaseEnded | Reason::Unknown | Reason::Switched | Reason::NotReady
        )
    };
    let retries = decision.desired.members.keys().any(is_refused);
    holds(
        !plan.is_waiting() || retries || reasons.clone().any(waits_for),
        || "it waits for nothing".to_owned(),
    )?;
    who_should_be_is_there(world, decision)?;
    if decision.context.frozen.is_some() {
        return Ok(());
    }
    for (member, withheld) in &plan.record.withheld {
        holds(may_stay(world, decision, member, withheld.reason), || {
            format!("{member} is still there: {withheld:?}")
        })?;
    }
    Ok(())
}

fn who_should_be_is_there(world: &World, decision: &Decision) -> Verdict {
    let registered = world.balancer.registered();
    let able: BTreeSet<&MemberId> = decision
        .desired
        .members
        .iter()
        .filter(|(_, wanted)| wanted.place == Place::In)
        .map(|(member, _)| member)
        .filter(|member| registered.contains(*member) || !world.balancer.refused.contains(*member))
        .collect();
    if decision.desired.class == Some(Class::Single) {
        let one = able.is_empty() || able.iter().any(|member| registered.contains(*member));
        return holds(one, || format!("nobody of {able:?} is there"))
            .and_then(|()| the_best_serves(world, decision, &able));
    }
    let all = able.iter().all(|member| registered.contains(*member));
    holds(all, || format!("of {able:?} only {registered:?} are there"))
}

/// Of a `single` load balancer the first in rank is the only one there, unless
/// it failed before or cannot get in service.
fn the_best_serves(world: &World, decision: &Decision, able: &BTreeSet<&MemberId>) -> Verdict {
    let observed = world.balancer.observe(world.now);
    let first = able.iter().max_by_key(|member| {
        let wanted = &decision.desired.members[**member];
        (wanted.rank, wanted.mod_revision, **member)
    });
    let Some(first) = first else {
        return Ok(());
    };
    let failed = decision.plan.record.failed.is_some();
    if failed || observed.unreadable.is_some() || !observed.serves(first) {
        return Ok(());
    }
    let registered = world.balancer.registered();
    let others = registered.iter().filter(|member| {
        let wanted = decision.desired.members.get(*member);
        wanted.is_some_and(|wanted| wanted.place == Place::In) && member != first
    });
    holds(
        decision.context.frozen.is_some() || others.clone().count() == 0,
        || format!("{first} serves, and so do {:?}", others.collect::<Vec<_>>()),
    )
}

/// The few reasons for which somebody who should not be there may stay for as
/// long as nothing happens.
fn may_stay(world: &World, decision: &Decision, member: &MemberId, reason: Reason) -> bool {
    let observed = world.balancer.observe(world.now);
    let serving = check::serving(decision);
    let is_unknown = matches!(observed.members.get(member), Some(Condition::Unknown(_)));
    let is_last =
        (serving.contains(member) || is_unknown) && serving.iter().all(|other| other == member);
    let plan = &decision.plan;
    let record = &plan.record;
    if decision.desired.options.ownership == Ownership::AddOnly {
        return true;
    }
    match reason {
        Reason::LeaseEnded | Reason::Unknown => {
            let is_unhealthy = matches!(
                observed.members.get(member),
                Some(Condition::OutOfService(_))
            );
            is_last || (observed.unreadable.is_none() && !is_unhealthy && !is_unknown)
        }
        Reason::NotReady => is_last,
        Reason::Stranger => {
            let strangers = record.withheld.values();
            let strangers = strangers.filter(|withheld| withheld.reason == Reason::Stranger);
            let most =
                2 * strangers.count() > serving.len().min(record.contact.as_ref().unwrap().serving);
            is_last || most && !decision.desired.options.adopt
        }
        Reason::Switched => !record
            .members
            .iter()
            .any(|(other, known)| known.wanted == Role::Serve && observed.serves(other)),
        Reason::OtherClass => decision.desired.elsewhere.contains_key(member),
        Reason::Deleted | Reason::Drain | Reason::FailedToServe => false,
    }
}
