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
