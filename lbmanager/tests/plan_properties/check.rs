//! What must hold of every decision.

use std::collections::BTreeSet;
use std::time::Duration;

use lbmanager::observed::Condition;
use lbmanager::plan::{Context, Plan, plan};
use lbmanager::record::{Reason, Role};
use presence::model::{Class, MemberId, MemberOptions, Ownership};

use super::balancer::after;
use super::driver::Decision;
use super::world::{Verdict, World};

/// An error that says what was expected, unless it holds.
pub fn holds(is: bool, what: impl FnOnce() -> String) -> Verdict {
    if is { Ok(()) } else { Err(what()) }
}

pub fn decision(world: &World, decision: &Decision) -> Verdict {
    is_a_function(decision)?;
    looks_again_in_time(decision)?;
    holds_still(decision)?;
    for member in &decision.plan.register {
        registers(world, decision, member)
            .map_err(|what| format!("registers {member}, but {what}"))?;
    }
    for (member, reason) in &decision.plan.deregister {
        removes(world, decision, member, *reason)
            .map_err(|what| format!("deregisters {member} ({reason}), but {what}"))?;
    }
    accounts_for_all(decision)?;
    spares_the_last(decision)?;
    empties_nobody_elses(decision)
}

fn again(decision: &Decision, record: lbmanager::record::Record, context: &Context) -> Plan {
    plan(&decision.desired, &decision.observed, record, context)
}

fn is_a_function(decision: &Decision) -> Verdict {
    let same = again(decision, decision.before.clone(), &decision.context);
    holds(same == decision.plan, || {
        "another plan from the same".to_owned()
    })?;
    if decision.plan.has_steps() {
        return Ok(());
    }
    let next = again(decision, decision.plan.record.clone(), &decision.context);
    let (plan, next) = (without_details(&decision.plan), without_details(&next));
    holds(next == plan, || {
        format!("no steps, and yet then another plan:\n{plan:#?}\n{next:#?}")
    })
}

fn without_details(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for (_, known) in plan.record.members.iter_mut() {
        known.detail = None;
    }
    plan
}

/// Where there is nothing to do there is not until it is time to look again.
fn looks_again_in_time(decision: &Decision) -> Verdict {
    let now = decision.context.now;
    let at = decision.plan.look_again;
    holds(at.is_none_or(|at| at > now), || {
        format!("{now}: to look again at {at:?}")
    })?;
    if decision.plan.has_steps() {
        return Ok(());
    }
    let next = decision.plan.look_again.map_or_else(
        || after(now, Duration::from_hours(10_000)),
        |at| at.checked_sub(Duration::from_nanos(1)).unwrap(),
    );
    let middle = after(now, next.duration_since(now).unsigned_abs() / 2);
    for later in [middle, next] {
        let context = Context {
            now: later,
            ..decision.context.clone()
        };
        let then = again(decision, decision.plan.record.clone(), &context);
        let same =
            then.register == decision.plan.register && then.deregister == decision.plan.deregister;
        holds(same, || {
            format!(
                "{now}: plan:\n{:#?}\nbut at {later}:\n{then:#?}",
                decision.plan
            )
        })?;
    }
    Ok(())
}

fn holds_still(decision: &Decision) -> Verdict {
    let plan = &decision.plan;
    holds(
        !plan.has_steps() || decision.desired.blocked.is_none(),
        || "acts although blocked".to_owned(),
    )?;
    let is_add_only = decision.desired.options.ownership == Ownership::AddOnly;
    holds(plan.deregister.is_empty() || !is_add_only, || {
        "deregisters although the ownership is add-only".to_owned()
    })?;
    let paused = decision.desired.options.paused;
    holds(!plan.has_steps() || !paused, || {
        "acts although paused".to_owned()
    })
}

fn registers(world: &World, decision: &Decision, member: &MemberId) -> Verdict {
    let Decision {
        desired,
        observed,
        context,
        ..
    } = decision;
    holds(desired.members.contains_key(member), || {
        "it is not listed".to_owned()
    })?;
    holds(!observed.registered(member), || {
        "it is registered".to_owned()
    })?;
    let again = context.rejected.get(member);
    holds(again.is_none_or(|at| *at <= context.now), || {
        "it was refused".to_owned()
    })?;
    let options = options_of(world, decision, member);
    if let Some(options) = options {
        holds(!options.drain, || "it is drained".to_owned())?;
    }
    holds(
        desired.class != Some(Class::Single) || decision.plan.register.len() == 1,
        || "only one may serve".to_owned(),
    )
}

/// What its key in the class in force says now, if that can be read.
fn options_of(world: &World, decision: &Decision, member: &MemberId) -> Option<MemberOptions> {
    let class = decision.desired.class?;
    let listed = world.listed();
    let value = listed.get(&(class, member.clone()))?;
    Some(MemberOptions::parse(value.as_bytes()).ok()?.options)
}

