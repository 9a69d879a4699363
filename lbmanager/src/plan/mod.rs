//! From what is desired and what is observed to what is to be done. Pure:
//! the same input gives the same plan, and the plan is data.
//!
//! Adding is safe. Removing is what takes sites down, so each removal carries
//! its reason, and [`removal::manner`] is the one table from reason to manner.

mod incident;
mod last;
mod note;
pub mod removal;
mod single;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use presence::model::{Class, MemberId, Ownership};

use crate::desired::Desired;
use crate::history::Freeze;
use crate::observed::{Condition, Observed};
use crate::record::{MemberRecord, Reason, Record, Role, State, Withheld};

/// Longer than this a load balancer is not waited for to begin its checks.
const REGISTRATION: Duration = Duration::from_mins(5);

/// Everything else that a plan depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The time.
    pub now: Timestamp,
    /// When this process took the record up. Times in it that are older may be
    /// from another clock, so that no time limit counts from before.
    pub started: Timestamp,
    /// How long a member whose lease ended is held at most if nothing reports
    /// its health, and how long an incident lasts at least (`--hold`).
    pub hold: Duration,
    /// When the tree under the load balancer has been quiet for long enough.
    pub settled_at: Timestamp,
    /// The history was replaced: removals that this may have caused are held.
    pub frozen: Option<Freeze>,
    /// How members whose lease expired are treated.
    pub expiry: Expiry,
    /// Members that the load balancer refused, and when to try them again.
    pub rejected: BTreeMap<MemberId, Timestamp>,
}

/// How members whose lease expired are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// A share of them leaves in one incident. The load balancer reports the
    /// health of the others, and they are held for as long as they are healthy.
    Checked,
    /// The same, but the manager itself has to find out whether they answer, and
    /// does so while removals are frozen as well.
    Probed,
    /// The same, but nothing reports their health.
    Unchecked,
    /// Their addresses are this host's own, and other members get them next: all
    /// leave, once their publishers had the time to write the keys again.
    Own,
}

/// What is to be done to one load balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// To be put in, first.
    pub register: BTreeSet<MemberId>,
    /// To be taken out, then, and why.
    pub deregister: BTreeMap<MemberId, Reason>,
    /// What is known and withheld, to be written before anything is done.
    pub record: Record,
    /// What only the load balancer can tell, so that it has to be asked for
    /// health again.
    pub waiting: Waiting,
    /// When the passing of time alone may allow more.
    pub look_again: Option<Timestamp>,
}

/// What the health of members is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// For nothing.
    No,
    /// That one who is to serve gets in service: soon.
    ForService,
    /// That one who is to serve and had its time gets in service after all.
    /// Nothing but the status depends on it.
    ForHealth,
    /// That one who is held gets unhealthy, or another gets in service:
    /// perhaps never.
    ForHeld,
}

impl Plan {
    /// Whether there is nothing to do and nothing to wait for.
    pub fn is_in_sync(&self) -> bool {
        !self.has_steps() && !self.is_waiting() && self.record.withheld.is_empty()
    }

    /// Whether there is something to do now.
    pub fn has_steps(&self) -> bool {
        !self.register.is_empty() || !self.deregister.is_empty()
    }

    /// Whether health has to be asked for again.
    pub fn is_waiting(&self) -> bool {
        matches!(self.waiting, Waiting::ForService | Waiting::ForHeld)
    }
}

/// Decides.
pub fn plan(desired: &Desired, observed: &Observed, record: Record, context: &Context) -> Plan {
    let observed = &note::assume(observed, &record, context);
    let mut record = record;
    incident::close(&mut record, context);
    note::note(&mut record, desired, observed, context);
    single::assign_roles(&mut record, desired, observed, context);
    let register = to_register(&record, desired, observed, context);
    let scene = Scene {
        desired,
        observed,
        context,
        coming: expects_another(&record, &register, observed, context),
    };
    let mut verdicts = removal::judge(&mut record, &scene);
    last::spare_last(&mut verdicts, &record, &scene);
    if let Some(incident) = &mut record.incident {
        incident.removed.extend(verdicts.budgeted);
    }
    record.withheld = verdicts.withheld;
    incident::close(&mut record, context);
    if context.frozen.is_none() {
        note::forget(&mut record, desired, observed, &register);
    }
    Plan {
        waiting: waiting(&record, &scene),
        look_again: look_again(&record, observed, context),
        register,
        deregister: verdicts.go,
        record,
    }
}

fn to_register(
    record: &Record,
    desired: &Desired,
    observed: &Observed,
    context: &Context,
) -> BTreeSet<MemberId> {
    if desired.blocked.is_some() {
        return BTreeSet::new();
    }
    desired
        .members
        .keys()
        .filter(|member| record.role(member) == Role::Serve)
        .filter(|member| !observed.registered(member) && !context.is_rejected(member))
        .cloned()
        .collect()
}

