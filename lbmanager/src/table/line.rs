//! One virtual service: what is to be done to it. Pure but for the clock that
//! is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ipvs::{Command, ServiceKey};
use jiff::Timestamp;
use presence::model::{BalancerId, MemberId, Revision};
use presence::process::backoff::Backoff;

use super::image::Present;
use super::observe::observe;
use super::translate;
use crate::absorb;
use crate::desired::Desired;
use crate::history::Freeze;
use crate::manager::whole::Orders;
use crate::plan::{self, Context, Expiry, Plan};
use crate::record::{Reason, Record, Removal, State};
use crate::tree::{BalancerTree, Config};

/// What is kept of one virtual service between passes.
#[derive(Debug)]
pub struct Line {
    /// What the kernel calls it.
    pub key: ServiceKey,
    /// Who in the tree it is, the region named first first.
    pub ids: Vec<BalancerId>,
    /// What the tree says of it.
    pub tree: Arc<BalancerTree>,
    /// Status and ledger. The outbox may have the same.
    pub record: Arc<Record>,
    /// When to look again though nothing happens.
    pub look_at: Option<Timestamp>,
    /// It was decided on before.
    pub is_met: bool,
    /// Members that the kernel refused.
    pub refused: BTreeMap<MemberId, Refused>,
    /// The kernel refused the service itself.
    pub service_refused: Option<Refused>,
    /// Since when the tree is quiet.
    pub quiet: Quiet,
}

/// A member, or the service itself, that the kernel refused. It is retried after
/// 15 seconds, then less often, up to every 10 minutes.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When to retry.
    pub again: Timestamp,
    /// Its key's mod_revision then: a member whose key is written again is
    /// retried at once.
    pub mod_revision: Option<Revision>,
    backoff: Backoff,
}

impl Refused {
    /// For a first refusal, which [`Refused::repeat`] notes.
    pub fn new(mod_revision: Option<Revision>) -> Self {
        Self {
            again: Timestamp::UNIX_EPOCH,
            mod_revision,
            backoff: Backoff::new(Duration::from_secs(15), Duration::from_mins(10)),
        }
    }

    /// It was refused, and is not tried before some time.
    pub fn repeat(&mut self, now: Timestamp) {
        self.again = plan::after(now, self.backoff.failed());
    }
}

/// Since when the tree is quiet.
#[derive(Debug, Clone, Copy)]
pub struct Quiet {
    /// When this process first saw it.
    pub start: Timestamp,
    /// When its keys last changed.
    pub since: Timestamp,
}

/// What a decision depends on beside the line itself.
#[derive(Debug)]
pub struct Around<'a> {
    /// The time.
    pub now: Timestamp,
    /// Options for everything.
    pub general: Option<&'a Config>,
    /// An operator's release.
    pub release: Option<Revision>,
    /// Why nothing may be removed.
    pub frozen: Option<&'a Freeze>,
    /// See `--hold`.
    pub hold: Duration,
    /// See `--settle`.
    pub settle: Duration,
    /// The service is of this host's own region alone.
    pub own: bool,
    /// The ledger says that the service is this manager's.
    pub ours: bool,
    /// And that this manager made it.
    pub made: bool,
    /// What the kernel has.
    pub present: Option<&'a Present>,
    /// Held members that do not answer.
    pub silent: &'a BTreeSet<MemberId>,
}

/// One command to the kernel, and what it is good for.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// When it has its turn.
    pub phase: Phase,
    /// What the kernel is told.
    pub command: Command,
    /// To whom, of the members.
    pub member: Option<MemberId>,
    /// Why, where one leaves.
    pub reason: Option<Reason>,
}

/// Changes are made in this order, over all services: nobody leaves before
/// those who come are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A service comes.
    AddService,
    /// A real server comes, or comes back.
    Add,
    /// Something is not as it is to be.
    Update,
    /// A real server gets no new connections any more.
    Quiesce,
    /// A real server goes.
    Remove,
    /// A service goes.
    RemoveService,
}

/// What is to be done.
#[derive(Debug)]
pub struct Decision {
    /// What the tree wants.
    pub desired: Desired,
    /// Who comes and who leaves. Its record is that of the line.
    pub plan: Plan,
    /// What the kernel is told.
    pub changes: Vec<Change>,
    /// Nothing is left to manage.
    pub over: Option<Over>,
}

/// Why nothing is left to manage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It is gone from the kernel.
    Gone,
    /// It is to be left as it is.
    LeftAlone,
}

const SETTLE_AT_MOST: Duration = Duration::from_mins(1);

impl Line {
    /// Its record, to be changed. What is on its way to etcd stays as it is.
    pub fn record_mut(&mut self) -> &mut Record {
        Arc::make_mut(&mut self.record)
    }

    /// The first of those that it is in the tree.
    pub fn id(&self) -> &BalancerId {
        &self.ids[0]
    }

    /// Takes the tree in and decides. The record has all of it but what only
    /// the outcome of the changes can say.
    pub fn decide(&mut self, around: &Around<'_>) -> Decision {
        let before = Arc::unwrap_or_clone(std::mem::take(&mut self.record));
        let leaving = leaving(&before);
        let is_met = std::mem::replace(&mut self.is_met, true) || !before.is_new();
        let (general, release) = (around.general, around.release);
        let id = &self.ids[0];
        let (desired, mut record) =
            absorb::take_in(id, before, &self.tree, general, release, around.now);
        if !is_met {
            claim(&mut record, around);
        }
        self.forget_refusals(&record);
        let observed = observe(&mut record, around.present, around.silent);
        let context = self.context(&record, around);
        let mut plan = plan::plan(&desired, &observed, record, &context);
        self.record = Arc::new(std::mem::take(&mut plan.record));
        self.hold_drains(&desired, around);
        let problem = translate::problem(&self.key, &desired.options);
        self.record_mut().problems.extend(problem);
        let mut over = self.over(&desired, around);
        let mut changes = Vec::new();
        if over == Some(Over::LeftAlone) && desired.blocked.is_none() {
            changes = self.end_drains(&leaving, around);
            over = over.filter(|_| changes.is_empty());
        }
        if over.is_none() && changes.is_empty() && desired.blocked.is_none() {
            self.change_service(&desired, around, &mut changes);
            self.change_servers(&desired, &plan, around, &mut changes);
        }
        self.look_at = self.next_look(&desired, &plan, around);
        Decision {
            desired,
            plan,
            changes,
            over,
        }
    }

