//! What is done, and what becomes of it.

use crate::runtime::{ContainerRuntime, ContainerSpec, Ours, PullProgress, RuntimeError};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Pull the image, or build it.
    Pull,
    /// Make the container.
    Create,
    /// Start it.
    Start(Ours),
    /// Have its program end: the signal that it was made with, else SIGTERM.
    Terminate(Ours),
    /// End it.
    Kill(Ours),
    /// Remove it, or what was left by an earlier life.
    Remove(Ours),
}

/// What became of an action that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The container was made.
    Created(Ours),
    /// Anything else.
    Other,
}

/// Does it. What is dropped in the middle is met again as a remains by the next life.
pub async fn carry_out<R: ContainerRuntime>(
    runtime: &R,
    spec: &ContainerSpec,
    action: &Action,
    progress: impl FnMut(&PullProgress) + Send,
) -> Result<Done, RuntimeError> {
    match action {
        Action::Create => return runtime.create(spec).await.map(Done::Created),
        Action::Pull => {
            let platform = spec.platform.as_deref();
            match &spec.build {
                Some(build) => runtime.build(&spec.image, platform, build).await,
                None => runtime.pull(&spec.image, platform, progress).await,
            }
        }
        Action::Start(ours) => runtime.start(ours).await,
        Action::Terminate(ours) => {
            let found = runtime.inspect(ours).await?;
            let signal = found.and_then(|container| container.stop_signal);
            runtime
                .signal(ours, signal.as_deref().unwrap_or("SIGTERM"))
                .await
        }
        Action::Kill(ours) => runtime.signal(ours, "SIGKILL").await,
        Action::Remove(ours) => runtime.remove(ours).await,
    }?;
    Ok(Done::Other)
}
