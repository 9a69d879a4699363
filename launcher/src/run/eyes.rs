//! What Docker says of the instance, as of now.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _, OptionFuture};
use futures::stream::BoxStream;
use presence::process::complaint::Complaint;
use presence::process::words::chain;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::REMINDER;
use crate::life::{Life, Phase};
use crate::runtime::{Container, ContainerRuntime, Identity, Ours, RuntimeError, State};

/// Docker is asked again after this time though nothing was heard of it.
const REGULARLY: Duration = Duration::from_secs(10);
/// The same while it does not answer.
const SOON: Duration = Duration::from_secs(1);
/// An answer is waited for so long before anything else is seen to; then it may come when it will.
const PROMPTLY: Duration = Duration::from_millis(500);
/// A Docker that takes longer to say how a container is does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Docker may learn a moment after the end that memory was short.
const AFTERTHOUGHT: Duration = Duration::from_millis(300);
/// The exit code that SIGKILL leaves: the kernel's, too, where memory is short.
const KILLED: u8 = 137;

type Nudges = BoxStream<'static, Result<(), RuntimeError>>;
type Containers = Vec<(Ours, Container)>;

/// Looks at Docker for one instance.
pub(super) struct Eyes<R> {
    runtime: R,
    identity: Identity,
    image: String,
    nudges: Option<(Ours, Nudges)>,
    complaint: Complaint,
    due: Instant,
    /// What was asked and is not answered yet.
    asking: Option<BoxFuture<'static, Answer>>,
    answer: Option<Answer>,
    has_image: Option<bool>,
    containers: Option<Containers>,
}

/// What Docker says.
struct Answer {
    /// `None` where it was not asked.
    has_image: Option<Result<bool, String>>,
    containers: Result<Containers, String>,
    /// Whether it was waited for: something may have happened since it was true.
    is_late: bool,
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
            asking: None,
            answer: None,
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
    pub(super) fn containers(&self) -> Option<&Containers> {
        self.containers.as_ref()
    }

    /// Something was done: what was seen before counts no longer.
    pub(super) fn forget(&mut self) {
        (self.asking, self.answer) = (None, None);
        (self.has_image, self.containers) = (None, None);
    }

    /// Looks again. Where Docker takes its time what was seen last stays for a few seconds, and
    /// [`nudged`](Self::nudged) tells when there is more to see.
    pub(super) async fn look(&mut self, life: &Life) {
        if self.answer.is_none() {
            let mut asking = match self.asking.take() {
                Some(asking) => asking,
                None => self.ask(life),
            };
            match timeout(PROMPTLY, &mut asking).await {
                Ok(answer) => self.answer = Some(answer),
                Err(_) => self.asking = Some(asking),
            }
        }
        if let Some(answer) = self.answer.take() {
            self.take(answer);
        }
    }

    fn ask(&mut self, life: &Life) -> BoxFuture<'static, Answer> {
        let (runtime, identity) = (self.runtime.clone(), self.identity.clone());
        let image = (life.phase() == Phase::Image).then(|| self.image.clone());
        let one = life
            .ours()
            .filter(|_| (Phase::Start..=Phase::Stop).contains(&life.phase()))
            .cloned();
        if let Some(ours) = &one {
            // Before it is looked at, so that nothing is missed.
            self.watch(ours);
        }
        async move {
            let has_image = image.map(|image| has_image(&runtime, image));
            Answer {
                has_image: OptionFuture::from(has_image).await,
                containers: match one {
                    Some(ours) => inspected(&runtime, ours).await,
                    None => known(runtime.list(&identity)).await,
                },
                is_late: false,
            }
        }
        .boxed()
    }

    fn watch(&mut self, ours: &Ours) {
        if !matches!(&self.nudges, Some((of, _)) if of == ours) {
            self.nudges = Some((ours.clone(), self.runtime.nudges(ours)));
        }
    }

    fn take(&mut self, answer: Answer) {
        let is_prompt = !answer.is_late && answer.containers.is_ok();
        self.due = Instant::now() + if is_prompt { REGULARLY } else { SOON };
        self.has_image = answer.has_image.and_then(|answer| self.heard(answer));
        self.containers = self.heard(answer.containers);
    }

    /// The answer, if there was one.
    fn heard<T>(&mut self, answer: Result<T, String>) -> Option<T> {
        match &answer {
            Ok(_) if self.complaint.is_over() => tracing::info!("Docker answers again"),
            Err(trouble) if self.complaint.is_due(trouble) => tracing::warn!("{trouble}"),
            _ => {}
        }
        answer.ok()
    }

    /// Ready when it is time to look again. Cancel-safe.
    pub(super) async fn nudged(&mut self) {
        loop {
            let due = self.due;
            let is_asking = self.asking.is_some();
            let nudge = async {
                match &mut self.nudges {
                    Some((_, nudges)) => nudges.next().await,
                    None => std::future::pending().await,
                }
            };
            // All arms are cancel-safe: a nudge is taken only when it is returned, an answer is kept.
            tokio::select! {
                () = sleep_until(due), if !is_asking => return,
                Some(answer) = OptionFuture::from(self.asking.as_mut()) => {
                    self.asking = None;
                    self.answer = Some(Answer { is_late: true, ..answer });
                    return;
                }
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

async fn has_image<R: ContainerRuntime>(runtime: &R, image: String) -> Result<bool, String> {
    let found = known(runtime.image(&image)).await?;
    Ok(found.is_some())
}

async fn inspected<R: ContainerRuntime>(runtime: &R, ours: Ours) -> Result<Containers, String> {
    let mut found = known(runtime.inspect(&ours)).await?;
    if found.as_ref().is_some_and(may_be_out_of_memory) {
        sleep(AFTERTHOUGHT).await;
        found = known(runtime.inspect(&ours)).await?;
    }
    let found = found.map(|container| (ours, container));
    Ok(found.into_iter().collect())
}

/// The answer, or why there is none.
pub(super) async fn known<T>(
    asked: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, String> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err(format!(
            "Docker has not answered for {} s",
            PATIENCE.as_secs()
        )),
    }
}

fn may_be_out_of_memory(container: &Container) -> bool {
    match &container.state {
        State::Exited(exit) => exit.code == KILLED && !exit.out_of_memory,
        _ => false,
    }
}
