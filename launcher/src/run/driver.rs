//! Lives a life: looks, steps, does what the step says, and waits until something changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use presence::model::DefinitionRevision;
use presence::process::clock::sleep_until_some;
use presence::process::complaint::Complaint;
use presence::process::health::Heartbeat;
use presence::process::shutdown::Shutdown;
use presence::process::words::chain;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep};

use super::REMINDER;
use super::beside::{Beside, Surroundings};
use super::connections;
use super::ending::Ending;
use super::eyes::{Eyes, known};
use super::teller::{Teller, state_of};
use crate::instance::InstanceState;
use crate::life::{Action, Exit, Facts, Health, Life, NO_DOCKER, Phase, Step, Terms, carry_out};
use crate::publish::{Publication, Standing};
use crate::runtime::{Container, ContainerRuntime, ContainerSpec, Ours};

/// Words that count seconds down, or connections, are said again so often.
const COUNT: Duration = Duration::from_secs(1);
/// So often connections are counted while they are waited for.
const DRAINING: Duration = Duration::from_millis(200);
/// An action that goes on is alive for the watchdog, and systemd is asked for more time.
pub(super) const PULSE: Duration = Duration::from_secs(5);
const PROC: &str = "/proc";
/// Docker may take so long to say what there is to end.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Lives lives of one instance, one after the other.
pub(super) struct Driver<R: ContainerRuntime> {
    pub runtime: R,
    pub spec: ContainerSpec,
    pub surroundings: Surroundings,
    pub publication: Publication,
    pub standing: watch::Receiver<Standing>,
    /// Why it cannot be published as it is to be.
    pub trouble: Option<String>,
    pub teller: Teller,
    pub ending: Ending,
    pub heartbeat: Heartbeat,
    pub shutdown: Shutdown,
}

/// What a life is lived for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// To serve.
    Serve,
    /// To end what is left, so that something else can serve.
    MakeRoom,
    /// To end what is left, and no more.
    End,
}

/// One of them.
struct Living<R> {
    errand: Errand,
    life: Life,
    eyes: Eyes<R>,
    beside: Option<Beside>,
    /// Whether it is to end.
    stop: bool,
    /// Whether what Docker says may have changed.
    is_stale: bool,
}

impl<R: ContainerRuntime> Driver<R> {
    /// Ends what runs of other definitions, and what was being ended already, with all that belongs
    /// to an ordinary stop. Whether it could: it was told to end before Docker answered.
    pub(super) async fn end_others(&mut self, terms: &Terms) -> bool {
        while let Some(containers) = self.listed().await {
            let Some(revision) = other(&containers, terms.revision, &self.ending) else {
                return true;
            };
            tracing::info!("{revision} of an earlier life still runs, and is ended first");
            let terms = Terms {
                revision,
                ..terms.clone()
            };
            let exit = self.live(terms, Errand::MakeRoom).await;
            if let Some(message) = exit.message {
                tracing::warn!("{revision}: {message}");
            }
        }
        false
    }

    /// All containers of this instance. Docker is waited for, when it is told to end not for long.
    async fn listed(&mut self) -> Option<Vec<(Ours, Container)>> {
        let shutdown = self.shutdown.clone();
        let mut over = pin!(async {
            shutdown.triggered().await;
            sleep(LAST_CHANCE).await;
        });
        let mut complaint = Complaint::every(REMINDER);
        loop {
            self.heartbeat.beat();
            self.teller.takes_time();
            let asked = async {
                let answer = known(self.runtime.list(&self.spec.identity)).await;
                if answer.is_err() {
                    self.teller.words(NO_DOCKER);
                    sleep(COUNT).await;
                }
                answer
            };
            // Nothing is lost where the first is dropped.
            let answer = tokio::select! {
                biased;
                answer = asked => answer,
                () = &mut over => return None,
            };
            match answer {
                Ok(containers) => return Some(containers),
                Err(trouble) if complaint.is_due(&trouble) => tracing::warn!("{trouble}"),
                Err(_) => {}
            }
        }
    }