    /// A member whose key was written again, or is gone, is no longer known to
    /// be refused.
    fn forget_refusals(&mut self, record: &Record) {
        self.refused.retain(|member, refused| {
            let known = record.members.get(member);
            known.is_some_and(|known| known.mod_revision == refused.mod_revision)
        });
    }

    /// The newest release that concerns it.
    pub fn release(&self, orders: &Orders) -> Option<Revision> {
        self.ids.iter().filter_map(|id| orders.released(id)).max()
    }

    fn context(&self, record: &Record, around: &Around<'_>) -> Context {
        let met = record
            .contact
            .as_ref()
            .map_or(around.now, |contact| contact.at);
        let quiet = plan::after(self.quiet.since.max(met), around.settle);
        let latest = plan::after(self.quiet.start.max(met), SETTLE_AT_MOST);
        Context {
            now: around.now,
            started: self.quiet.start,
            hold: around.hold,
            settled_at: quiet.min(latest),
            frozen: around.frozen.cloned(),
            expiry: self.expiry(around.own),
            rejected: self
                .refused
                .iter()
                .map(|(member, refused)| (member.clone(), refused.again))
                .collect(),
        }
    }

    fn expiry(&self, own: bool) -> Expiry {
        if own {
            Expiry::Own
        } else if translate::is_tcp(&self.key) {
            Expiry::Probed
        } else {
            Expiry::Unchecked
        }
    }

    /// Whether the kernel refused the service itself a short time ago.
    pub(super) fn is_refused(&self, now: Timestamp) -> bool {
        let refused = self.service_refused.as_ref();
        refused.is_some_and(|refused| refused.again > now)
    }

    fn over(&self, desired: &Desired, around: &Around<'_>) -> Option<Over> {
        if !desired.is_empty() || self.tree.config.is_some() || around.frozen.is_some() {
            return None;
        }
        if self.is_purged() {
            return Some(Over::LeftAlone);
        }
        match around.present {
            None => Some(Over::Gone),
            Some(present) if around.ours && present.servers.is_empty() => None,
            // What others put there stays, and with it the service.
            Some(_) => absorb::has_nothing_left(&self.record, desired).then_some(Over::LeftAlone),
        }
    }

    /// It was purged, and nothing has happened to it since.
    fn is_purged(&self) -> bool {
        self.tree.purged.is_some() && self.tree.departures.is_empty()
    }

    fn next_look(&self, desired: &Desired, plan: &Plan, around: &Around<'_>) -> Option<Timestamp> {
        let draining = self.record.members.values().any(|known| {
            let waits = known.removal.is_some_and(|removal| {
                removal.reason == Reason::NotReady || holds(around, &removal)
            });
            known.quiesced_at.is_some() && !waits
        });
        let drains = draining && desired.blocked.is_none();
        let drains = drains.then(|| plan::after(around.now, LOOK));
        let refused = self.refused.values().map(|refused| refused.again);
        let service = self.service_refused.as_ref();
        let refused = refused.chain(service.map(|refused| refused.again));
        let refused = refused.filter(|at| *at > around.now).min();
        [drains, plan.look_again, refused]
            .into_iter()
            .flatten()
            .min()
    }

    /// What came of a change.
    pub fn done(&mut self, change: &Change, now: Timestamp) {
        let Some(member) = &change.member else {
            self.service_refused = None;
            return;
        };
        self.refused.remove(member);
        let members = &mut self.record_mut().members;
        let known = members.entry(member.clone()).or_default();
        match change.phase {
            Phase::Add => {
                known.placed = true;
                known.registered_at = Some(now);
                known.quiesced_at = None;
                known.state = State::Registering;
            }
            Phase::Quiesce => known.quiesced_at = Some(now),
            _ => {}
        }
    }
}

/// How often connections of those that leave are counted.
pub const LOOK: Duration = Duration::from_millis(250);

/// Whether a freeze holds this removal.
pub(super) fn holds(around: &Around<'_>, removal: &Removal) -> bool {
    around.frozen.is_some_and(|freeze| freeze.holds(removal))
}

/// Who is on his way out.
pub(super) fn leaving(record: &Record) -> Vec<MemberId> {
    let members = record.members.iter();
    members
        .filter(|(_, known)| {
            let waits = known
                .removal
                .is_some_and(|removal| removal.reason == Reason::NotReady);
            known.quiesced_at.is_some() && !waits
        })
        .map(|(member, _)| member.clone())
        .collect()
}

/// What is in a service that this manager made was put there by it, also
/// where the crash of the one before kept that from being written down. Of
/// whatever was written down before, a purge above all, that says nothing.
fn claim(record: &mut Record, around: &Around<'_>) {
    let Some(present) = around.present.filter(|_| around.made) else {
        return;
    };
    for server in present.servers.keys() {
        let known = record
            .members
            .entry(translate::member(*server))
            .or_default();
        known.placed = true;
    }
}
