//! What a reconciler does in a pass, without tasks, and with faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lbmanager::absorb;
use lbmanager::desired::Desired;
use lbmanager::history::Freeze;
use lbmanager::observed::{Condition, Observed};
use lbmanager::plan::{Context, Expiry, Plan, plan};
use lbmanager::record::{Record, State};
use lbmanager::tree::{BalancerTree, Config};
use presence::model::{MemberId, Revision};

use super::balancer::{Balancer, HEALTHY_AFTER, after};
use super::etcd::Etcd;

pub const HOLD: Duration = Duration::from_mins(15);
const SETTLE: Duration = Duration::from_secs(10);
const SETTLE_AT_MOST: Duration = Duration::from_mins(1);
const REFUSED: Duration = Duration::from_mins(2);

/// What goes wrong in a pass. Masks say for which members something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The load balancer cannot be read.
    Unreadable,
    /// The record cannot be written before anything is done.
    NotAnnounced,
    CrashAfterAnnouncing,
    /// Done for some, and said to be done for fewer.
    Register {
        done: u8,
        said: u8,
    },
    CrashAfterRegistering,
    Deregister {
        done: u8,
        said: u8,
    },
    CrashAfterDeregistering,
    /// The record cannot be written after everything was done.
    NotReported,
}

/// The reconciler: all of it but the stored record is lost in a crash.
#[derive(Default)]
pub struct Driver {
    pub record: Record,
    refused: BTreeMap<MemberId, (Option<Revision>, Timestamp)>,
    first: Timestamp,
    quiet: Timestamp,
    revision: Revision,
    pub replacements: u32,
}

/// The state that a pass works from.
pub struct Orders<'a> {
    pub tree: &'a BalancerTree,
    pub general: Option<&'a Config>,
    pub released: Option<Revision>,
    pub frozen: Option<Freeze>,
    pub replacements: u32,
}

/// All that went into a decision, and what came of it.
pub struct Decision {
    pub before: Record,
    pub desired: Desired,
    pub observed: Observed,
    pub context: Context,
    pub plan: Plan,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    Failed,
    Crashed,
}

impl Driver {
    /// A reconciler that goes on from the record that the store has.
    pub fn start(etcd: &Etcd, now: Timestamp, replacements: u32) -> Self {
        let stored = etcd.status.as_deref();
        let mut record =
            stored.map_or_else(Record::default, |json| Record::from_json(json).unwrap());
        record.clamp_times(now);
        Self {
            record,
            first: now,
            quiet: now,
            replacements,
            ..Self::default()
        }
    }

    /// Takes the tree in. `None`: nothing is left to manage.
    pub fn absorb(&mut self, orders: &Orders<'_>, now: Timestamp) -> Option<Desired> {
        if self.revision != orders.tree.revision {
            self.revision = orders.tree.revision;
            self.quiet = now;
        }
        if self.replacements != orders.replacements {
            self.replacements = orders.replacements;
            let frozen = orders.frozen.as_ref();
            let at = frozen.map_or(orders.tree.revision, |freeze| freeze.revision);
            absorb::adopt_history(&mut self.record, orders.tree, at);
        }
        let before = std::mem::take(&mut self.record);
        let (desired, record) = absorb::take_in(
            &"elb/us-east-1/web".parse().unwrap(),
            before,
            orders.tree,
            orders.general,
            orders.released,
            now,
        );
        self.record = record;
        self.refused.retain(|member, (refused, _)| {
            let key = desired.members.get(member).map(|key| key.mod_revision);
            key.is_some() && key == *refused
        });
        (!self.nothing_left(&desired, orders)).then_some(desired)
    }

    /// Whether members are only ever added, as of the last pass.
    pub fn is_add_only(&self) -> bool {
        let options = self.record.options.as_ref();
        options.is_some_and(|options| options.get("ownership").is_some_and(|is| is == "add-only"))
    }

    fn nothing_left(&self, desired: &Desired, orders: &Orders<'_>) -> bool {
        orders.frozen.is_none() && absorb::has_nothing_left(&self.record, desired)
    }

