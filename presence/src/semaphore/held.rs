//! What is held: kept for as long as it is needed, released, or left to its
//! lease.

use std::time::Duration;

use tokio::sync::watch as latest;
use tokio::time::sleep;

use super::state::Hold;
use crate::model::{LeaseId, Revision};
use crate::process::backoff::Backoff;
use crate::process::deadline::{Deadline, Moment};
use crate::store::{Event, Store, StoreError, Watch, WatchMessage};

/// Waits after failures: a lease is to be renewed as soon as etcd is back.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A slot that is ours. Dropped, it stays held until its lease ends.
#[derive(Debug)]
pub struct Held<S> {
    store: S,
    key: String,
    lease: LeaseId,
    ttl: Duration,
    token: Revision,
    until: latest::Sender<Deadline>,
}

/// Why it is not ours any more, or not for sure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The lease ended, or was revoked, or somebody deleted the entry.
    #[error("the entry {key} is gone: its lease ended, or somebody deleted it")]
    Gone {
        /// The entry.
        key: String,
    },
    /// Another process of the same service ID on this host has it now.
    #[error("another process of this service ID has taken the entry {key} over")]
    TakenOver {
        /// The entry.
        key: String,
    },
    /// etcd has not confirmed in time that the lease lives, so it may have
    /// ended.
    #[error("etcd has not renewed the lease of {key} within its time of {} s", ttl.as_secs_f64())]
    NotRenewed {
        /// The entry.
        key: String,
        /// The time of the lease.
        ttl: Duration,
    },
}

impl<S: Store> Held<S> {
    pub(super) fn new(store: S, key: String, hold: Hold, ttl: Duration) -> Self {
        Self {
            store,
            key,
            lease: hold.lease.id,
            ttl,
            token: hold.token,
            until: latest::Sender::new(hold.lease.asked.plus(ttl)),
        }
    }

    /// The fencing token: higher than that of every grant before.
    pub fn token(&self) -> Revision {
        self.token
    }

    /// The lease that it is on.
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Until when it is ours for sure, if nobody ends it: the last renewal that
    /// was confirmed counts from when it was sent.
    pub fn until(&self) -> Deadline {
        *self.until.borrow()
    }

    /// The same, as it changes.
    pub fn deadlines(&self) -> latest::Receiver<Deadline> {
        self.until.subscribe()
    }

    /// Renews it, and returns when it is lost: at the latest when it is not
    /// ours for sure any more. Dropped, it renews no more.
    pub async fn keep(&self) -> Lost {
        tokio::select! {
            biased;
            lost = self.not_renewed() => lost,
            lost = self.gone() => lost,
            lost = self.renew() => lost,
        }
    }

    /// Gives it back, and waits until that is done. What another process has
    /// taken over stays with it.
    pub async fn release(self) -> Result<(), StoreError> {
        self.store.revoke(self.lease).await
    }

    async fn renew(&self) -> Lost {
        let mut backoff = backoff();
        loop {
            // Early, so that a call which an endpoint leaves unanswered may
            // end, and another be asked, long before the time is over.
            self.until().less(self.ttl * 5 / 6).passed().await;
            let asked = Moment::now();
            match self.store.keep_alive(self.lease).await {
                Ok(true) => {
                    backoff.succeeded();
                    self.renewed(asked);
                }
                Ok(false) => return self.is_gone(),
                Err(error) => {
                    tracing::debug!(key = self.key, %error, "the lease cannot be renewed");
                    sleep(backoff.failed()).await;
                }
            }
        }
    }

    /// `asked`: when the request was sent.
    pub(super) fn renewed(&self, asked: Moment) {
        self.until.send_replace(asked.plus(self.ttl));
    }

    async fn not_renewed(&self) -> Lost {
        let mut deadlines = self.deadlines();
        loop {
            let deadline = *deadlines.borrow_and_update();
            tokio::select! {
                () = deadline.passed() => break,
                // The sender lives as long as this is awaited.
                Ok(()) = deadlines.changed() => {}
            }
        }
        Lost::NotRenewed {
            key: self.key.clone(),
            ttl: self.ttl,
        }
    }

    /// Returns when the entry is not ours any more.
    async fn gone(&self) -> Lost {
        let mut backoff = backoff();
        loop {
            let failed = match self.look().await {
                Ok(Ok(seen)) => {
                    backoff.succeeded();
                    self.follow(seen).await
                }
                Ok(Err(lost)) => return lost,
                Err(error) => Err(error),
            };
            match failed {
                Ok(lost) => return lost,
                Err(error) => {
                    tracing::debug!(key = self.key, %error, "what is held cannot be watched");
                    sleep(backoff.failed()).await;
                }
            }
        }
    }

    /// The revision at which it was ours.
    async fn look(&self) -> Result<Result<Revision, Lost>, StoreError> {
        let fetched = self.store.get(&self.key).await?;
        Ok(match fetched.entry {
            Some(entry) if entry.lease == Some(self.lease) => Ok(fetched.header.revision),
            Some(entry) if entry.create_revision == self.token => Err(self.is_taken_over()),
            _ => Err(self.is_gone()),
        })
    }

    async fn follow(&self, seen: Revision) -> Result<Lost, StoreError> {
        let mut watch = self.store.watch_key(&self.key, seen).await?;
        loop {
            match watch.next().await? {
                WatchMessage::Events { events, .. } => {
                    if let Some(lost) = events.iter().find_map(|event| self.lost_by(event)) {
                        return Ok(lost);
                    }
                }
                WatchMessage::Progress(_) => {}
                WatchMessage::Compacted(_) => return Err(StoreError::Compacted),
            }
        }
    }

    fn lost_by(&self, event: &Event) -> Option<Lost> {
        match event {
            Event::Put { entry, .. } if entry.lease == Some(self.lease) => None,
            Event::Put { .. } => Some(self.is_taken_over()),
            Event::Delete { .. } => Some(self.is_gone()),
        }
    }

    fn is_gone(&self) -> Lost {
        Lost::Gone {
            key: self.key.clone(),
        }
    }

    fn is_taken_over(&self) -> Lost {
        Lost::TakenOver {
            key: self.key.clone(),
        }
    }
}

fn backoff() -> Backoff {
    let (first, longest) = WAITS;
    Backoff::new(first, longest)
}
