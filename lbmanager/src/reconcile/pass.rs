//! One pass: observe, plan, write down, carry out, report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use presence::model::{MemberId, Revision};
use presence::process::backoff::Backoff;
use presence::store::{Store, StoreError, Transaction};
use tokio::sync::watch;

use super::decide::Question;
use super::seal::Seal;
use super::words;
use super::{
    Crash, Failing, Hook, Orders, Point, Reconciler, Rejection, Report, Rest, SETTLE_AT_MOST,
};
use crate::absorb;
use crate::backend::{Backend, BackendError, Outcome, Urgency};
use crate::desired::Desired;
use crate::plan::{self, Context, Expiry, Plan, Waiting};
use crate::record::{Action, MemberRecord, Reason, Role, State, Withheld};

/// How a pass ended well.
pub(super) enum Passed {
    /// Look again after this time, or when there is news.
    Next(Option<Duration>),
    /// Nothing is left to manage.
    Forgotten,
    /// There was news while health was polled.
    Overtaken,
}

/// What a pass does.
pub(super) type Step = (BTreeSet<MemberId>, BTreeSet<MemberId>);

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    #[error("{0}")]
    Backend(#[from] BackendError),
    #[error("cannot write the status, and only explicit deletes are applied without it: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Crashed(#[from] Crash),
}

impl PassError {
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Backend(error) => error.is_temporary(),
            Self::Store(error) => error.is_temporary(),
            Self::Crashed(_) => false,
        }
    }

    pub(super) fn failing(&self) -> Failing {
        Failing {
            words: self.to_string(),
            class: self.class(),
            is_temporary: self.is_temporary(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Backend(error) => error.class(),
            Self::Store(_) => "etcd",
            Self::Crashed(_) => "crash",
        }
    }
}

impl<S: Store, B: Backend, H: Hook> Reconciler<S, B, H> {
    /// `news` is looked at only while health is polled, before anything is
    /// written.
    pub(super) async fn pass(
        &mut self,
        orders: &Orders,
        news: &mut watch::Receiver<Orders>,
    ) -> Result<Passed, PassError> {
        self.catch_up(orders);
        let now = self.shared.clock.now();
        let (desired, mut record) = absorb::take_in(
            &self.id,
            std::mem::take(&mut self.record),
            &orders.tree,
            orders.general.as_deref(),
            orders.released,
            now,
        );
        record.manager = self.shared.settings.host.to_string();
        self.record = record;
        self.forget_rejections(&desired);
        if self.nothing_left(&desired, orders) {
            return self.forget().await;
        }
        let context = self.context(orders, now);
        let mut plan = match self.decide(&desired, &context, news).await {
            Ok(Some(plan)) => plan,
            Ok(None) => {
                self.has_news = true;
                return Ok(Passed::Overtaken);
            }
            Err(BackendError::NotFound(_)) if desired.is_empty() && orders.frozen.is_none() => {
                return self.forget().await;
            }
            Err(error) => return self.fail(error).await,
        };
        self.hold_kept(&mut plan, context.now);
        if self.shared.settings.dry_run {
            return Ok(self.pretend(&desired, &plan));
        }
        let acted = plan.has_steps();
        self.record = plan.record.clone();
        self.carry_out(&plan).await?;
        self.record.error = None;
        if self.save().await? {
            self.shared.hook.reached(Point::Reported)?;
        }
        self.report(&desired, &plan);
        if self.nothing_left(&desired, orders) && !acted {
            return self.forget().await;
        }
        Ok(Passed::Next(self.next(&plan, orders, acted)))
    }

    /// Takes in what concerns this reconciler itself, not the plan.
    fn catch_up(&mut self, orders: &Orders) {
        let now = self.shared.clock.now();
        if self.settling.revision != orders.tree.revision {
            self.settling.revision = orders.tree.revision;
            self.settling.quiet = now;
        }
        if std::mem::replace(&mut self.replacements, orders.replacements) != orders.replacements {
            // Revisions of another history compare with nothing here.
            let frozen = orders.frozen.as_ref();
            let at = frozen.map_or(orders.tree.revision, |freeze| freeze.revision);
            absorb::adopt_history(&mut self.record, &orders.tree, at);
            self.written = None;
            self.described = None;
        }
        if std::mem::replace(&mut self.resync, orders.resync) != orders.resync {
            self.described = None;
            self.health_is_due |= self.health_poll.is_due(self.resync);
        }
    }

