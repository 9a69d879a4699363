//! One pass over the virtual services that are due: observe, decide, tell the
//! kernel, report.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use ipvs::{Command, CommandError, DestinationKey, ServiceKey, proc};
use jiff::Timestamp;
use presence::model::{MemberId, Revision};
use presence::store::Store;

use super::image::Image;
use super::kernel::{Kernel, KernelError};
use super::ledger::Kept;
use super::line::{Around, Change, Decision, Over, Phase, Refused};
use super::{Table, translate};
use crate::manager::whole::Orders;
use crate::plan;
use crate::reconcile::words;
use crate::reconcile::{Failing, Report, Rest};
use crate::record::{Action, Reason, Record, Role, State};

/// What is refused is tried again after this time, or when its key changes.
const REFUSED: Duration = Duration::from_mins(2);
/// Every so many resyncs read everything, not the text only.
const SWEEPS: u32 = 12;
/// What happens by itself within this time is waited for (`--once`).
const SOON: Duration = Duration::from_mins(1);
/// More services than this are not looked at one by one.
const FEW: usize = 32;
/// A decision is followed by the next one until there is nothing to do; with
/// an honest kernel that is the third.
const ROUNDS: usize = 8;

type Decisions = BTreeMap<ServiceKey, Decision>;
type Refusals = Vec<(Change, CommandError)>;

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
        }
        self.lines.take_in(orders, &self.parts.ledger, now);
        if self.lines.is_empty() {
            // Whoever has no virtual service needs no kernel that has them.
            self.image = None;
            self.settle_around(false).await;
            return Ok(None);
        }
        self.lines.mind_the_time(now);
        if self.image.is_none() {
            let entries = self.parts.kernel.ask(Kernel::table).await?;
            self.image = Some(Image::new(entries));
            self.lines.all_due();
        }
        self.mind_the_silent();
        self.count_connections().await?;
        self.settle(orders).await?;
        self.settle_around(is_resync).await;
        if self.complaint.is_over() {
            tracing::info!("virtual services are brought in line with the tree again");
        }
        self.finish(orders);
        self.hold();
        self.report_refused(orders);
        let now = self.parts.clock.now();
        Ok(self.lines.next_look().map(|at| until(at, now)))
    }

    /// At a resync the text is compared with what is known; what differs, and
    /// now and then everything, is read anew.
    async fn look_for_drift(&mut self, orders: &Orders) -> Result<bool, Failing> {
        if std::mem::replace(&mut self.resync, orders.resync) == orders.resync {
            return Ok(false);
        }
        self.sweeps = (self.sweeps + 1) % SWEEPS;
        let known = match &self.image {
            Some(image) if self.sweeps != 0 => image,
            _ => {
                self.image = None;
                return Ok(true);
            }
        };
        let text = self.parts.kernel.ask(Kernel::sweep).await?;
        if known.differs(&text) {
            self.image = None;
        }
        Ok(true)
    }

    /// Who of those that are held does not answer may have changed.
    fn mind_the_silent(&mut self) {
        let silent = self.silent.borrow_and_update().clone();
        let held: Vec<ServiceKey> = self
            .lines
            .iter()
            .filter(|line| {
                let mut withheld = line
                    .record
                    .withheld
                    .keys()
                    .filter_map(translate::server_key);
                withheld.any(|server| silent.contains(&server.0))
            })
            .map(|line| line.key)
            .collect();
        self.lines.due.extend(held);
    }

    /// How many connections those have left that are on their way out.
    async fn count_connections(&mut self) -> Result<(), Failing> {
        let draining: Vec<ServiceKey> = self
            .lines
            .due
            .iter()
            .filter(|key| {
                let line = self.lines.get(key);
                let mut members = line
                    .into_iter()
                    .flat_map(|line| line.record.members.values());
                members.any(|known| known.quiesced_at.is_some())
            })
            .copied()
            .collect();
        if draining.is_empty() {
            return Ok(());
        }
        let counts = if draining.len() > FEW {
            let text = self.parts.kernel.ask(Kernel::sweep).await?;
            counts_of_text(&draining, &text)
        } else {
            self.counts_one_by_one(draining).await?
        };
        if let Some(image) = &mut self.image {
            for (key, active) in &counts {
                image.count(key, active);
            }
        }
        Ok(())
    }

    async fn counts_one_by_one(&self, keys: Vec<ServiceKey>) -> Result<Counts, KernelError> {
        let ask = move |kernel: &mut K| {
            let counted = keys.into_iter().map(|key| {
                let servers = kernel.servers(&key)?.into_iter();
                let active = servers.map(|server| (server.key, server.connections.active));
                Ok((key, active.collect()))
            });
            counted.collect()
        };
        self.parts.kernel.ask(ask).await
    }

    /// Decides and does until there is nothing left to do now.
    async fn settle(&mut self, orders: &Orders) -> Result<(), Failing> {
        for _ in 0..ROUNDS {
            let due = std::mem::take(&mut self.lines.due);
            if due.is_empty() {
                break;
            }
            let decisions = self.decide(&due, orders);
            let mut changes: Vec<Change> = decisions
                .values()
                .flat_map(|decision| decision.changes.iter().cloned())
                .collect();
            changes.sort_by_key(|change| change.phase);
            if self.parts.settings.dry_run {
                self.pretend(&changes);
                self.report(&decisions);
                return Ok(());
            }
            self.note_whose(&decisions, &changes)?;
            let acted: BTreeSet<ServiceKey> = changes
                .iter()
                .map(|change| *change.command.service())
                .collect();
            let refusals = self.tell(changes).await;
            self.note_refusals(refusals);
            if self.image.is_none() {
                return Err(lost());
            }
            self.report(&decisions);
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

    fn decide(&mut self, due: &BTreeSet<ServiceKey>, orders: &Orders) -> Decisions {
        let silent = self.silent.borrow().clone();
        let mut decisions = Decisions::new();
        for key in due {
            let own = self
                .lines
                .get(key)
                .is_some_and(|line| self.lines.is_own(line));
            let Some(line) = self.lines.get_mut(key) else {
                continue;
            };
            let silent = silent_members(line.record.withheld.keys(), &silent);
            let around = Around {
                now: self.parts.clock.now(),
                general: orders.general.as_deref(),
                release: line.release(orders),
                frozen: orders.frozen.as_deref(),
                hold: self.parts.settings.hold,
                settle: self.parts.settings.settle,
                own,
                ours: self.parts.ledger.has(key),
                made: self.parts.ledger.made(key),
                present: self.image.as_ref().and_then(|image| image.get(key)),
                silent: &silent,
            };
            line.record.manager = self.parts.settings.host.to_string();
            let decision = line.decide(&around);
            if line.refused.is_empty() && line.service_refused.is_none() {
                line.record.error = None;
            }
            match decision.over {
                Some(over) => self.lines.ending.insert(*key, over),
                None => self.lines.ending.remove(key),
            };
            decisions.insert(*key, decision);
        }
        decisions
    }

    /// Before the kernel is told: whose the services are that are made, and
    /// those that the tree lists.
    fn note_whose(&mut self, decisions: &Decisions, changes: &[Change]) -> Result<(), Failing> {
        let made: BTreeSet<ServiceKey> = changes
            .iter()
            .filter(|change| change.phase == Phase::AddService)
            .map(|change| *change.command.service())
            .collect();
        let listed = decisions.iter().filter(|(key, decision)| {
            let present = self.image.as_ref().and_then(|image| image.get(key));
            present.is_some() && !decision.desired.is_empty()
        });
        let ours = listed.map(|(key, _)| key).chain(&made);
        let lines = &self.lines;
        let ours = ours.filter_map(|key| {
            let id = lines.get(key)?.id().clone();
            let is_adopted = !made.contains(key);
            Some((*key, Kept { id, is_adopted }))
        });
        let ours: Vec<_> = ours.collect();
        self.parts.ledger.add(ours).map_err(|error| Failing {
            words: format!("{error}; nothing is done without it"),
            class: "state",
            is_temporary: true,
        })
    }

    /// Has the kernel do it, and notes what came of it. Gives what was refused.
    async fn tell(&mut self, changes: Vec<Change>) -> Refusals {
        if changes.is_empty() {
            return Refusals::new();
        }
        let commands: Vec<Command> = changes.iter().map(|change| change.command).collect();
        let outcomes = self
            .parts
            .kernel
            .ask(move |kernel| kernel.execute(&commands))
            .await;
        let now = self.parts.clock.now();
        let mut refusals = Refusals::new();
        let mut done: BTreeMap<(ServiceKey, Action, Option<Reason>), Vec<MemberId>> =
            BTreeMap::new();
        for (change, outcome) in changes.into_iter().zip(outcomes) {
            if let Err(error) = outcome {
                refusals.push((change, error));
                continue;
            }
            if let Some(image) = &mut self.image {
                image.apply(&change.command);
            }
            if let Some(around) = &mut self.around {
                around.is_due = true;
            }
            let key = *change.command.service();
            if let Some(line) = self.lines.get_mut(&key) {
                line.done(&change, now);
            }
            let action = match (change.phase, change.reason) {
                (Phase::Add, _) => Action::Register,
                (_, Some(_)) => Action::Deregister,
                _ => continue,
            };
            let members = done.entry((key, action, change.reason)).or_default();
            members.extend(change.member);
        }
        for ((key, action, reason), members) in done {
            if let Some(line) = self.lines.get_mut(&key) {
                let names = words::list(&members);
                match reason {
                    None => tracing::info!("{}: added {names}", line.id()),
                    Some(reason) => {
                        tracing::info!("{}: no new connections for {names}: {reason}", line.id());
                    }
                }
                line.record.changed(now, action, &members, reason);
            }
        }
        refusals
    }

    /// An answer that was lost, or makes no sense of what is known, means that
    /// the table has to be read again.
    fn note_refusals(&mut self, refusals: Refusals) {
        let now = self.parts.clock.now();
        let again = plan::after(now, REFUSED);
        for (change, error) in refusals {
            let Some(line) = self.lines.get_mut(change.command.service()) else {
                continue;
            };
            // Of a service that was refused itself nothing else is known.
            if is_outdated(&error) && line.service_refused.is_none() {
                self.image = None;
                continue;
            }
            let words = format!("cannot {}: {error}", change.command);
            match &change.member {
                None => line.service_refused = Some(again),
                // The service itself was refused, which is said once.
                Some(_) if line.service_refused.is_some() => continue,
                Some(member) => {
                    let known = line.record.members.entry(member.clone()).or_default();
                    let mod_revision = known.mod_revision;
                    let refused = Refused {
                        again,
                        mod_revision,
                    };
                    line.refused.insert(member.clone(), refused);
                    known.detail = Some(words.clone());
                    if change.phase == Phase::Add {
                        known.state = State::Rejected;
                    }
                }
            }
            tracing::warn!("{}: {words}", line.id());
            line.record.failed_with(now, words);
        }
    }

    fn report(&mut self, decisions: &Decisions) {
        for (key, decision) in decisions {
            let Some(line) = self.lines.get(key) else {
                continue;
            };
            let members = line.record.members.values();
            let serving = members
                .clone()
                .filter(|known| known.state == State::Serving)
                .count();
            let all_in = members
                .clone()
                .all(|known| known.wanted != Role::Serve || known.state == State::Serving);
            let error = line.record.error.as_ref();
            let soon = plan::after(self.parts.clock.now(), SOON);
            let looks_soon = line.look_at.is_some_and(|at| at <= soon);
            let changes = !decision.changes.is_empty();
            let drains = members.clone().any(|known| known.state == State::Draining);
            let is_held = decision.desired.blocked.is_some() && drains;
            let free = line.record.withheld.is_empty() && error.is_none();
            let rest = if looks_soon || (changes && !self.parts.settings.dry_run) {
                Rest::Busy
            } else if all_in && free && !changes && !is_held {
                Rest::InSync
            } else {
                Rest::Stuck
            };

            let report = Report {
                rest,
                desired: decision.desired.members.len(),
                serving,
                withheld: line.record.withheld.len(),
                released: line.record.released,
                error: error.map(|error| (error.what.clone(), "kernel")),
                ..Report::default()
            };
            for id in &line.ids {
                self.parts.board.report(id, report.clone());
                if !self.parts.settings.dry_run && decision.over.is_none() {
                    self.outbox.write(id, line.record.to_json());
                }
            }
        }
    }

    /// Of regions whose word on a virtual service does not count.
    fn report_refused(&mut self, orders: &Orders) {
        for (id, why) in &self.lines.refused {
            let report = Report {
                rest: Rest::Stuck,
                error: Some((why.clone(), "config")),
                released: orders.releases.view.of(id),
                ..Report::default()
            };
            self.parts.board.report(id, report);
            if !self.parts.settings.dry_run {
                let tree = orders.balancers.get(id);
                let record = Record {
                    revision: tree.map_or(Revision::default(), |tree| tree.revision),
                    manager: self.parts.settings.host.to_string(),
                    problems: vec![why.clone()],
                    ..Record::default()
                };
                self.outbox.write(id, record.to_json());
            }
        }
    }

    /// Lets go what is not managed any more, once it is remembered that its
    /// status is deleted on purpose.
    fn finish(&mut self, orders: &Orders) {
        for (key, over) in self.lines.ending.clone() {
            let Some(line) = self.lines.get(&key) else {
                continue;
            };
            let ids = line.ids.clone();
            let mut waits = false;
            let pretends = self.parts.settings.dry_run;
            for id in ids.iter().filter(|id| !pretends && self.outbox.has(id)) {
                if !orders.may_forget.contains(id) {
                    self.parts.board.forgetting(id);
                    waits = true;
                }
            }
            if waits {
                continue;
            }
            if let Err(error) = self.parts.ledger.remove(&key) {
                if self.complaint.is_due(&error.to_string()) {
                    tracing::error!("what is not managed any more cannot be forgotten: {error}");
                }
                return;
            }
            for id in &ids {
                if !pretends && self.outbox.has(id) {
                    self.outbox.delete(id);
                }
                self.parts.board.forgotten(id);
                let why = match over {
                    Over::Gone => "the tree has no member of it",
                    Over::LeftAlone => "it is left as it is",
                };
                tracing::info!("{id}: no longer managed, {why}");
            }
            self.lines.forget(&key);
        }
    }

    /// Tells the probes whom to ask: who is held in a region that other hosts
    /// serve as well.
    fn hold(&mut self) {
        let held: BTreeSet<SocketAddr> = self
            .lines
            .iter()
            .filter(|line| is_tcp(&line.key))
            .flat_map(|line| &line.record.withheld)
            .filter(|(_, held)| matches!(held.reason, Reason::LeaseEnded | Reason::Unknown))
            .filter_map(|(member, _)| Some(translate::server_key(member)?.0))
            .collect();
        self.held.send_if_modified(|asked| {
            let news = *asked != held;
            *asked = held;
            news
        });
    }

    fn pretend(&mut self, changes: &[Change]) {
        let lines: BTreeSet<String> = changes
            .iter()
            .map(|change| {
                let why = change.reason.map(|reason| format!(": {reason}"));
                format!("{}{}", change.command, why.unwrap_or_default())
            })
            .collect();
        for line in lines.difference(&self.said) {
            tracing::info!("dry run: would {line}");
        }
        self.said = lines;
    }
}

/// Others do not answer a TCP connect, however well they are.
fn is_tcp(key: &ServiceKey) -> bool {
    matches!(
        key,
        ServiceKey::Address {
            protocol: ipvs::Protocol::Tcp,
            ..
        }
    )
}

type Counts = BTreeMap<ServiceKey, BTreeMap<DestinationKey, u32>>;

fn counts_of_text(keys: &[ServiceKey], text: &[proc::Service]) -> Counts {
    let text: BTreeMap<proc::Key, &proc::Service> =
        text.iter().map(|service| (service.key, service)).collect();
    let counted = keys.iter().filter_map(|key| {
        let servers = text.get(&key.into())?.destinations.iter();
        Some((
            *key,
            servers.map(|server| (server.key, server.active)).collect(),
        ))
    });
    counted.collect()
}

fn silent_members<'a>(
    members: impl Iterator<Item = &'a MemberId>,
    silent: &BTreeSet<SocketAddr>,
) -> BTreeSet<MemberId> {
    let is_silent = |member: &&MemberId| {
        translate::server_key(member).is_some_and(|server| silent.contains(&server.0))
    };
    members.filter(is_silent).cloned().collect()
}

/// Whether the answer says that the table is not what it was taken for.
fn is_outdated(error: &CommandError) -> bool {
    use ipvs::Refusal;
    match error {
        CommandError::Unknown(_) | CommandError::NotSent(_) => true,
        CommandError::Refused(refusal) => {
            matches!(
                refusal,
                Refusal::Exists | Refusal::NoSuchService | Refusal::NoSuchDestination
            )
        }
        CommandError::Invalid(_) => false,
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