    /// Observes, and decides.
    pub fn decide(
        &self,
        desired: &Desired,
        orders: &Orders<'_>,
        balancer: &Balancer,
        now: Timestamp,
    ) -> Decision {
        let met = self
            .record
            .contact
            .as_ref()
            .map_or(now, |contact| contact.at);
        let latest = after(self.first.max(met), SETTLE_AT_MOST);
        let context = Context {
            now,
            started: self.first,
            hold: HOLD,
            settled_at: after(self.quiet.max(met), SETTLE).min(latest),
            frozen: orders.frozen.clone(),
            expiry: Expiry::Checked,
            rejected: self
                .refused
                .iter()
                .map(|(member, (_, again))| (member.clone(), *again))
                .collect(),
        };
        let decide = |observed: Observed| Decision {
            plan: plan(desired, &observed, self.record.clone(), &context),
            before: self.record.clone(),
            desired: desired.clone(),
            observed,
            context: context.clone(),
        };
        if let Some(recorded) = self.as_recorded(&balancer.registered()) {
            let decision = decide(recorded);
            let plan = &decision.plan;
            let harmless = plan.deregister.is_empty() && plan.record.withheld.is_empty();
            if harmless && (!plan.is_waiting() || !plan.register.is_empty()) {
                return decision;
            }
        }
        decide(balancer.observe(now))
    }

    /// Health is not asked for where all were in service when last seen.
    fn as_recorded(&self, registered: &BTreeSet<MemberId>) -> Option<Observed> {
        let serves = |member: &MemberId| {
            let known = self.record.members.get(member);
            known.is_some_and(|known| known.state == State::Serving)
        };
        if self.record.contact.is_none() || !registered.iter().all(serves) {
            return None;
        }
        let members = registered.iter().cloned();
        Some(Observed {
            members: members
                .map(|member| (member, Condition::InService))
                .collect(),
            healthy_after: HEALTHY_AFTER,
            unreadable: None,
        })
    }

    /// Does what was decided, as far as nothing goes wrong.
    pub fn carry_out(
        &mut self,
        decision: &Decision,
        balancer: &mut Balancer,
        etcd: &mut Etcd,
        fault: Fault,
    ) -> End {
        let now = decision.context.now;
        self.record = decision.plan.record.clone();
        if decision.plan.has_steps() {
            for member in &decision.plan.register {
                let known = self.record.members.entry(member.clone()).or_default();
                known.placed = true;
                known.registered_at = Some(now);
                known.state = State::Registering;
            }
            if fault == Fault::NotAnnounced {
                return End::Failed;
            }
            etcd.write_status(&self.record);
            if fault == Fault::CrashAfterAnnouncing {
                return End::Crashed;
            }
            let end = self.carry_out_steps(&decision.plan, balancer, fault, now);
            if end != End::Done {
                return end;
            }
        }
        if fault == Fault::NotReported {
            return End::Failed;
        }
        if etcd.status.as_deref() != Some(&self.record.to_json()) {
            etcd.write_status(&self.record);
        }
        End::Done
    }

    fn carry_out_steps(
        &mut self,
        plan: &Plan,
        balancer: &mut Balancer,
        fault: Fault,
        now: Timestamp,
    ) -> End {
        let (done, said) = match fault {
            Fault::Register { done, said } => (done, done & said),
            _ => (u8::MAX, u8::MAX),
        };
        let mut failed = false;
        for (place, member) in plan.register.iter().enumerate() {
            if done & (1 << place) == 0 {
                failed = true;
            } else if balancer.refused.contains(member) {
                self.refuse(member, now);
            } else {
                balancer.register(member, now);
                failed |= said & (1 << place) == 0;
            }
        }
        if fault == Fault::CrashAfterRegistering {
            return End::Crashed;
        }
        let (done, said) = match fault {
            Fault::Deregister { done, said } => (done, done & said),
            _ => (u8::MAX, u8::MAX),
        };
        for (place, member) in plan.deregister.keys().enumerate() {
            if done & (1 << place) != 0 {
                balancer.deregister(member, now);
            }
            failed |= said & (1 << place) == 0;
        }
        match (fault, failed) {
            (Fault::CrashAfterDeregistering, _) => End::Crashed,
            (_, true) => End::Failed,
            (_, false) => End::Done,
        }
    }

    fn refuse(&mut self, member: &MemberId, now: Timestamp) {
        let known = self.record.members.entry(member.clone()).or_default();
        known.state = State::Rejected;
        known.registered_at = None;
        let refused = (known.mod_revision, after(now, REFUSED));
        self.refused.insert(member.clone(), refused);
    }

    /// After a pass: whether nothing is left to manage now.
    pub fn is_finished(&self, decision: &Decision, orders: &Orders<'_>) -> bool {
        !decision.plan.has_steps() && self.nothing_left(&decision.desired, orders)
    }
}
