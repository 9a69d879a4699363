//! Gives the startup lease of a service back as soon as it is healthy.

use std::time::Duration;

use presence::model::{HostId, Label, ServiceId};
use presence::process::backoff::Backoff;
use presence::process::complaint::Complaint;
use presence::process::shutdown::Shutdown;
use presence::semaphore::{Place, Semaphore};
use presence::store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::prober::Seen;

/// Waits after failures. Nothing hangs on it for long: the lease ends.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// How often the same trouble is said again.
const REMINDER: Duration = Duration::from_hours(1);

/// What a releaser runs on.
pub struct Releaser<S> {
    /// The lease.
    pub semaphore: Semaphore<S>,
    /// Whose it is.
    pub label: Label,
    /// Who may hold it.
    pub service: ServiceId,
    /// And where.
    pub host: HostId,
    /// What the prober finds.
    pub seen: watch::Receiver<Option<Seen>>,
}

impl<S: Store> Releaser<S> {
    /// Releases what is held, again and again, until shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.triggered() => {}
            () = self.forever() => {}
        }
    }

    async fn forever(mut self) {
        let (first, longest) = WAITS;
        let mut backoff = Backoff::new(first, longest);
        let mut trouble = Complaint::every(REMINDER);
        loop {
            match self.once().await {
                Ok(()) => {
                    backoff.succeeded();
                    trouble.is_over();
                }
                Err(error) => {
                    if trouble.is_due(&error.to_string()) {
                        tracing::warn!(label = %self.label, "startup lease: {error}");
                    }
                    sleep(backoff.failed()).await;
                }
            }
        }
    }

    /// Until the entry has changed, or was released.
    async fn once(&mut self) -> Result<(), StoreError> {
        let (place, at) = self.semaphore.look(&self.service).await?;
        // Granted before, so whatever begins from now on began afterwards.
        let known = Instant::now();
        let held = place.filter(|place| place.holds() && place.is_on(&self.host));
        let changed = self.semaphore.changed(&self.service, at);
        let Some(held) = held else {
            return changed.await;
        };
        // Both cancel-safe: what was missed is still there when asked again.
        tokio::select! {
            changed = changed => return changed,
            () = healthy(&mut self.seen, known) => {}
        }
        self.release(&held).await
    }

    async fn release(&self, held: &Place) -> Result<(), StoreError> {
        if self.semaphore.release(held).await? {
            let (label, service) = (&self.label, &self.service);
            tracing::info!(%label, %service, "{service} is healthy: it has given the lease of {label} back");
        }
        Ok(())
    }
}

/// Waits for a good probe that began then or later.
async fn healthy(seen: &mut watch::Receiver<Option<Seen>>, since: Instant) {
    let proves = |seen: &Option<Seen>| {
        let seen = seen.as_ref();
        seen.is_some_and(|seen| seen.outcome.is_up && seen.began >= since)
    };
    if seen.wait_for(proves).await.is_err() {
        // The prober is gone, and so will be this.
        std::future::pending::<()>().await;
    }
}
