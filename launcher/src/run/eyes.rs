//! What Docker says of the instance, as of now.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use presence::process::complaint::Complaint;
use presence::process::words::chain;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::life::{Life, Phase};
use crate::runtime::{Container, ContainerRuntime, Identity, Ours, RuntimeError, State};

/// Docker is asked again after this time though nothing was heard of it.
const REGULARLY: Duration = Duration::from_secs(10);
/// The same while it does not answer.
const SOON: Duration = Duration::from_secs(1);
/// A Docker that takes longer to say how a container is does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Docker may learn a moment after the end that memory was short.
const AFTERTHOUGHT: Duration = Duration::from_millis(300);
/// The exit code that SIGKILL leaves: the kernel's, too, where memory is short.
const KILLED: u8 = 137;
const REMINDER: Duration = Duration::from_mins(5);

type Nudges = BoxStream<'static, Result<(), RuntimeError>>;

/// Looks at Docker for one instance.
pub(super) struct Eyes<R> {
    runtime: R,
    identity: Identity,
    image: String,
    nudges: Option<(Ours, Nudges)>,
    complaint: Complaint,
    due: Instant,
    has_image: Option<bool>,
    containers: Option<Vec<(Ours, Container)>>,
}

impl<R: ContainerRuntime> Eyes<R> {
    pub(super) fn new(runtime: R, identity: Identity, image: &str) -> Self {
        Self {
            runtime,
            identity,
            image: image.to_owned(),
            nudges: None,
            complaint: Complaint::every(REMINDER),
            due: Instant::now(),
            has_image: None,
            containers: None,
        }
    }

    /// Whether the host has the image; `None` where that is not known.
    pub(super) fn image(&self) -> Option<bool> {
        self.has_image
    }

    /// All containers of the instance, or only the one that it lives in once there is one; `None`
    /// while Docker does not answer.
    pub(super) fn containers(&self) -> Option<&Vec<(Ours, Container)>> {
        self.containers.as_ref()
    }

    /// Looks again.
    pub(super) async fn look(&mut self, life: &Life) {
        if life.phase() == Phase::Image {
            let asked = timeout(PATIENCE, self.runtime.image(&self.image)).await;
            self.has_image = self.known(asked).map(|image| image.is_some());
        }
        self.containers = match life.ours() {
            Some(ours) if (Phase::Start..=Phase::Stop).contains(&life.phase()) => {
                self.one(&ours.clone()).await
            }
            _ => {
                let asked = timeout(PATIENCE, self.runtime.list(&self.identity)).await;
                self.known(asked)
            }
        };
        let is_answered = self.containers.is_some();
        self.due = Instant::now() + if is_answered { REGULARLY } else { SOON };
    }

    async fn one(&mut self, ours: &Ours) -> Option<Vec<(Ours, Container)>> {
        // Before it is looked at, so that nothing is missed.
        let is_watched = self.nudges.as_ref().is_some_and(|(of, _)| of == ours);
        if !is_watched {
            self.nudges = Some((ours.clone(), self.runtime.nudges(ours)));
        }
        let mut found = self.inspect(ours).await?;
        if found.as_ref().is_some_and(may_be_out_of_memory) {
            sleep(AFTERTHOUGHT).await;
            found = self.inspect(ours).await?;
        }
        let found = found.map(|container| (ours.clone(), container));
        Some(found.into_iter().collect())
    }

    async fn inspect(&mut self, ours: &Ours) -> Option<Option<Container>> {
        let asked = timeout(PATIENCE, self.runtime.inspect(ours)).await;
        self.known(asked)
    }

    /// The answer, if there was one.
    fn known<T>(&mut self, asked: Result<Result<T, RuntimeError>, Elapsed>) -> Option<T> {
        let trouble = match asked {
            Ok(Ok(answer)) => {
                if self.complaint.is_over() {
                    tracing::info!("Docker answers again");
                }
                return Some(answer);
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("Docker has not answered for {} s", PATIENCE.as_secs()),
        };
        if self.complaint.is_due(&trouble) {
            tracing::warn!("{trouble}");
        }
        None
    }

    /// Ready when it is time to look again. Cancel-safe.
    pub(super) async fn nudged(&mut self) {
        loop {
            let nudge = async {
                match &mut self.nudges {
                    Some((_, nudges)) => nudges.next().await,
                    None => std::future::pending().await,
                }
            };
            // Both arms are cancel-safe: a nudge is taken only when it is returned.
            tokio::select! {
                () = sleep_until(self.due) => return,
                nudge = nudge => if matches!(nudge, Some(Ok(()))) {
                    return;
                },
            }
            // They are asked for again with the next look, which is not at once.
            self.nudges = None;
            self.due = self.due.min(Instant::now() + SOON);
        }
    }
}

fn may_be_out_of_memory(container: &Container) -> bool {
    match &container.state {
        State::Exited(exit) => exit.code == KILLED && !exit.out_of_memory,
        _ => false,
    }
}