fn removes(world: &World, decision: &Decision, member: &MemberId, reason: Reason) -> Verdict {
    let Decision {
        desired,
        observed,
        plan,
        ..
    } = decision;
    let listed = world.listed();
    let is_in = |class| listed.contains_key(&(class, member.clone()));
    let is_listed = is_in(Class::Multiple) || is_in(Class::Single);
    let in_force = desired.members.contains_key(member);
    holds(observed.registered(member), || {
        "it is not registered".to_owned()
    })?;
    holds(
        reason == Reason::Stranger || !world.truth.is_left_alone(member),
        || "a purge left it alone".to_owned(),
    )?;
    let truth = &world.truth;
    let options = options_of(world, decision, member);
    let serving = serving(decision);
    let another_serves = plan.record.members.iter().any(|(other, known)| {
        other != member && known.wanted == Role::Serve && serving.contains(other)
    });
    let is_true = match reason {
        Reason::Deleted => !is_listed && truth.deleted.contains(member),
        Reason::LeaseEnded => !is_listed && truth.lease_ended.contains(member),
        Reason::Unknown => !is_listed && truth.ever_listed.contains(member),
        Reason::Stranger => {
            !is_listed
                && !truth.known.contains(member)
                && !truth.placed.contains(member)
                && desired.options.ownership == Ownership::Exclusive
                && decision.context.now >= decision.context.settled_at
        }
        Reason::Drain => in_force && options.is_none_or(|options| options.drain),
        Reason::NotReady => {
            in_force
                && desired.options.honor_readiness
                && options.is_none_or(|options| !options.ready)
        }
        Reason::Switched => in_force && desired.class == Some(Class::Single) && another_serves,
        Reason::FailedToServe => {
            in_force
                && desired.class == Some(Class::Single)
                && serving.iter().any(|other| other != member)
        }
        Reason::OtherClass => false,
    };
    holds(is_true, || {
        format!("that is not true: {is_listed} {:?}", plan.record.members)
    })
}

/// Everyone who is there is wanted, leaves, is withheld with a reason, or is
/// none of the tree's business.
fn accounts_for_all(decision: &Decision) -> Verdict {
    let Decision {
        desired,
        observed,
        plan,
        ..
    } = decision;
    for member in observed.members.keys().filter(|id| observed.registered(id)) {
        let role = plan.record.members.get(member).map(|known| known.wanted);
        let wanted = matches!(role, Some(Role::Serve | Role::Wait));
        let leaves = plan.deregister.contains_key(member);
        let withheld = plan.record.withheld.contains_key(member);
        let unlisted = !desired.members.contains_key(member);
        let theirs = desired.class.is_none() || desired.options.ownership == Ownership::Own;
        let one = u8::from(wanted) + u8::from(leaves) + u8::from(withheld) == 1;
        holds(one || (unlisted && theirs && !leaves && !wanted), || {
            format!("{member}: wanted {wanted}, leaves {leaves}, withheld {withheld}")
        })?;
    }
    Ok(())
}

/// Whether an operator said to let it go.
fn is_let_go(decision: &Decision, member: &MemberId) -> bool {
    let known = decision.plan.record.members.get(member);
    let removal = known.and_then(|known| known.removal);
    removal.is_some_and(|removal| removal.let_go)
}

/// Who counts as in service in that decision.
pub fn serving(decision: &Decision) -> BTreeSet<MemberId> {
    let observed = &decision.observed;
    let known = &decision.plan.record.members;
    let serves = |member: &&MemberId| match &observed.unreadable {
        None => observed.serves(member),
        Some(_) => known[*member].state == lbmanager::record::State::Serving,
    };
    observed.members.keys().filter(serves).cloned().collect()
}

/// The last that serves leaves only if somebody said so, and nobody who could
/// take over is on his way, or was for long enough.
fn spares_the_last(decision: &Decision) -> Verdict {
    let Decision {
        observed,
        plan,
        context,
        ..
    } = decision;
    let serving = serving(decision);
    let may_serve = observed
        .members
        .iter()
        .filter(|(member, is)| matches!(is, Condition::Unknown(_)) || serving.contains(*member));
    let held = may_serve
        .clone()
        .any(|(member, _)| plan.record.withheld.contains_key(member));
    let leave: Vec<_> = may_serve
        .filter_map(|(member, _)| Some((member, plan.deregister.get(member)?)))
        .collect();
    let stays = |member| !plan.deregister.contains_key(member);
    if leave.is_empty() || held || serving.iter().any(stays) {
        return Ok(());
    }
    let said = |member: &MemberId, reason: &Reason| {
        matches!(reason, Reason::Deleted | Reason::Drain)
            || (is_let_go(decision, member)
                && matches!(
                    reason,
                    Reason::LeaseEnded | Reason::Unknown | Reason::Stranger
                ))
    };
    holds(
        leave.iter().all(|(member, reason)| said(member, reason)),
        || format!("nobody said that the last leave: {leave:?}"),
    )?;
    let patience = observed.patience();
    let coming = plan.record.members.iter().any(|(member, known)| {
        let registered_at = known.registered_at;
        let young = registered_at.is_some_and(|at| after(at, patience) > context.now);
        let on_its_way = observed.registered(member) && !serving.contains(member) && young;
        known.wanted == Role::Serve && (on_its_way || plan.register.contains(member))
    });
    let waited = leave.iter().any(|(member, _)| {
        let removal = plan.record.members[*member].removal;
        removal.is_some_and(|removal| after(removal.since, patience) <= context.now)
    });
    holds(!coming || waited, || {
        format!("another is on its way: {leave:?}")
    })
}

/// Strangers that are most of what serves stay until somebody says otherwise.
fn empties_nobody_elses(decision: &Decision) -> Verdict {
    let plan = &decision.plan;
    let leave = plan.deregister.iter().map(|(id, reason)| (id, *reason));
    let stay = plan.record.withheld.iter();
    let stay = stay.map(|(id, withheld)| (id, withheld.reason));
    let is_stranger = |(member, reason): &(&MemberId, Reason)| {
        *reason == Reason::Stranger && !is_let_go(decision, member)
    };
    if decision.desired.options.adopt || !leave.clone().any(|e| is_stranger(&e)) {
        return Ok(());
    }
    let serving = serving(decision);
    let strangers = leave.chain(stay).filter(is_stranger);
    let strangers: Vec<_> = strangers.filter(|(id, _)| serving.contains(*id)).collect();
    holds(2 * strangers.len() <= serving.len(), || {
        format!("strangers leave although they are most: {strangers:?} of {serving:?}")
    })
}