/// Whether somebody who is to serve is on his way.
fn expects_another(
    record: &Record,
    register: &BTreeSet<MemberId>,
    observed: &Observed,
    context: &Context,
) -> bool {
    let mut to_serve = record
        .members
        .keys()
        .filter(|member| record.role(member) == Role::Serve);
    to_serve.any(|member| register.contains(member) || is_coming(member, record, observed, context))
}

/// Health matters while somebody who is to serve has yet to get in service,
/// and while somebody is held until he or another is in service or is not.
fn waiting(record: &Record, scene: &Scene<'_>) -> Waiting {
    if scene.desired.blocked.is_some() {
        return Waiting::No;
    }
    let is_idle = |(member, known): (&MemberId, &MemberRecord)| {
        known.wanted == Role::Serve
            && scene.observed.registered(member)
            && !scene.observed.serves(member)
    };
    let is_add_only = scene.desired.options.ownership == Ownership::AddOnly;
    let may_remove = scene.context.frozen.is_none() && !is_add_only;
    if scene.coming {
        Waiting::ForService
    } else if record.members.iter().any(is_idle) {
        Waiting::ForHealth
    } else if may_remove && depends_on_health(record, scene.context) {
        Waiting::ForHeld
    } else {
        Waiting::No
    }
}

/// Whether a held member may be removed once its health changes.
fn depends_on_health(record: &Record, context: &Context) -> bool {
    use removal::Manner;
    record.withheld.values().any(|withheld| {
        matches!(
            removal::manner(withheld.reason, context),
            Manner::Careful | Manner::WhenReplaced | Manner::Quiesce
        )
    })
}

/// Registered not long ago, and not in service yet.
fn is_coming(member: &MemberId, record: &Record, observed: &Observed, context: &Context) -> bool {
    observed.registered(member)
        && !observed.serves(member)
        && deadline(member, record, observed, context).is_some_and(|at| at > context.now)
}

/// When a member that was registered should have been in service.
fn deadline(
    member: &MemberId,
    record: &Record,
    observed: &Observed,
    context: &Context,
) -> Option<Timestamp> {
    time_limit(record.members.get(member)?, observed, context)
}

/// The time limit begins when the load balancer begins to check the member.
fn time_limit(known: &MemberRecord, observed: &Observed, context: &Context) -> Option<Timestamp> {
    let checks = if known.unchecked {
        REGISTRATION
    } else {
        Duration::ZERO
    };
    Some(context.limit(known.registered_at?, checks + observed.patience()))
}

fn look_again(record: &Record, observed: &Observed, context: &Context) -> Option<Timestamp> {
    let withheld = record.withheld.values().filter_map(|held| held.until);
    let coming = record
        .members
        .iter()
        .filter(|(member, _)| observed.registered(member) && !observed.serves(member))
        .flat_map(|(_, known)| {
            let assumed = known
                .registered_at
                .filter(|_| observed.unreadable.is_some())
                .map(|at| context.limit(at, observed.healthy_after));
            [time_limit(known, observed, context), assumed]
        })
        .flatten();
    let rejected = context.rejected.values().copied();
    withheld
        .chain(coming)
        .chain(rejected)
        .chain(incident::ends_at(record, context))
        .filter(|at| *at > context.now)
        .min()
}

/// The time that long after `at`; the end of time where that is beyond it.
pub(crate) fn after(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

impl Context {
    /// When a limit of that length ends that began at `since`.
    fn limit(&self, since: Timestamp, length: Duration) -> Timestamp {
        after(since.max(self.started), length)
    }

    fn is_rejected(&self, member: &MemberId) -> bool {
        self.rejected.get(member).is_some_and(|at| *at > self.now)
    }
}

impl Desired {
    fn is_single(&self) -> bool {
        self.class == Some(Class::Single)
    }
}

/// What removals are judged by.
struct Scene<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    context: &'a Context,
    /// Somebody who is to serve is on his way.
    coming: bool,
}

impl Scene<'_> {
    /// Whether the load balancer reports that it serves no traffic. A member
    /// that is still in its time to get in service is not unhealthy yet.
    fn is_unhealthy(&self, member: &MemberId, record: &Record) -> bool {
        let condition = self.observed.members.get(member);
        let known = record.members.get(member);
        self.observed.unreadable.is_none()
            && matches!(condition, Some(Condition::OutOfService(_)))
            && known.is_none_or(|known| known.state != State::Registering)
    }
}

/// What became of each member that is to leave.
#[derive(Debug, Default)]
struct Verdicts {
    /// May leave now.
    go: BTreeMap<MemberId, Reason>,
    /// Of these, who leaves within the budget of the incident.
    budgeted: BTreeSet<MemberId>,
    /// Must stay for the time being.
    withheld: BTreeMap<MemberId, Withheld>,
}

impl Verdicts {
    fn hold(
        &mut self,
        member: &MemberId,
        reason: Reason,
        why: impl Into<String>,
        until: Option<Timestamp>,
    ) {
        self.go.remove(member);
        self.budgeted.remove(member);
        self.withheld.insert(
            member.clone(),
            Withheld {
                reason,
                why: why.into(),
                until,
            },
        );
    }
}
