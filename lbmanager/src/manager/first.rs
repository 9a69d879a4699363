//! What a manager does before anything else, waiting for etcd as long as that
//! takes.

use std::time::Duration;

use presence::keys;
use presence::process::backoff::Backoff;
use presence::process::complaint::Complaint;
use presence::process::health::Heartbeat;
use presence::store::{Listing, Store, StoreError};
use tokio::time::{Instant, sleep};

use super::{Parts, TURN};
use crate::peers::keeper::{Keeper, PATIENCE, Standing};
use crate::peers::{Claim, Taken};

/// The claim, and the status records. Nothing is written before both.
pub(super) async fn first<S: Store>(
    parts: &mut Parts<S>,
    heartbeat: &Heartbeat,
) -> Result<(Option<Keeper<S>>, Listing), Taken> {
    let claim = parts.claim.take();
    let mut waiting = Waiting::new(parts, heartbeat);
    let keeper = match claim {
        Some(claim) => Some(settle(&mut waiting, claim).await?),
        None => None,
    };
    let prefix = keys::status::balancers_prefix();
    loop {
        heartbeat.beat();
        match waiting.parts.store.list(&prefix, None).await {
            Ok(listing) => return Ok((keeper, listing)),
            Err(error) => waiting.failed(&error).await,
        }
    }
}

/// Claims the host ID.
async fn settle<S: Store>(waiting: &mut Waiting<'_, S>, claim: Claim) -> Result<Keeper<S>, Taken> {
    let parts = waiting.parts;
    let mut keeper = Keeper::new(parts.store.clone(), parts.settings.host.clone(), claim);
    let mut taken_since = None;
    loop {
        waiting.heartbeat.beat();
        match keeper.look(true).await {
            Ok(Standing::Settled) => return Ok(keeper),
            Ok(Standing::Unsettled) => sleep(TURN / 10).await,
            Ok(Standing::Others(taken)) => {
                let since = *taken_since.get_or_insert_with(|| {
                    tracing::warn!("waiting whether that ends by itself: {taken}");
                    Instant::now()
                });
                if since.elapsed() >= PATIENCE {
                    return Err(taken);
                }
                parts.notifier.status(format!("waiting: {taken}"));
                sleep(TURN).await;
            }
            Err(error) => waiting.failed(&error).await,
        }
    }
}

/// Waits for etcd, and says so.
struct Waiting<'a, S> {
    parts: &'a Parts<S>,
    heartbeat: &'a Heartbeat,
    backoff: Backoff,
    complaint: Complaint,
}

impl<'a, S> Waiting<'a, S> {
    fn new(parts: &'a Parts<S>, heartbeat: &'a Heartbeat) -> Self {
        Self {
            parts,
            heartbeat,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
            complaint: Complaint::every(Duration::from_mins(1)),
        }
    }

    async fn failed(&mut self, error: &StoreError) {
        let words = format!("waiting for etcd, nothing is changed: {error}");
        if self.complaint.is_due(&words) {
            tracing::warn!("{words}");
        }
        self.parts.notifier.status(words.clone());
        self.parts.health.not_ready(words);
        sleep(self.backoff.failed()).await;
    }
}
