//! Heartbeats and readiness: one vocabulary for systemd's watchdog, for
//! `/healthz` and for `/readyz`.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How the process is. Clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pulses: Mutex<Vec<Arc<Pulse>>>,
    readiness: watch::Sender<Readiness>,
}

#[derive(Debug)]
struct Pulse {
    name: String,
    limit: Duration,
    last: Mutex<Instant>,
}

/// Whether the process does what it is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Not now, for this reason, in words for an operator.
    NotReady(String),
}

/// A task that has not shown progress within its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Its name.
    pub task: String,
    /// How long ago it last showed progress.
    pub silent: Duration,
    /// How long it may be silent.
    pub limit: Duration,
}

/// `task "mirror" has shown no progress for 31s (limit 30s)`
impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "task {:?} has shown no progress for {}s (limit {}s)",
            self.task,
            self.silent.as_secs(),
            self.limit.as_secs_f64(),
        )
    }
}

impl Health {
    /// A process that has no heartbeats yet and is not ready, because it is
    /// starting.
    pub fn starting() -> Self {
        Self(Arc::new(Shared {
            pulses: Mutex::default(),
            readiness: watch::Sender::new(Readiness::NotReady("starting".to_owned())),
        }))
    }

    /// Registers a task: from now on it is stuck whenever it has not beaten
    /// for longer than `limit`. Dropping the heartbeat takes the task off the
    /// list again.
    #[must_use = "a task is watched for as long as its heartbeat lives"]
    pub fn heartbeat(&self, task: impl Into<String>, limit: Duration) -> Heartbeat {
        let pulse = Arc::new(Pulse {
            name: task.into(),
            limit,
            last: Mutex::new(Instant::now()),
        });
        lock(&self.0.pulses).push(Arc::clone(&pulse));
        Heartbeat {
            pulse,
            health: self.clone(),
        }
    }

    /// The tasks that are stuck now, in the order of their registration.
    pub fn stuck(&self) -> Vec<Stuck> {
        let now = Instant::now();
        lock(&self.0.pulses)
            .iter()
            .filter_map(|pulse| pulse.stuck(now))
            .collect()
    }

    /// It does what it is there for.
    pub fn ready(&self) {
        self.set(Readiness::Ready);
    }

    /// It does not, for this reason.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Readiness::NotReady(reason.into()));
    }

    /// Whether it does.
    pub fn readiness(&self) -> Readiness {
        self.0.readiness.borrow().clone()
    }

    /// Readiness, and each change of it.
    pub fn watch_readiness(&self) -> watch::Receiver<Readiness> {
        self.0.readiness.subscribe()
    }

    fn set(&self, readiness: Readiness) {
        self.0.readiness.send_if_modified(|now| {
            let changed = *now != readiness;
            *now = readiness;
            changed
        });
    }
}

impl Pulse {
    fn stuck(&self, now: Instant) -> Option<Stuck> {
        let silent = now.duration_since(*lock(&self.last));
        (silent > self.limit).then(|| Stuck {
            task: self.name.clone(),
            silent,
            limit: self.limit,
        })
    }
}

/// Held by a task that must make progress.
#[derive(Debug)]
pub struct Heartbeat {
    pulse: Arc<Pulse>,
    health: Health,
}

impl Heartbeat {
    /// Progress was made.
    pub fn beat(&self) {
        *lock(&self.pulse.last) = Instant::now();
    }

    /// How long the task may be silent: it has to wake more often than that,
    /// also where there is nothing to do.
    pub fn limit(&self) -> Duration {
        self.pulse.limit
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        lock(&self.health.0.pulses).retain(|pulse| !Arc::ptr_eq(pulse, &self.pulse));
    }
}

/// What is locked here is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_is_stuck_from_its_limit_on_until_it_beats() {
        let health = Health::starting();
        let mirror = health.heartbeat("mirror", Duration::from_secs(30));
        let _other = health.heartbeat("other", Duration::from_mins(5));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(health.stuck(), []);
        tokio::time::advance(Duration::from_secs(1)).await;
        let stuck: Vec<_> = health.stuck().iter().map(ToString::to_string).collect();
        let expected = "task \"mirror\" has shown no progress for 31s (limit 30s)";
        assert_eq!(stuck, [expected]);
        mirror.beat();
        assert_eq!(health.stuck(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ended_is_not_stuck_but_its_namesake_is() {
        let health = Health::starting();
        let first = health.heartbeat("twin", Duration::ZERO);
        let _second = health.heartbeat("twin", Duration::ZERO);
        drop(first);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.stuck().len(), 1);
    }

    #[test]
    fn only_changes_of_readiness_wake_those_who_watch() {
        let health = Health::starting();
        assert_eq!(
            health.readiness(),
            Readiness::NotReady("starting".to_owned())
        );
        let mut watch = health.watch_readiness();
        health.not_ready("starting");
        assert!(!watch.has_changed().unwrap());
        health.ready();
        assert_eq!(*watch.borrow_and_update(), Readiness::Ready);
        health.ready();
        assert!(!watch.has_changed().unwrap());
    }
}
