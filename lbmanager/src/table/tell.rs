//! Tells the kernel, and notes what came of it.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::{Command, CommandError, ServiceKey};
use jiff::Timestamp;
use presence::model::MemberId;
use presence::store::Store;
use tokio::time::Instant;

use super::Table;
use super::kernel::Kernel;
use super::ledger::Kept;
use super::line::{Change, Phase, Refused};
use super::pass::Verdicts;
use crate::reconcile::words;
use crate::record::{Action, Reason, State};

/// What was refused, and why.
pub(super) type Refusals = Vec<(Change, CommandError)>;

/// Members that came, or are on their way out.
type Done = BTreeMap<(ServiceKey, Action, Option<Reason>), Vec<MemberId>>;

/// As many commands go to the kernel at once: more are not quicker, and take
/// memory.
const AT_ONCE: usize = 4096;

impl<S: Store, K: Kernel> Table<S, K> {
    /// Writes to the ledger which services are about to be created, and which
    /// the tree lists. Returns the changes that may be made: a service that is
    /// not in the ledger is not created.
    pub(super) fn note_whose(
        &mut self,
        verdicts: &mut Verdicts,
        changes: Vec<Change>,
    ) -> Vec<Change> {
        let made: BTreeSet<ServiceKey> = changes
            .iter()
            .filter(|change| change.phase == Phase::AddService)
            .map(|change| *change.command.service())
            .collect();
        let listed = verdicts.iter().filter(|(key, verdict)| {
            let present = self.image.as_ref().and_then(|image| image.get(key));
            present.is_some() && !verdict.is_empty
        });
        let ours = listed.map(|(key, _)| key).chain(&made);
        let lines = &self.lines;
        let ours = ours.filter_map(|key| {
            let id = lines.get(key)?.id().clone();
            let is_adopted = !made.contains(key);
            Some((*key, Kept { id, is_adopted }))
        });
        let ours: Vec<_> = ours.collect();
        let keys: Vec<ServiceKey> = ours.iter().map(|(key, _)| *key).collect();
        let Err(error) = self.parts.ledger.add(ours) else {
            for key in &keys {
                self.unwritten.remove(key);
            }
            return changes;
        };
        self.unwritten.extend(keys);
        let now = self.parts.clock.now();
        for key in &made {
            if let Some(verdict) = verdicts.get_mut(key) {
                verdict.changes = false;
            }
            if let Some(line) = self.lines.get_mut(key) {
                let words = format!("not created, because {error}");
                line.record_mut().failed_with(now, words);
            }
        }
        let mut changes = changes;
        changes.retain(|change| !made.contains(change.command.service()));
        changes
    }

    /// Writes what the ledger has not on disk yet, and reports if that fails.
    pub(super) fn save_ledger(&mut self) {
        let saved = self.parts.ledger.save();
        match saved {
            Err(error) if self.ledger_complaint.is_due(&error.to_string()) => tracing::warn!(
                "{error}; it is retried. Until then no new virtual service is created; the others \
                 are managed as usual"
            ),
            Ok(()) if self.ledger_complaint.is_over() => {
                tracing::info!("the state directory can be written again");
            }
            Err(_) | Ok(()) => {}
        }
    }

    /// Services that the ledger could not be told of are due when the next
    /// attempt is.
    pub(super) fn mind_the_unwritten(&mut self) {
        let retry_at = self.parts.ledger.retry_at();
        if retry_at.is_none_or(|at| at <= Instant::now()) {
            self.lines.due.append(&mut self.unwritten);
        }
    }

    /// Has the kernel do it, and notes what came of it. Gives what was refused.
    pub(super) async fn tell(&mut self, changes: &[Change]) -> Refusals {
        let mut outcomes = Vec::new();
        for changes in changes.chunks(AT_ONCE) {
            let commands: Vec<Command> = changes.iter().map(|change| change.command).collect();
            let execute = move |kernel: &mut K| kernel.execute(&commands);
            outcomes.extend(self.parts.kernel.ask(execute).await);
        }
        let now = self.parts.clock.now();
        let mut refusals = Refusals::new();
        let mut done = Done::new();
        for (change, outcome) in changes.iter().zip(outcomes) {
            match outcome {
                Ok(()) => self.note_done(change, now, &mut done),
                Err(error) => refusals.push((change.clone(), error)),
            }
        }
        self.note_members(done, now);
        refusals
    }

    fn note_done(&mut self, change: &Change, now: Timestamp, done: &mut Done) {
        if let Some(image) = &mut self.image {
            image.apply(&change.command);
        }
        if let Some(network) = &mut self.network {
            network.dirty = true;
        }
        let key = *change.command.service();
        if let Some(line) = self.lines.get_mut(&key) {
            line.done(change, now);
        }
        let action = match (change.phase, change.reason) {
            (Phase::Add, _) => Action::Register,
            (_, Some(_)) => Action::Deregister,
            _ => return,
        };
        let members = done.entry((key, action, change.reason)).or_default();
        members.extend(change.member.clone());
    }

    /// Who came and who is on his way out, said for each service once.
    fn note_members(&mut self, done: Done, now: Timestamp) {
        for ((key, action, reason), members) in done {
            let Some(line) = self.lines.get_mut(&key) else {
                continue;
            };
            let names = words::list(&members);
            match reason {
                None => tracing::info!("{}: added {names}", line.id()),
                Some(reason) => {
                    tracing::info!("{}: no new connections for {names}: {reason}", line.id());
                }
            }
            line.record_mut().changed(now, action, &members, reason);
        }
    }

    /// An answer that was lost, or makes no sense of what is known, means that
    /// the table has to be read again.
    pub(super) fn note_refusals(&mut self, refusals: Refusals) {
        let now = self.parts.clock.now();
        for (change, error) in refusals {
            let Some(line) = self.lines.get_mut(change.command.service()) else {
                continue;
            };
            // Of a service that was refused itself nothing else is known.
            if is_outdated(&error) && line.service_refused.is_none() {
                self.image = None;
                continue;
            }
            let words = refused(&change.command, &error);
            match &change.member {
                None => {
                    let refused = line.service_refused.get_or_insert(Refused::new(None));
                    refused.repeat(now);
                }
                // The service itself was refused, which is said once.
                Some(_) if line.service_refused.is_some() => continue,
                Some(member) => {
                    let members = &mut line.record_mut().members;
                    let known = members.entry(member.clone()).or_default();
                    known.detail = Some(words.clone());
                    if change.phase == Phase::Add {
                        known.state = State::Rejected;
                    }
                    let mod_revision = known.mod_revision;
                    let refused = line.refused.entry(member.clone());
                    let refused = refused.or_insert_with(|| Refused::new(mod_revision));
                    refused.repeat(now);
                }
            }
            tracing::warn!("{}: {words}", line.id());
            line.record_mut().failed_with(now, words);
        }
    }

    pub(super) fn pretend(&mut self, changes: &[Change]) {
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

/// The message of a command that failed.
fn refused(command: &Command, error: &CommandError) -> String {
    match (command, error) {
        (
            Command::AddService { config, .. } | Command::EditService { config, .. },
            CommandError::Refused(ipvs::Refusal::NoSuchScheduler),
        ) => format!(
            "cannot {command}: {error}: scheduler {:?}, module ip_vs_{}",
            config.scheduler.as_str(),
            config.scheduler.as_str()
        ),
        _ => format!("cannot {command}: {error}"),
    }
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
