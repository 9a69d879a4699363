//! What goes on beside a container that runs: its probes and its output.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use presence::model::ServiceName;
use presence::process::shutdown::{Shutdown, Trigger};
use presence::process::state_file::StateDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::eyes::known;
use crate::assemble::{HostFacts, Location, Probes, locate, values};
use crate::definition::{Definition, Values};
use crate::health::Checker;
use crate::life::Health;
use crate::logs::{self, Follower, LastLines, Origin, Sink};
use crate::runtime::{Container, ContainerRuntime, Ours};

/// How long the last words of a container that has ended may take to come.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is known of an instance, whichever container it lives in.
pub(super) struct Surroundings {
    pub service: ServiceName,
    /// `None` where nobody knows it any more: then nothing is asked.
    pub definition: Option<Arc<Definition>>,
    /// `None` until it is known.
    pub host: watch::Receiver<Option<HostFacts>>,
    /// A directory of this instance's own.
    pub state: StateDir,
    /// Where the container's output goes.
    pub sink: fn(&Origin) -> io::Result<Sink>,
}

/// What goes on beside one container. It ends when this is dropped.
pub(super) struct Beside {
    ours: Ours,
    probes: Option<Probes>,
    health: watch::Receiver<Health>,
    /// Ends with it.
    asking: Option<Task>,
    lines: LastLines,
    copying: Task,
    finish: Trigger,
}

/// A task that ends with whoever holds it.
struct Task(JoinHandle<()>);

impl Task {
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Surroundings {
    /// What the variables stand for; `None` while that is not known.
    pub(super) fn values(&self, container: &Container) -> Option<Values> {
        let host = self.host.borrow();
        Some(values(self.definition.as_ref()?, container, host.as_ref()?))
    }

    /// The port that the container serves.
    pub(super) fn port(&self) -> Option<u16> {
        let port = self.definition.as_ref()?.service_port()?;
        Some(port.0)
    }

    /// Begins what goes on beside this container, or goes on with it as the container is now.
    pub(super) async fn attend<R: ContainerRuntime>(
        &self,
        runtime: &R,
        beside: Option<Beside>,
        (ours, container): (&Ours, &Container),
    ) -> Beside {
        let beside = beside.filter(|beside| beside.ours == *ours);
        let (location, beside) = match (known(locate(runtime, container)).await, beside) {
            (Ok(location), beside) => (location, beside),
            // Where it was it still is.
            (Err(_), Some(beside)) => return beside,
            (Err(trouble), None) => (Location::Nowhere(trouble), None),
        };
        let definition = self.definition.as_ref();
        let probes = definition.map(|definition| Probes::new(definition, container, &location));
        match beside {
            Some(beside) if beside.probes == probes => beside,
            Some(beside) => {
                let (asking, health) = ask(probes.as_ref(), runtime, ours);
                Beside {
                    probes,
                    health,
                    asking,
                    ..beside
                }
            }
            None => self.begin(runtime, (ours, container), probes),
        }
    }

    fn begin<R: ContainerRuntime>(
        &self,
        runtime: &R,
        (ours, container): (&Ours, &Container),
        probes: Option<Probes>,
    ) -> Beside {
        let (asking, health) = ask(probes.as_ref(), runtime, ours);
        let (finish, finished) = Shutdown::manual();
        let (copying, lines) = match self.sink(ours, container) {
            Ok(sink) => {
                let follower =
                    Follower::new(runtime.clone(), ours.clone(), self.state.path(), sink);
                let lines = follower.last_lines();
                (Task::spawn(follower.run(finished)), lines)
            }
            Err(error) => {
                tracing::error!("{ours}: its output is not handed on: {error}");
                (Task::spawn(async {}), LastLines::default())
            }
        };
        Beside {
            ours: ours.clone(),
            probes,
            health,
            asking,
            lines,
            copying,
            finish,
        }
    }

    fn sink(&self, ours: &Ours, container: &Container) -> io::Result<Sink> {
        let revision = container.revision().ok_or(io::ErrorKind::NotFound)?;
        (self.sink)(&Origin {
            container: ours.clone(),
            service: self.service.clone(),
            revision,
        })
    }

    /// The container is removed: nothing of it is to be remembered.
    pub(super) fn forget(&self, ours: &Ours) {
        if let Err(error) = logs::forget(self.state.path(), ours.name()) {
            tracing::warn!("{ours}: where its output was read to cannot be forgotten: {error}");
        }
    }
}

fn ask<R: ContainerRuntime>(
    probes: Option<&Probes>,
    runtime: &R,
    ours: &Ours,
) -> (Option<Task>, watch::Receiver<Health>) {
    let (told, health) = watch::channel(Health::Unknown);
    let asking = probes.map(|probes| {
        let checker = Checker::new(probes.clone(), runtime.clone(), ours.clone());
        Task::spawn(async move {
            checker.run(told).await;
        })
    });
    (asking, health)
}

impl Beside {
    /// Whether it is beside this one.
    pub(super) fn is_of(&self, ours: &Ours) -> bool {
        self.ours == *ours
    }

    /// Asks no more: a probe is a connection like any other to those who count them.
    pub(super) fn stop_asking(&mut self) {
        self.asking = None;
    }

    /// What the probes say.
    pub(super) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Ready when they say something else. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        if self.health.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What it wrote last.
    pub(super) fn last_lines(&self) -> String {
        self.lines.text()
    }

    /// Waits until all that a container wrote that has ended was taken, but not for ever.
    pub(super) async fn read_out(&mut self) {
        if self.copying.0.is_finished() {
            return;
        }
        if timeout(LAST_WORDS, &mut self.copying.0).await.is_err() {
            self.finish.trigger();
        }
    }
}
