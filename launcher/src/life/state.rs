//! From what is so to what is to be done: the way up.

use presence::process::words::chain;
use tokio::time::Instant;

use super::{Action, Done, Exit, Facts, Health, OWN_FAILURE, Phase, Publish, Step, Terms};
use crate::definition::PullPolicy;
use crate::runtime::{Container, Ours, RuntimeError, State};

/// What a program was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    ToEnd,
    Killed,
}

/// The life of one instance.
#[derive(Debug, Clone)]
pub struct Life {
    pub(super) terms: Terms,
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) since: Instant,
    /// The container, once it was made or adopted.
    pub(super) ours: Option<Ours>,
    /// Whether the image is to be pulled, or has been.
    pulled: bool,
    /// What its program was told.
    pub(super) told: Told,
    ready: bool,
    /// Why the withdrawal was not confirmed.
    pub(super) unconfirmed: Option<String>,
    /// The first thing that went wrong, or how the container ended.
    pub(super) exit: Option<Exit>,
}

impl Life {
    /// One that begins now.
    pub fn new(terms: Terms, now: Instant) -> Self {
        Self {
            terms,
            phase: Phase::Image,
            since: now,
            ours: None,
            pulled: false,
            told: Told::Nothing,
            ready: false,
            unconfirmed: None,
            exit: None,
        }
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The container, once it was made or adopted.
    pub fn ours(&self) -> Option<&Ours> {
        self.ours.as_ref()
    }

    /// Why the withdrawal was not confirmed, once its time was over: connections may still come, so
    /// the whole drain is waited for.
    pub fn unconfirmed(&self) -> Option<&str> {
        self.unconfirmed.as_deref()
    }

    /// What is to be so. Each call moves on as far as the facts let it.
    pub fn step(&mut self, facts: &Facts) -> Step {
        self.look_after(facts);
        loop {
            let before = self.phase;
            let action = self.advance(facts);
            if action.is_some() || self.phase == before {
                return self.said(facts, action);
            }
        }
    }

    /// What became of the last action. One that failed is done again where that may help.
    pub fn done(&mut self, action: &Action, result: Result<Done, RuntimeError>, now: Instant) {
        match result {
            Ok(Done::Created(ours)) => {
                self.ours = Some(ours);
                self.enter(Phase::Start, now);
            }
            Ok(Done::Other) => self.carried_out(action, now),
            // Docker is waited for: what is so is asked again when it is back.
            Err(RuntimeError::Unreachable { .. }) => {}
            // Whether it ends is seen, and removing it is by force.
            Err(_) if matches!(action, Action::Terminate(_) | Action::Kill(_)) => {
                self.carried_out(action, now);
            }
            Err(error) => {
                let code = match &error {
                    RuntimeError::Command { code, .. } => *code,
                    _ => OWN_FAILURE,
                };
                self.fail(code, chain(&error));
                let next = match action {
                    Action::Remove(_) => Phase::Exit,
                    _ => Phase::Remove,
                };
                self.enter(next.max(self.phase), now);
            }
        }
    }

    fn carried_out(&mut self, action: &Action, now: Instant) {
        match action {
            Action::Pull => {
                self.pulled = true;
                self.enter(Phase::Container, now);
            }
            Action::Start(_) => self.enter(Phase::Healthy, now),
            Action::Terminate(_) => self.tell(Told::ToEnd, now),
            Action::Kill(_) => self.tell(Told::Killed, now),
            Action::Create | Action::Remove(_) => {}
        }
    }

    /// What it was told last has the whole grace period.
    fn tell(&mut self, told: Told, now: Instant) {
        self.told = told;
        self.since = now;
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }

    /// Only the first counts: what follows is because of it.
    pub(super) fn fail(&mut self, code: u8, message: String) {
        let message = Some(message);
        self.exit.get_or_insert(Exit { code, message });
    }

    /// What may happen in any phase.
    fn look_after(&mut self, facts: &Facts) {
        if facts.stop && self.phase < Phase::Withdraw {
            self.leave(facts);
        }
        // Docker did not answer when it was told to end.
        if self.ours.is_none() && (Phase::Withdraw..=Phase::Stop).contains(&self.phase) {
            self.ours = self.adoptable(facts);
        }
        let may_end = (Phase::Healthy..=Phase::Drain).contains(&self.phase);
        let has_container = may_end && self.ours.is_some();
        let Some(containers) = facts.containers.as_ref().filter(|_| has_container) else {
            return;
        };
        let ended = match find(containers, self.ours.as_ref()) {
            None => {
                let message = "the container is gone: somebody removed it".to_owned();
                self.fail(OWN_FAILURE, message);
                true
            }
            Some(container) => self.has_ended(container, facts),
        };
        if ended && self.phase < Phase::Withdraw {
            self.leave(facts);
        }
    }

    fn has_ended(&mut self, container: &Container, facts: &Facts) -> bool {
        let State::Exited(exit) = &container.state else {
            return false;
        };
        if self.phase < Phase::Withdraw {
            let why = if exit.out_of_memory {
                ": memory was short"
            } else {
                ""
            };
            let message = format!("the container ended with {}{why}", exit.code);
            let is_wanted = exit.code == 0 && self.ready;
            let message = (!is_wanted).then(|| with_lines(&message, &facts.last_lines));
            let code = exit.code;
            self.exit.get_or_insert(Exit { code, message });
        }
        true
    }

    /// The way out, from wherever it is: what was published is withdrawn first.
    pub(super) fn leave(&mut self, facts: &Facts) {
        if self.ours.is_none() {
            self.ours = self.adoptable(facts);
        }
        let is_published = self.phase >= Phase::Publish || facts.keys.present > 0;
        let next = if is_published {
            Phase::Withdraw
        } else {
            Phase::Stop
        };
        self.enter(next, facts.now);
    }

    /// One step on, or the action that is in the way of it.
    fn advance(&mut self, facts: &Facts) -> Option<Action> {
        match self.phase {
            Phase::Image => self.image(facts),
            Phase::Container => self.container(facts),
            Phase::Start => {
                facts.containers.as_ref()?;
                self.ours.clone().map(Action::Start)
            }
            Phase::Healthy | Phase::Publish | Phase::Running => {
                self.serve(facts);
                None
            }
            _ => self.end(facts),
        }
    }

    fn image(&mut self, facts: &Facts) -> Option<Action> {
        let is_here = facts.image?;
        let wanted = match self.terms.pull {
            PullPolicy::Always => !self.pulled,
            PullPolicy::Missing => !is_here,
            PullPolicy::Never => false,
        };
        // A container that runs already needs no image.
        if wanted && self.adoptable(facts).is_none() {
            return Some(Action::Pull);
        }
        self.enter(Phase::Container, facts.now);
        None
    }

    fn container(&mut self, facts: &Facts) -> Option<Action> {
        let containers = facts.containers.as_ref()?;
        let adopted = self.adoptable(facts);
        let remains = |(ours, _): &&(Ours, Container)| Some(ours) != adopted.as_ref();
        if let Some((ours, _)) = containers.iter().find(remains) {
            return Some(Action::Remove(ours.clone()));
        }
        let Some(adopted) = adopted else {
            return Some(Action::Create);
        };
        self.ours = Some(adopted);
        self.enter(Phase::Healthy, facts.now);
        None
    }

    /// What runs of the same definition since an earlier life.
    fn adoptable(&self, facts: &Facts) -> Option<Ours> {
        let is_same = |(_, container): &&(Ours, Container)| {
            container.is_up()
                && container
                    .revision()
                    .is_some_and(|revision| revision.is_same_definition(self.terms.revision))
        };
        let found = facts.containers.as_ref()?.iter().find(is_same);
        found.map(|(ours, _)| ours.clone())
    }

    fn serve(&mut self, facts: &Facts) {
        // Whoever would say that it is served cannot: that is no reason to end what is healthy.
        if self.phase == Phase::Publish && facts.keys.away {
            self.since = facts.now;
        }
        let is_late = self.is_over(facts.now);
        let late =
            |what: &str, terms: std::time::Duration| format!("it was not {what} in {terms:?}");
        match (self.phase, &facts.health) {
            (_, Health::Dead(answer)) => self.give_up(facts, &format!("it is dead: {answer}")),
            (Phase::Healthy, Health::Up) => self.enter(Phase::Publish, facts.now),
            (Phase::Healthy, health) if is_late => {
                let mut message = late("healthy", self.terms.start_timeout);
                if let Health::Down(answer) = health {
                    message += &format!("; the last probe's answer: {answer}");
                }
                self.give_up(facts, &message);
            }
            (Phase::Publish, Health::Up) if facts.keys.served => {
                self.ready = true;
                self.enter(Phase::Running, facts.now);
            }
            (Phase::Publish, _) if is_late => {
                let mut message = late("served", self.terms.publish_timeout);
                if let Health::Down(answer) = &facts.health {
                    message += &format!("; the last probe's answer: {answer}");
                }
                if !facts.keys.words.is_empty() {
                    message += &format!("; {}", facts.keys.words);
                }
                self.give_up(facts, &message);
            }
            _ => {}
        }
    }

    fn give_up(&mut self, facts: &Facts, message: &str) {
        self.fail(OWN_FAILURE, with_lines(message, &facts.last_lines));
        self.leave(facts);
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.since + self.phase.limit(&self.terms)?)
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    fn said(&self, facts: &Facts, action: Option<Action>) -> Step {
        let deadline = self.deadline();
        let left = deadline.map_or_else(Default::default, |deadline| deadline - facts.now);
        let publish = match (self.phase, &facts.health) {
            (Phase::Image | Phase::Container | Phase::Start | Phase::Healthy, _) => Publish::AsIs,
            (Phase::Publish | Phase::Running, Health::Down(_)) => Publish::NotReady,
            (Phase::Publish | Phase::Running, _) => Publish::Ready,
            _ => Publish::Nothing,
        };
        let over = self.phase == Phase::Exit;
        let mut status = self.phase.words(&self.terms, facts, left);
        if let (Phase::Drain, Some(why)) = (self.phase, &self.unconfirmed) {
            status += &format!("; not confirmed: {why}");
        }
        Step {
            action,
            publish,
            ready: self.ready,
            status,
            // What is over already waits for something else.
            deadline: deadline.filter(|deadline| *deadline > facts.now),
            exit: over.then(|| self.exit.clone().unwrap_or_else(Exit::well)),
        }
    }
}

pub(super) fn find<'a>(
    containers: &'a [(Ours, Container)],
    ours: Option<&Ours>,
) -> Option<&'a Container> {
    let found = containers.iter().find(|(one, _)| Some(one) == ours);
    found.map(|(_, container)| container)
}

fn with_lines(message: &str, last_lines: &str) -> String {
    if last_lines.is_empty() {
        return format!("{message}; it wrote nothing");
    }
    format!("{message}; its last lines:\n{last_lines}")
}