    /// Lives until it is over.
    pub(super) async fn live(&mut self, terms: Terms, errand: Errand) -> Exit {
        let identity = self.spec.identity.clone();
        let mut living = Living {
            errand,
            eyes: Eyes::new(self.runtime.clone(), identity, &terms.image),
            life: Life::new(terms, Instant::now()),
            beside: None,
            stop: errand != Errand::Serve,
            is_stale: true,
        };
        loop {
            self.heartbeat.beat();
            if std::mem::take(&mut living.is_stale) {
                living.eyes.look(&living.life).await;
                self.attend(&mut living).await;
            }
            let facts = self.facts(&living);
            let before = living.life.ours().cloned();
            let was_confirmed = living.life.unconfirmed().is_none();
            let step = living.life.step(&facts);
            if let Some(why) = living.life.unconfirmed().filter(|_| was_confirmed) {
                tracing::warn!(
                    "{why}: waiting the whole drain; requests reach the stopped container until the \
                     health check of the load balancer fails"
                );
            }
            // One that was taken over is to be looked after.
            living.is_stale = living.life.ours() != before.as_ref();
            self.publish(&step, &facts, &living);
            if living.life.phase() >= Phase::Withdraw {
                living.stop_asking();
            }
            self.teller.tell(living.life.phase(), &step, errand);
            match (step.exit, &step.action) {
                (Some(exit), _) => return exit,
                (None, Some(action)) => self.act(action, &mut living).await,
                (None, None) if living.is_stale => {}
                (None, None) => self.wait(step.deadline, &mut living).await,
            }
        }
    }

    /// Sees to what goes on beside the container that it lives in.
    async fn attend(&mut self, living: &mut Living<R>) {
        let Some((ours, container)) = living.container() else {
            return;
        };
        if container.started.is_none() {
            return;
        }
        let beside = living.beside.take();
        let attended = self
            .surroundings
            .attend(&self.runtime, beside, (&ours, &container));
        let beside = living.beside.insert(attended.await);
        if !container.is_up() {
            // What it wrote last belongs to why it ended.
            beside.read_out().await;
        }
    }

    fn facts(&mut self, living: &Living<R>) -> Facts {
        let Standing {
            mut keys, drained, ..
        } = self.standing.borrow_and_update().clone();
        if let Some(trouble) = &self.trouble {
            keys.served = false;
            keys.words.clone_from(trouble);
        }
        let beside = living.beside.as_ref();
        Facts {
            now: Instant::now(),
            stop: living.stop,
            image: living.eyes.image(),
            containers: living.eyes.containers().cloned(),
            health: beside.map_or(Health::Unknown, Beside::health),
            keys,
            connections: self.connections(living),
            drained,
            last_lines: beside.map(Beside::last_lines).unwrap_or_default(),
        }
    }

    /// Counted only when they are waited for, or next.
    fn connections(&self, living: &Living<R>) -> Option<u64> {
        if !(Phase::Withdraw..=Phase::Drain).contains(&living.life.phase()) {
            return None;
        }
        let (ours, _) = living.container()?;
        connections::count(Path::new(PROC), ours.id(), self.surroundings.port()?)
    }

    fn publish(&mut self, step: &Step, facts: &Facts, living: &Living<R>) {
        let container = living.container();
        let container = container.as_ref().map(|(_, container)| container);
        let values = container.and_then(|container| self.surroundings.values(container));
        let wanted = self.publication.want(step.publish, values.as_ref());
        self.trouble = wanted.err().map(|error| chain(&error));
        if living.errand != Errand::Serve {
            return;
        }
        let state = InstanceState {
            state: state_of(living.life.phase(), &facts.health),
            since: Timestamp::now(),
            container: container.map(|container| container.id.clone()),
            image: self.spec.image.clone(),
            address: values.and_then(|values| values.container_ip),
            keys: BTreeSet::new(),
            message: message(&facts.health),
        };
        if let Some(state) = self.teller.state(state) {
            self.publication.state(state);
        }
    }

