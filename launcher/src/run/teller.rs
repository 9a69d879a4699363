//! What systemd, `/readyz`, the log and etcd are told of a life.

use std::time::Duration;

use presence::process::health::Health;
use presence::process::systemd::Notifier;
use tokio::time::Instant;

use super::driver::Errand;
use crate::instance::{InstanceState, State};
use crate::life::{self, Phase, Publish, Step};

/// systemd is asked for so much time...
const EXTENSION: Duration = Duration::from_secs(30);
/// ...so often, while something takes its time.
const EVERY: Duration = Duration::from_secs(5);

/// Tells of one life.
pub(super) struct Teller {
    health: Health,
    notifier: Notifier,
    phase: Option<Phase>,
    extended: Option<Instant>,
    state: Option<InstanceState>,
}

impl Teller {
    pub(super) fn new(health: Health, notifier: Notifier) -> Self {
        Self {
            health,
            notifier,
            phase: None,
            extended: None,
            state: None,
        }
    }

    /// How it stands. READY is said once, and `/readyz` follows the container's health.
    pub(super) fn tell(&mut self, phase: Phase, step: &Step, errand: Errand) {
        self.words(&step.status);
        if step.ready && step.publish == Publish::Ready {
            self.health.ready();
        } else {
            self.health.not_ready(&step.status);
        }
        if phase >= Phase::Withdraw && errand != Errand::MakeRoom {
            self.notifier.stopping();
        }
        if phase != Phase::Running {
            self.takes_time();
        }
        if self.phase.replace(phase) != Some(phase) {
            tracing::info!("{}", step.status);
        }
    }

    /// For words alone.
    pub(super) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// What is going on.
    pub(super) fn words(&self, words: &str) {
        self.notifier.status(words);
    }

    /// Start or stop goes on.
    pub(super) fn takes_time(&mut self) {
        let now = Instant::now();
        if self.extended.is_none_or(|last| now >= last + EVERY) {
            self.extended = Some(now);
            self.notifier.extend_timeout(EXTENSION);
        }
    }

    /// What is to be in the key of the instance, if that is not what is there.
    pub(super) fn state(&mut self, state: InstanceState) -> Option<InstanceState> {
        let last = self.state.as_ref();
        let since = last.filter(|last| last.state == state.state);
        let state = InstanceState {
            since: since.map_or(state.since, |last| last.since),
            ..state
        };
        let is_news = last != Some(&state);
        self.state = Some(state.clone());
        is_news.then_some(state)
    }
}

/// How an instance is, for those who look at its key.
pub(super) fn state_of(phase: Phase, health: &life::Health) -> State {
    match (phase, health) {
        (Phase::Running, life::Health::Down(_) | life::Health::Dead(_)) => State::Unhealthy,
        (Phase::Running, _) => State::Running,
        (Phase::Withdraw | Phase::Confirm | Phase::Drain, _) => State::Draining,
        (Phase::Stop | Phase::Remove | Phase::Exit, _) => State::Stopping,
        _ => State::Starting,
    }
}