    /// A member whose key was written again, or is gone, is no longer known to
    /// be refused.
    fn forget_rejections(&mut self, desired: &Desired) {
        self.rejected.retain(|member, rejection| {
            let key = desired.members.get(member).map(|key| key.mod_revision);
            key.is_some() && key == rejection.mod_revision
        });
    }

    fn context(&self, orders: &Orders, now: Timestamp) -> Context {
        let quiet = plan::after(self.settling.quiet, self.shared.settings.settle);
        // Whoever is met anew after a purge may be written one by one again.
        let met = self
            .record
            .contact
            .as_ref()
            .map_or(now, |contact| contact.at);
        let first = self.settling.start.max(met);
        let latest = plan::after(first, SETTLE_AT_MOST);
        Context {
            now,
            started: self.settling.start,
            hold: self.shared.settings.hold,
            settled_at: quiet
                .max(plan::after(met, self.shared.settings.settle))
                .min(latest),
            frozen: orders.frozen.clone(),
            expiry: Expiry::Checked,
            rejected: self
                .rejected
                .iter()
                .map(|(member, rejection)| (member.clone(), rejection.again))
                .collect(),
        }
    }

    /// The plan; `None` if there was news while health was polled.
    async fn decide(
        &mut self,
        desired: &Desired,
        context: &Context,
        news: &mut watch::Receiver<Orders>,
    ) -> Result<Option<Plan>, BackendError> {
        let urgency = self.urgency(desired);
        let question = Question {
            id: &self.id,
            desired,
            record: &self.record,
            context,
            health_is_due: self.health_is_due,
            urgency,
        };
        let backend = &self.shared.backend;
        let answer = question.ask(backend, &mut self.described, &mut self.patience);
        let answer = if urgency == Urgency::Poll {
            tokio::select! {
                biased;
                answer = answer => answer?,
                // Once nobody sends news any more, this is the last pass.
                Ok(()) = news.changed() => return Ok(None),
            }
        } else {
            answer.await?
        };
        self.health_is_due &= !answer.with_health;
        Ok(Some(answer.plan))
    }

    /// News that somebody is to come or to leave is not to wait for polls. At
    /// the first look nobody is known who could leave.
    fn urgency(&self, desired: &Desired) -> Urgency {
        let is_to_leave = |known: &MemberRecord| {
            known.removal.is_some() && !matches!(known.state, State::Absent | State::Draining)
        };
        let is_to_come = |member: &MemberId| {
            let known = self.record.members.get(member);
            known.is_none_or(|known| known.state == State::Absent)
        };
        let is_change = self.record.contact.is_some()
            && (self.record.members.values().any(is_to_leave)
                || desired.members.keys().any(is_to_come));
        if self.has_news && is_change {
            Urgency::Decision
        } else {
            Urgency::Poll
        }
    }

    /// A deregistration that was rejected is not tried at once again.
    fn hold_kept(&mut self, plan: &mut Plan, now: Timestamp) {
        self.kept
            .retain(|member, _| plan.deregister.contains_key(member));
        for (member, rejection) in &self.kept {
            if rejection.again <= now {
                continue;
            }
            if let Some(reason) = plan.deregister.remove(member) {
                let withheld = rejection.withheld(reason);
                plan.record.withheld.insert(member.clone(), withheld);
                let again = Some(rejection.again);
                plan.look_again = plan.look_again.into_iter().chain(again).min();
            }
        }
    }

    async fn carry_out(&mut self, plan: &Plan) -> Result<(), PassError> {
        if !plan.has_steps() {
            self.last_step = None;
            return Ok(());
        }
        let leaving: BTreeSet<MemberId> = plan.deregister.keys().cloned().collect();
        let step = (plan.register.clone(), leaving.clone());
        if self.last_step.as_ref() != Some(&step) {
            self.polls.succeeded();
            self.last_step = Some(step);
        }
        let announced = self.announce(&plan.register).await;
        if let Err(error @ StoreError::NoSpace { .. }) = announced {
            self.remove_requested(plan).await?;
            return Err(error.into());
        }
        announced?;
        self.shared.hook.reached(Point::Announced)?;
        let mut failures = Vec::new();
        if !plan.register.is_empty() {
            let outcome = self.shared.backend.register(&self.id, &plan.register).await;
            failures.extend(self.registered(outcome));
            self.shared.hook.reached(Point::Registered)?;
        }
        // Whoever leaves was judged by who serves already: that nobody could
        // be registered holds back nobody who was told to leave.
        if !plan.deregister.is_empty() {
            let outcome = self.shared.backend.deregister(&self.id, &leaving).await;
            failures.extend(self.deregistered(outcome, &plan.deregister));
            self.shared.hook.reached(Point::Deregistered)?;
        }
        match failures.into_iter().reduce(|one, other| one.and(&other)) {
            None => Ok(()),
            Some(error) => self.fail(error).await.map(|_| ()),
        }
    }

