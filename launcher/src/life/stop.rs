//! From what is so to what is to be done: the way out.

use std::time::Duration;

use super::state::{Told, find};
use super::{Action, Facts, Life, OWN_FAILURE, Phase};

/// A Docker that does not answer is waited for so long, beside the grace period. Whoever stops a
/// unit, or a host, does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(30);

impl Life {
    pub(super) fn end(&mut self, facts: &Facts) -> Option<Action> {
        let is_late = self.is_over(facts.now);
        let is_up = self.is_up(facts);
        if self.phase >= Phase::Stop && self.is_given_up(facts) {
            let message = format!(
                "Docker has not answered for {PATIENCE:?}: what runs was not ended; the next start \
                 looks after it"
            );
            self.fail(OWN_FAILURE, message);
            self.enter(Phase::Exit, facts.now);
            return None;
        }
        match self.phase {
            // Keys that do not go in time end with their lease.
            Phase::Withdraw if facts.keys.present == 0 || is_late => self.pass(facts),
            // Nobody has a connection to what does not run.
            Phase::Confirm if facts.keys.withdrawn || is_late || is_up == Some(false) => {
                if is_up != Some(false) {
                    self.unconfirmed = why_unconfirmed(facts);
                }
                self.pass(facts);
            }
            Phase::Drain if self.is_drained(facts) || is_late || is_up == Some(false) => {
                self.pass(facts);
            }
            Phase::Stop => return self.stop(facts, is_up, is_late),
            Phase::Remove => return self.remove(facts),
            _ => {}
        }
        None
    }

    /// Connections that may still come are not counted.
    fn is_drained(&self, facts: &Facts) -> bool {
        let is_over = facts.drained || facts.connections == Some(0);
        is_over && self.unconfirmed.is_none()
    }

    fn is_given_up(&self, facts: &Facts) -> bool {
        let patience = self.terms.grace + PATIENCE;
        facts.containers.is_none() && facts.now >= self.since + patience
    }

    fn pass(&mut self, facts: &Facts) {
        let next = match self.phase {
            Phase::Withdraw => Phase::Confirm,
            Phase::Confirm => Phase::Drain,
            _ => Phase::Stop,
        };
        self.enter(next, facts.now);
    }

    /// `None` where Docker does not answer.
    fn is_up(&self, facts: &Facts) -> Option<bool> {
        let found = find(facts.containers.as_ref()?, self.ours.as_ref());
        Some(found.is_some_and(crate::runtime::Container::is_up))
    }

    fn stop(&mut self, facts: &Facts, is_up: Option<bool>, is_late: bool) -> Option<Action> {
        let ours = self.ours.clone();
        match (is_up, self.told) {
            (Some(true), Told::Nothing) => ours.map(Action::Terminate),
            (Some(true), Told::ToEnd) if is_late => ours.map(Action::Kill),
            (Some(true), Told::Killed) if is_late => self.by_force(facts),
            (Some(false), _) => self.by_force(facts),
            (Some(true) | None, _) => None,
        }
    }

    /// Also what even SIGKILL did not end.
    fn by_force(&mut self, facts: &Facts) -> Option<Action> {
        self.enter(Phase::Remove, facts.now);
        None
    }

    /// All of this instance: also what was being made when it was told to end.
    fn remove(&mut self, facts: &Facts) -> Option<Action> {
        let containers = facts.containers.as_ref()?;
        if let Some((ours, _)) = containers.first() {
            return Some(Action::Remove(ours.clone()));
        }
        self.enter(Phase::Exit, facts.now);
        None
    }
}

/// `None`: it is confirmed.
fn why_unconfirmed(facts: &Facts) -> Option<String> {
    let keys = &facts.keys;
    if keys.withdrawn {
        return keys.kept.clone();
    }
    let why = match keys.words.as_str() {
        "" if keys.away => "etcd does not answer",
        "" => "the managers do not answer",
        words => words,
    };
    Some(why.to_owned())
}
