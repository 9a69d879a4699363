//! One pass over the virtual services that are due: observe, decide, tell the
//! kernel, report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipvs::ServiceKey;
use jiff::Timestamp;
use presence::model::MemberId;
use presence::store::Store;
use tokio::time::Instant;

use super::Table;
use super::decide::Scene;
use super::image::Image;
use super::kernel::{Kernel, KernelError};
use super::line::{Change, Decision, Over};
use crate::manager::whole::Orders;
use crate::reconcile::Failing;

/// A decision is followed by the next one until there is nothing to do; with
/// an honest kernel that is the third.
const ROUNDS: usize = 8;

/// What is kept of a decision once its changes are handed over: of all
/// virtual services at once that is not to be much.
pub(super) struct Verdict {
    /// How many members the tree wants.
    pub wanted: usize,
    /// Nobody is listed.
    pub is_empty: bool,
    /// Members that get no connections because the tree says so.
    pub resting: BTreeSet<MemberId>,
    /// Something was to be done.
    pub changes: bool,
    /// Nothing is left to manage.
    pub over: Option<Over>,
}

/// What was decided of whom.
pub(super) type Verdicts = BTreeMap<ServiceKey, Verdict>;

impl Verdict {
    fn of(decision: &Decision) -> Self {
        let wanted = &decision.desired.members;
        let resting = wanted
            .iter()
            .filter(|(_, wanted)| wanted.options.weight == Some(0));
        Self {
            wanted: wanted.len(),
            is_empty: decision.desired.is_empty(),
            resting: resting.map(|(member, _)| member.clone()).collect(),
            changes: !decision.changes.is_empty(),
            over: decision.over,
        }
    }
}

impl From<KernelError> for Failing {
    fn from(error: KernelError) -> Self {
        Self {
            words: error.words,
            class: "kernel",
            is_temporary: error.is_temporary,
        }
    }
}

impl<S: Store, K: Kernel> Table<S, K> {
    /// How long until the next look, if nothing happens.
    pub(super) async fn pass(&mut self, orders: &Orders) -> Result<Option<Duration>, Failing> {
        let now = self.parts.clock.now();
        let is_resync = self.look_for_drift(orders).await?;
        if self.lines.is_of_another_history(orders) {
            self.outbox.forget_all();
            self.others.history_was_reset();
        }
        self.take_over_released(orders);
        self.lines.take_in(orders, &self.parts.ledger, now);
        if self.lines.is_empty() && self.parts.ledger.others().is_empty() {
            // Whoever has no virtual service needs no kernel that has them.
            self.image = None;
            self.sync_host_network(orders, false);
            self.save_ledger();
            return Ok(self.ledger_retry());
        }
        self.lines.mind_the_time(now);
        if self.image.is_none() {
            let entries = self.parts.kernel.ask(Kernel::table).await?;
            self.image = Some(Image::new(entries));
            self.lines.all_due();
        }
        self.mind_the_unwritten();
        self.mind_the_silent();
        self.count_connections().await?;
        self.settle(orders).await?;
        if self.complaint.is_over() {
            tracing::info!("virtual services are brought in line with the tree again");
        }
        self.finish();
        self.hold();
        self.report_refused(orders);
        self.show_others();
        self.sync_host_network(orders, is_resync);
        self.save_ledger();
        let now = self.parts.clock.now();
        let next = self.lines.next_look().map(|at| until(at, now));
        Ok(next.into_iter().chain(self.ledger_retry()).min())
    }

    fn ledger_retry(&self) -> Option<Duration> {
        let at = self.parts.ledger.retry_at()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Decides and does until there is nothing left to do now, and reports.
    async fn settle(&mut self, orders: &Orders) -> Result<(), Failing> {
        let mut verdicts = Verdicts::new();
        let settled = self.turn(orders, &mut verdicts).await;
        self.report(&verdicts);
        settled
    }

    async fn turn(&mut self, orders: &Orders, verdicts: &mut Verdicts) -> Result<(), Failing> {
        for _ in 0..ROUNDS {
            let due = std::mem::take(&mut self.lines.due);
            if due.is_empty() {
                break;
            }
            let (mut decided, changes) = self.decide(&due, orders);
            if self.parts.settings.dry_run {
                self.pretend(&changes);
                verdicts.extend(decided);
                return Ok(());
            }
            let changes = self.note_whose(&mut decided, changes);
            let refusals = self.tell(&changes).await;
            self.note_refusals(refusals);
            if self.image.is_none() {
                return Err(lost());
            }
            verdicts.extend(decided);
            let acted = changes.iter().map(|change| *change.command.service());
            self.lines.due.extend(acted);
            // Given before it was known who is to leave.
            let given = due.into_iter().filter(|key| {
                let line = self.lines.get(key);
                line.is_some_and(|line| line.release(orders) > line.record.released)
            });
            let given: Vec<ServiceKey> = given.collect();
            self.lines.due.extend(given);
        }
        Ok(())
    }

    /// The changes are in the order in which they are to be made.
    fn decide(&mut self, due: &BTreeSet<ServiceKey>, orders: &Orders) -> (Verdicts, Vec<Change>) {
        let silent = self.silent.borrow().clone();
        let settings = &self.parts.settings;
        let scene = Scene {
            now: self.parts.clock.now(),
            hold: settings.hold,
            settle: settings.settle,
            ledger: &self.parts.ledger,
            image: self.image.as_ref(),
            silent: &silent,
        };
        let mut verdicts = Verdicts::new();
        let mut changes = Vec::new();
        for key in due {
            let Some(decision) = self.lines.decide(key, orders, &scene) else {
                continue;
            };
            match decision.over {
                Some(over) => self.lines.ending.insert(*key, over),
                None => self.lines.ending.remove(key),
            };
            verdicts.insert(*key, Verdict::of(&decision));
            changes.extend(decision.changes);
            let Some(line) = self.lines.get_mut(key) else {
                continue;
            };
            let refused = !line.refused.is_empty() || line.service_refused.is_some();
            let record = line.record_mut();
            record.manager = settings.host.to_string();
            if !refused {
                record.error = None;
            }
        }
        changes.sort_by_key(|change| change.phase);
        (verdicts, changes)
    }
}

fn lost() -> Failing {
    Failing {
        words: "the kernel's table is not what it was taken for; it is read again".to_owned(),
        class: "kernel",
        is_temporary: true,
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
