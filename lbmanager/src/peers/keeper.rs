//! Claims this host's ID, and keeps the claim on a lease.
//!
//! The claim is not deleted at the end: a manager that is started again takes
//! it over, and nobody has seen this host leave.

use std::time::Duration;

use presence::keys::StatusTree;
use presence::keys::status::ManagerRole;
use presence::model::{HostId, LeaseId};
use presence::process::backoff::Backoff;
use presence::process::complaint::Complaint;
use presence::store::{Store, StoreError, Transaction};
use tokio::time::{Instant, sleep_until};

use super::Claim;
use super::Managers;
use super::claim::{Taken, Verdict, judge};
use crate::manager::Mirrored;

/// How long a claim outlives its manager.
pub const TTL: Duration = Duration::from_secs(10);
/// A machine that was replaced leaves its claim behind for [`TTL`]; who has it
/// for longer is alive.
pub const PATIENCE: Duration = Duration::from_secs(13);

/// Keeps a claim.
#[derive(Debug)]
pub struct Keeper<S> {
    store: S,
    key: String,
    host: HostId,
    role: ManagerRole,
    claim: Claim,
    lease: Option<LeaseId>,
    renew_at: Instant,
}

/// How the claim stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is this machine's, as far as is known.
    Settled,
    /// Somebody was faster: to be looked at again.
    Unsettled,
    /// Another machine has it.
    Others(Taken),
}

impl<S: Store> Keeper<S> {
    /// One that has claimed nothing yet.
    pub fn new(store: S, keys: &StatusTree, host: HostId, role: ManagerRole, claim: Claim) -> Self {
        Self {
            store,
            key: keys.manager(&host, role),
            host,
            role,
            claim,
            lease: None,
            renew_at: Instant::now(),
        }
    }

    /// Looks at the claim, and writes it where it is free. Who starts takes
    /// over from another process of this machine.
    pub async fn look(&mut self, starts: bool) -> Result<Standing, StoreError> {
        let key = self.key.clone();
        let found = self.store.get(&key).await?.entry;
        let condition = match judge(&self.claim, found.as_ref(), self.lease, starts) {
            Verdict::Ours | Verdict::Neighbours => return Ok(Standing::Settled),
            Verdict::Free(condition) => condition,
            Verdict::Others(other) => {
                return Ok(Standing::Others(Taken {
                    host: self.host.clone(),
                    key,
                    other,
                    own: self.claim.machine_id.clone(),
                }));
            }
        };
        let lease = self.lease().await?;
        let write = Transaction::default()
            .and_put(key.clone(), self.claim.to_json(), Some(lease))
            .when(key, condition);
        match self.store.commit(write).await {
            Ok(commit) if commit.succeeded => Ok(Standing::Settled),
            Ok(_) => Ok(Standing::Unsettled),
            Err(StoreError::LeaseGone(_)) => {
                self.lease = None;
                Ok(Standing::Unsettled)
            }
            Err(error) => Err(error),
        }
    }

    async fn lease(&mut self) -> Result<LeaseId, StoreError> {
        if let Some(lease) = self.lease {
            return Ok(lease);
        }
        let asked = Instant::now();
        let lease = self.store.grant(TTL).await?;
        self.lease = Some(lease);
        self.renew_at = asked + TTL / 3;
        Ok(lease)
    }

    /// Keeps the claim until another machine has it, looking at it whenever
    /// the mirror saw it change.
    pub async fn keep(mut self, mut managers: Mirrored<Managers>) -> Taken {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        let mut complaint = Complaint::every(Duration::from_mins(1));
        let mut seen = None;
        let mut is_settled = false;
        loop {
            let written = managers
                .borrow_and_update()
                .as_ref()
                .map(|snapshot| snapshot.view.written(&self.host, self.role));
            if written != seen {
                seen = written;
                is_settled = false;
            }
            let result = if is_settled {
                self.renew().await
            } else {
                self.look(false).await
            };
            match result {
                Ok(Standing::Others(taken)) => return taken,
                Ok(standing) => {
                    backoff.succeeded();
                    complaint.is_over();
                    is_settled = standing == Standing::Settled;
                }
                Err(error) => {
                    is_settled = false;
                    let words = error.to_string();
                    if complaint.is_due(&words) {
                        tracing::warn!("cannot keep the claim {}: {words}", self.key);
                    }
                }
            }
            let retry = (!is_settled).then(|| Instant::now() + backoff.failed());
            let wake = retry.or(self.lease.map(|_| self.renew_at));
            // Both are cancel-safe.
            tokio::select! {
                () = news(&mut managers) => {}
                () = until(wake) => {}
            }
        }
    }

    /// Renews the lease when it is time to.
    async fn renew(&mut self) -> Result<Standing, StoreError> {
        let Some(lease) = self.lease.filter(|_| self.renew_at <= Instant::now()) else {
            return Ok(Standing::Settled);
        };
        let asked = Instant::now();
        if self.store.keep_alive(lease).await? {
            self.renew_at = asked + TTL / 3;
            return Ok(Standing::Settled);
        }
        self.lease = None;
        Ok(Standing::Unsettled)
    }
}

async fn news(managers: &mut Mirrored<Managers>) {
    if managers.changed().await.is_err() {
        // The mirror has ended, as it does at shutdown.
        std::future::pending::<()>().await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