    /// Does it. Nothing but a pull is dropped when it is told to end: Docker would go on with it.
    async fn act(&mut self, action: &Action, living: &mut Living<R>) {
        let is_dropped = matches!(action, Action::Pull) && !living.stop;
        match action {
            Action::Remove(ours) => self.part(ours, living).await,
            Action::Terminate(ours) | Action::Kill(ours) => self.ending.remember(ours),
            _ => {}
        }
        let (notifier, image) = (self.teller.notifier().clone(), &self.spec.image);
        if matches!(action, Action::Pull) {
            let doing = self.spec.build.as_ref().map_or("pulling", |_| "building");
            tracing::info!("{doing} {image}");
            notifier.status(format!("{doing} {image}"));
        }
        let progress = |progress: &_| notifier.status(format!("pulling {image}: {progress}"));
        let mut work = pin!(carry_out(&self.runtime, &self.spec, action, progress));
        let mut pulse = interval(PULSE);
        let result = loop {
            // All are cancel-safe, or kept outside.
            tokio::select! {
                biased;
                () = self.shutdown.triggered(), if is_dropped => break None,
                result = &mut work => break Some(result),
                _ = pulse.tick() => {
                    self.heartbeat.beat();
                    self.teller.takes_time();
                }
            }
        };
        living.eyes.forget();
        living.is_stale = true;
        match result {
            Some(result) => living.life.done(action, result, Instant::now()),
            None => living.stop = true,
        }
    }

    /// The container is about to be removed.
    async fn part(&self, ours: &Ours, living: &mut Living<R>) {
        if let Some(mut beside) = living.beside.take_if(|beside| beside.is_of(ours)) {
            beside.read_out().await;
        }
        self.surroundings.forget(ours);
    }

    async fn wait(&mut self, deadline: Option<Instant>, living: &mut Living<R>) {
        let count = match living.life.phase() {
            Phase::Confirm | Phase::Drain => Some(DRAINING),
            _ => deadline.map(|_| COUNT),
        };
        let count = count.map(|count| Instant::now() + count);
        // All are cancel-safe: whatever happened is still so when looked at again.
        tokio::select! {
            biased;
            () = self.shutdown.triggered(), if !living.stop => living.stop = true,
            () = living.eyes.nudged() => living.is_stale = true,
            () = health_changed(&mut living.beside) => {}
            Ok(()) = self.standing.changed() => {}
            () = sleep_until_some(deadline) => {}
            () = sleep_until_some(count) => {}
        }
    }
}

impl<R: ContainerRuntime> Living<R> {
    fn stop_asking(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.stop_asking();
        }
    }

    /// What it lives in, as last seen.
    fn container(&self) -> Option<(Ours, Container)> {
        let mut all = self.eyes.containers().into_iter().flatten();
        all.find(|(ours, _)| Some(ours) == self.life.ours())
            .cloned()
    }
}

/// What runs of another definition.
fn other(
    containers: &[(Ours, Container)],
    revision: DefinitionRevision,
    ending: &Ending,
) -> Option<DefinitionRevision> {
    let is_other = |container: &Container| {
        let other = container.revision()?;
        let is_adoptable = other.is_same_definition(revision) && !ending.is_of(container);
        (container.is_up() && !is_adoptable).then_some(other)
    };
    containers.iter().find_map(|(_, one)| is_other(one))
}

async fn health_changed(beside: &mut Option<Beside>) {
    match beside {
        Some(beside) => beside.changed().await,
        None => std::future::pending().await,
    }
}

fn message(health: &Health) -> Option<String> {
    match health {
        Health::Down(answer) | Health::Dead(answer) => Some(answer.clone()),
        Health::Unknown | Health::Up => None,
    }
}
