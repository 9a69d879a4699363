//! Tells the kernel, and notes what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipvs::{Command, CommandError, ServiceKey};
use presence::model::MemberId;
use presence::store::Store;

use super::Table;
use super::kernel::Kernel;
use super::ledger::Kept;
use super::line::{Change, Phase, Refused};
use super::pass::Decisions;
use crate::plan;
use crate::reconcile::{Failing, words};
use crate::record::{Action, Reason, State};

/// What was refused, and why.
pub(super) type Refusals = Vec<(Change, CommandError)>;

/// What is refused is tried again after this time, or when its key changes.
const REFUSED: Duration = Duration::from_mins(2);

impl<S: Store, K: Kernel> Table<S, K> {
    /// Before the kernel is told: whose the services are that are made, and
    /// those that the tree lists.
    pub(super) fn note_whose(
        &mut self,
        decisions: &Decisions,
        changes: &[Change],
    ) -> Result<(), Failing> {
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
    pub(super) async fn tell(&mut self, changes: Vec<Change>) -> Refusals {
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
    pub(super) fn note_refusals(&mut self, refusals: Refusals) {
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
