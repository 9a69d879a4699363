//! What is needed of Docker, in our own types.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`identity`] | whose a container is, by its labels and its exact name |
//! | [`spec`] | what a container is to be |
//! | [`container`] | what a container is |
//! | [`output`] | what a container writes |
//! | [`pull`] | how far an image has come |
//! | [`error`] | what went wrong, in the words of who has to mend it |
//! | [`docker`] | the driver |
//! | [`fake`] | the same in memory, steered by a test |
//!
//! Nothing here decides, waits or tries again. A container is changed only by way of [`Ours`], which
//! only a container with our labels and our name yields: another's cannot be touched by mistake.
//! Docker's own restart policy and automatic removal are never used: with them exit codes get lost.

pub mod container;
pub mod docker;
pub mod error;
pub mod fake;
pub mod identity;
pub mod output;
pub mod pull;
pub mod spec;

use std::future::Future;

use futures::stream::BoxStream;
use jiff::Timestamp;

pub use self::container::{Container, Exit, ImageHealth, State};
pub use self::error::RuntimeError;
pub use self::identity::{Identity, Ours};
pub use self::output::{Frame, Stream};
pub use self::pull::PullProgress;
pub use self::spec::ContainerSpec;
use crate::definition::Build;

/// An image that the host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its digest as Docker calls it: `sha256:…`.
    pub id: String,
    /// Whether it says itself how its containers' health is found out.
    pub has_healthcheck: bool,
}

/// A command in a container, at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code: 128 and the signal's number where a signal ended it, 127 where it was not
    /// found, 126 where it is no program.
    pub code: u8,
    /// The end of what it wrote to stderr, or to stdout if that was nothing: at most 1 KiB.
    pub output: String,
}

/// Containers and images of one host.
///
/// Futures may be dropped at any point. What was asked for then has been done, or not, or is being
/// done: the next [`list`](Self::list) tells. Only a dropped [`pull`](Self::pull) ends there.
pub trait ContainerRuntime: Clone + Send + Sync + 'static {
    /// The image, if the host has it.
    fn image(
        &self,
        image: &str,
    ) -> impl Future<Output = Result<Option<Image>, RuntimeError>> + Send;

    /// Has the image pulled, with the credentials that Docker's own configuration has for its
    /// registry, and tells how far it is whenever that changes. The platform is the host's where
    /// none is named.
    fn pull(
        &self,
        image: &str,
        platform: Option<&str>,
        progress: impl FnMut(&PullProgress) + Send,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Builds the image from a directory of this host, and gives it this name.
    fn build(
        &self,
        image: &str,
        platform: Option<&str>,
        build: &Build,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Makes the container; it does not run yet. Where that fails nothing is left.
    fn create(
        &self,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<Ours, RuntimeError>> + Send;

    /// Starts it; nothing happens if it runs.
    fn start(&self, ours: &Ours) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// How it is now; `None` if it is gone.
    fn inspect(
        &self,
        ours: &Ours,
    ) -> impl Future<Output = Result<Option<Container>, RuntimeError>> + Send;

    /// How any container is now, by its name or ID, whoever made it; `None` if there is none.
    fn inspect_any(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Container>, RuntimeError>> + Send;

    /// Runs a command in it, and waits for its end. Docker has no way to end it before: it goes on
    /// when this is dropped.
    fn exec(
        &self,
        ours: &Ours,
        command: &[String],
    ) -> impl Future<Output = Result<Executed, RuntimeError>> + Send;

    /// All that belong to this instance, also those of other revisions, running or not.
    fn list(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<Vec<(Ours, Container)>, RuntimeError>> + Send;

    /// Sends its first process a signal, by name (`SIGTERM`) or number; nothing happens if it does
    /// not run or is gone.
    fn signal(
        &self,
        ours: &Ours,
        signal: &str,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes it, by force if it runs, with the volumes that have no name; nothing happens if it
    /// is gone.
    fn remove(&self, ours: &Ours) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Something may have happened to it, from now on: an item is a nudge to inspect, no more. The
    /// stream ends after its first error. Who inspects after this was called misses nothing.
    fn nudges(&self, ours: &Ours) -> BoxStream<'static, Result<(), RuntimeError>>;

    /// What it has written since this time, rounded down to whole seconds, or since it was made; and
    /// then, if it is followed, what it writes, while it runs. In the order in which Docker took it.
    /// The stream ends after its first error.
    ///
    /// Docker 20.10 gives who follows, and falls behind by more than a file of the log, the wrong
    /// parts of it.
    fn logs(
        &self,
        ours: &Ours,
        since: Option<Timestamp>,
        follow: bool,
    ) -> BoxStream<'static, Result<Frame, RuntimeError>>;
}