    /// Explicit deletes and drains do not wait for space in etcd: nothing has
    /// to be remembered of them.
    async fn remove_requested(&mut self, plan: &Plan) -> Result<(), PassError> {
        let requested = plan.deregister.iter();
        let requested: BTreeMap<MemberId, Reason> = requested
            .filter(|(_, reason)| matches!(reason, Reason::Deleted | Reason::Drain))
            .map(|(member, reason)| (member.clone(), *reason))
            .collect();
        if requested.is_empty() {
            return Ok(());
        }
        let leaving = requested.keys().cloned().collect();
        let outcome = self.shared.backend.deregister(&self.id, &leaving).await;
        let failure = self.deregistered(outcome, &requested);
        self.shared.hook.reached(Point::Deregistered)?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Before a member is registered the ledger says that it was this tree
    /// that put it there.
    async fn announce(&mut self, register: &BTreeSet<MemberId>) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        for member in register {
            let known = self.record.members.entry(member.clone()).or_default();
            known.placed = true;
            known.registered_at = Some(now);
            known.state = State::Registering;
            known.detail = None;
        }
        self.save().await?;
        Ok(())
    }

    fn registered(&mut self, outcome: Outcome) -> Option<BackendError> {
        let now = self.shared.clock.now();
        let done: Vec<MemberId> = outcome.done.iter().cloned().collect();
        if !done.is_empty() {
            tracing::info!("{}: registered {}", self.id, words::list(&done));
            self.record.changed(now, Action::Register, &done, None);
        }
        for member in outcome.done {
            self.rejected.remove(&member);
            if let Some(described) = &mut self.described {
                described.registered.insert(member);
            }
        }
        for (member, why) in outcome.rejected {
            self.reject(member, why, now);
        }
        outcome.error
    }

    fn reject(&mut self, member: MemberId, why: String, now: Timestamp) {
        tracing::warn!("{}: {member} is refused: {why}", self.id);
        let known = self.record.members.entry(member.clone()).or_default();
        known.state = State::Rejected;
        known.detail = Some(why.clone());
        known.registered_at = None;
        let mod_revision = known.mod_revision;
        let rejection = self.rejected.entry(member);
        let rejection = rejection.or_insert_with(|| Rejection::new(mod_revision));
        rejection.repeat(why, now);
    }

    /// The member stays as it is; the status shows why.
    fn keep(&mut self, member: MemberId, reason: Reason, why: String, now: Timestamp) {
        tracing::warn!("{}: {member} cannot be deregistered: {why}", self.id);
        let rejection = self.kept.entry(member.clone());
        let rejection = rejection.or_insert_with(|| Rejection::new(None));
        rejection.repeat(why, now);
        let withheld = rejection.withheld(reason);
        self.record.withheld.insert(member, withheld);
        // It may be gone.
        self.described = None;
    }

    fn deregistered(
        &mut self,
        outcome: Outcome,
        reasons: &BTreeMap<MemberId, Reason>,
    ) -> Option<BackendError> {
        let now = self.shared.clock.now();
        let mut by_reason: BTreeMap<Reason, Vec<MemberId>> = BTreeMap::new();
        for member in outcome.done {
            if let Some(described) = &mut self.described {
                described.registered.remove(&member);
            }
            if let Some(known) = self.record.members.get_mut(&member) {
                known.state = State::Draining;
                known.detail = None;
            }
            if let Some(reason) = reasons.get(&member) {
                by_reason.entry(*reason).or_default().push(member);
            }
        }
        for (reason, members) in by_reason {
            tracing::info!(
                "{}: deregistered {}: {reason}",
                self.id,
                words::list(&members)
            );
            self.record
                .changed(now, Action::Deregister, &members, Some(reason));
        }
        for (member, why) in outcome.rejected {
            if let Some(reason) = reasons.get(&member) {
                self.keep(member, *reason, why, now);
            }
        }
        outcome.error
    }

    /// Puts the error into the status; which of the two is told if that fails
    /// as well does not matter.
    async fn fail(&mut self, error: BackendError) -> Result<Passed, PassError> {
        self.record
            .failed_with(self.shared.clock.now(), error.to_string());
        if !self.shared.settings.dry_run {
            self.save().await?;
        }
        Err(error.into())
    }

    fn status_key(&self) -> String {
        let settings = &self.shared.settings;
        settings.keys.balancer(&settings.host, &self.id)
    }

