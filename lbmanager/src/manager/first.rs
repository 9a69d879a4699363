//! What a manager does before anything else, waiting for etcd as long as that
//! takes.

use std::collections::BTreeSet;
use std::time::Duration;

use presence::keys::StatusTree;
use presence::keys::status::ManagerRole;
use presence::process::backoff::Backoff;
use presence::process::complaint::Complaint;
use presence::process::health::Heartbeat;
use presence::store::{Listing, Store, StoreError};
use tokio::time::{Instant, sleep};

use super::resets::{Found, WriterKeys};
use super::{Parts, TURN, statuses};
use crate::peers::keeper::{Keeper, PATIENCE, Standing};
use crate::peers::{Claim, Taken};

/// The claims, the markers, and the statuses. Nothing is written before them.
pub(super) async fn first<S: Store>(
    parts: &mut Parts<S>,
    heartbeat: &Heartbeat,
) -> Result<First<S>, Taken> {
    let claims = std::mem::take(&mut parts.claims);
    let roles = parts.history.roles();
    let keys = parts.settings.tree.status();
    let mut waiting = Waiting::new(parts, heartbeat);
    let mut keepers = Vec::new();
    for (role, claim) in claims {
        keepers.push(settle(&mut waiting, role, claim).await?);
    }
    loop {
        heartbeat.beat();
        match read(waiting.parts, &keys, &roles).await {
            Ok((found, listing)) => return Ok((keepers, found, listing)),
            Err(error) => waiting.failed(&error).await,
        }
    }
}

/// What a manager has before anything else.
pub(super) type First<S> = (Vec<Keeper<S>>, Vec<(ManagerRole, Found)>, Listing);

async fn read<S: Store>(
    parts: &Parts<S>,
    keys: &StatusTree,
    roles: &BTreeSet<ManagerRole>,
) -> Result<(Vec<(ManagerRole, Found)>, Listing), StoreError> {
    let (store, host) = (&parts.store, &parts.settings.host);
    let mut found = Vec::new();
    for role in roles {
        let keys = WriterKeys::new(keys, host, *role);
        found.push((*role, keys.read(store).await?));
    }
    let listing = statuses::list(store, keys, host, roles).await?;
    Ok((found, listing))
}

/// Claims the host ID for a role.
async fn settle<S: Store>(
    waiting: &mut Waiting<'_, S>,
    role: ManagerRole,
    claim: Claim,
) -> Result<Keeper<S>, Taken> {
    let parts = waiting.parts;
    let (keys, host) = (parts.settings.tree.status(), parts.settings.host.clone());
    let mut keeper = Keeper::new(parts.store.clone(), &keys, host, role, claim);
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
            // A claim needs space in etcd. It is written as soon as there is some.
            Err(error @ StoreError::NoSpace { .. }) => {
                tracing::warn!("cannot claim the host ID yet, and starts without: {error}");
                return Ok(keeper);
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