    /// Writes the status, if it is not what the store has. Whether it did.
    async fn save(&mut self) -> Result<bool, StoreError> {
        let value = self.record.to_json();
        let seal = Seal::of(&value);
        let is_new = self.written != Some(seal);
        if is_new {
            // If this fails it may have been written all the same.
            self.written = None;
            let put = Transaction::put(self.status_key(), value);
            self.commit(put).await?;
            self.written = Some(seal);
        }
        self.shared.board.absorbed(&self.id, self.record.revision);
        Ok(is_new)
    }

    fn nothing_left(&self, desired: &Desired, orders: &Orders) -> bool {
        orders.frozen.is_none() && absorb::has_nothing_left(&self.record, desired)
    }

    /// Deletes the status: nothing is left to manage.
    async fn forget(&mut self) -> Result<Passed, PassError> {
        if !self.shared.settings.dry_run && self.written.is_some() {
            let delete = Transaction::delete(self.status_key());
            match self.commit(delete.clone()).await {
                // The marker needs space, a delete does not.
                Err(StoreError::NoSpace { .. }) => {
                    self.shared.store.commit(delete).await?;
                }
                committed => committed?,
            }
        }
        self.shared.hook.reached(Point::Forgotten)?;
        tracing::info!(
            "{}: no longer managed, the tree has no member of it",
            self.id
        );
        Ok(Passed::Forgotten)
    }

    /// With the marker, which says that this history contains the change.
    async fn commit(&self, transaction: Transaction) -> Result<(), StoreError> {
        let transaction = self.shared.marker.add_to(transaction);
        let commit = self.shared.store.commit(transaction).await?;
        self.shared.marker.committed(commit.header.revision);
        Ok(())
    }

    pub(super) fn report(&mut self, desired: &Desired, plan: &Plan) {
        let members = self.record.members.values();
        let serving = members
            .filter(|known| known.state == State::Serving)
            .count();
        let idle = !plan.has_steps() && !plan.is_waiting();
        let soon = plan
            .look_again
            .is_some_and(|at| at <= plan::after(self.shared.clock.now(), SETTLE_AT_MOST));
        let all_in = self
            .record
            .members
            .values()
            .all(|known| known.wanted != Role::Serve || known.state == State::Serving);
        let rest = match (idle, self.record.withheld.is_empty() && all_in) {
            (true, true) => Rest::InSync,
            _ if soon => Rest::Busy,
            (true, false) => Rest::Stuck,
            (false, false) if !plan.has_steps() => Rest::Stuck,
            // Nobody takes the steps.
            (false, _) if plan.has_steps() && self.shared.settings.dry_run => Rest::Stuck,
            (false, _) => Rest::Busy,
        };
        self.shared.board.report(
            &self.id,
            Report {
                rest,
                desired: desired.members.len(),
                serving,
                withheld: self.record.withheld.len(),
                error: None,
                ..Report::default()
            },
        );
    }

    fn next(&mut self, plan: &Plan, orders: &Orders, acted: bool) -> Option<Duration> {
        let mut members = self.record.members.values();
        let soon = acted
            || matches!(plan.waiting, Waiting::ForService | Waiting::ForHealth)
            || members.any(|known| known.state == State::Draining);
        let poll = if soon {
            Some(self.polls.failed())
        } else {
            self.polls.succeeded();
            (plan.waiting == Waiting::ForHeld).then(|| self.held_polls.failed())
        };
        if plan.waiting != Waiting::ForHeld {
            self.held_polls.succeeded();
        }
        let poll = self.health_poll.next(poll);
        let timer = plan.look_again.map(|at| until(at, self.shared.clock.now()));
        // Given before it was known who is to leave.
        let release = (orders.released > self.record.released).then_some(Duration::ZERO);
        [poll, timer, release].into_iter().flatten().min()
    }
}

impl Rejection {
    fn new(mod_revision: Option<Revision>) -> Self {
        Self {
            mod_revision,
            why: String::new(),
            again: Timestamp::UNIX_EPOCH,
            backoff: Backoff::new(Duration::from_secs(15), Duration::from_mins(10)),
        }
    }

    /// It was refused, and is not tried before some time.
    fn repeat(&mut self, why: String, now: Timestamp) {
        self.why = why;
        self.again = plan::after(now, self.backoff.failed());
    }

    fn withheld(&self, reason: Reason) -> Withheld {
        Withheld {
            reason,
            why: format!("AWS rejects the deregistration: {}", self.why),
            until: Some(self.again),
        }
    }
}

pub(super) fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
