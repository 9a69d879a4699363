//! Carries out what [`super::state`] decides, until we hold.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch as latest;
use tokio::time::{Instant, sleep, timeout};

use super::held::Held;
use super::state::{Hold, Lease, State, Step};
use super::{Claim, Progress, Semaphore};
use crate::process::clock::sleep_until_some;
use crate::process::deadline::Moment;
use crate::store::watches::{Told, next};
use crate::store::{Store, StoreError, WatchMessage};

/// How long leaving may take. Where etcd is away for longer, the entry ends
/// with its lease.
const LEAVING: Duration = Duration::from_secs(5);

/// Between two attempts to leave.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn run<S: Store>(
    semaphore: &Semaphore<S>,
    claim: Claim,
    progress: &latest::Sender<Progress>,
    give_up: impl Future<Output = ()>,
) -> Result<Option<Held<S>>, StoreError> {
    let mut waiter = Waiter::new(semaphore, claim, progress);
    let outcome = tokio::select! {
        biased;
        // What is being done when it comes is abandoned: every step may be.
        () = give_up => Ok(None),
        held = waiter.wait() => held.map(Some),
    };
    if timeout(LEAVING, waiter.end_leases()).await.is_err() {
        tracing::warn!("etcd is away: what was left in the queue ends with its lease");
    }
    Ok(outcome?.map(|hold| waiter.held(hold)))
}

pub(super) struct Waiter<S: Store> {
    semaphore: Semaphore<S>,
    claim: Claim,
    pub(super) state: State,
    pub(super) watches: BTreeMap<String, S::Watch>,
    progress: latest::Sender<Progress>,
}

impl<S: Store> Waiter<S> {
    pub(super) fn new(
        semaphore: &Semaphore<S>,
        claim: Claim,
        progress: &latest::Sender<Progress>,
    ) -> Self {
        let (keys, clock) = (semaphore.keys.clone(), semaphore.clock.clone());
        Self {
            semaphore: semaphore.clone(),
            state: State::new(keys, claim.clone(), clock),
            claim,
            watches: BTreeMap::new(),
            progress: progress.clone(),
        }
    }

    async fn wait(&mut self) -> Result<Hold, StoreError> {
        loop {
            while let Some(step) = self.state.next(Instant::now()) {
                self.carry_out(&step).await?;
            }
            if let Some(hold) = self.state.held() {
                return Ok(hold);
            }
            self.watch().await?;
            self.tell().await;
            // Cancel-safe, both: a message is taken only when it is returned.
            tokio::select! {
                told = next(&mut self.watches) => self.told(told)?,
                () = sleep_until_some(self.state.wakes_at()) => {}
            }
        }
    }

    pub(super) async fn carry_out(&mut self, step: &Step) -> Result<(), StoreError> {
        let store = &self.semaphore.store;
        let asked = Moment::now();
        let result = match step {
            Step::Grant(purpose, ttl) => {
                let granted = store.grant(*ttl).await;
                granted.map(|id| self.state.granted(*purpose, Lease { id, asked }))
            }
            Step::Renew(id) => {
                let alive = store.keep_alive(*id).await;
                let renewed = Lease { id: *id, asked };
                alive.map(|alive| self.state.renewed(renewed, alive))
            }
            Step::Join(join) => {
                let commit = store.commit(join.clone()).await;
                commit.map(|commit| self.state.joined(&commit))
            }
            Step::Read => {
                let listing = store.list(&self.semaphore.keys.prefix(), None).await;
                listing.map(|listing| self.state.read(&listing, Instant::now()))
            }
            Step::Hold(hold, turn) => {
                let commit = store.commit(turn.clone()).await;
                commit.map(|commit| self.state.attempted(*hold, &commit))
            }
        };
        let Err(error) = result else { return Ok(()) };
        tracing::debug!(%error, "a call of who waits for a semaphore failed");
        self.state.failed(step, &error, Instant::now());
        give_in(error)?;
        self.tell_trouble();
        Ok(())
    }

    /// Watches what there is to be watched, and nothing else.
    pub(super) async fn watch(&mut self) -> Result<(), StoreError> {
        let Some((keys, after)) = self.state.watched() else {
            return Ok(());
        };
        self.watches.retain(|key, _| keys.contains(key));
        let new = keys.iter().filter(|key| !self.watches.contains_key(*key));
        let store = &self.semaphore.store;
        let begun = new.map(async |key| (key.clone(), store.watch_key(key, after).await));
        for (key, begun) in join_all(begun).await {
            match begun {
                Ok(watch) => drop(self.watches.insert(key, watch)),
                Err(error) => self.watch_ended(error)?,
            }
        }
        Ok(())
    }

    pub(super) fn told(&mut self, (key, message): Told) -> Result<(), StoreError> {
        match message {
            Ok(WatchMessage::Events { events, .. }) => {
                for event in &events {
                    self.state.happened(event);
                }
                Ok(())
            }
            Ok(WatchMessage::Progress(_)) => Ok(()),
            Ok(WatchMessage::Compacted(_)) => self.unwatched(&key, StoreError::Compacted),
            Err(error) => self.unwatched(&key, error),
        }
    }

    fn unwatched(&mut self, key: &str, error: StoreError) -> Result<(), StoreError> {
        self.watches.remove(key);
        self.watch_ended(error)
    }

    fn watch_ended(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.state.watch_ended(&error, Instant::now());
        match error {
            StoreError::Compacted => Ok(()),
            error => give_in(error),
        }
    }

    async fn tell(&mut self) {
        let mut now = self.state.progress();
        let before = self.progress.borrow().clone();
        match &now.queue {
            Some(queue) if before.queue.as_ref() != Some(queue) => {
                // For the words alone: without an answer they are said without.
                now.holders = self.semaphore.holders(queue).await.unwrap_or_default();
            }
            Some(_) => now.holders = before.holders,
            // To be read again: until then it is as it was.
            None => {
                now = Progress {
                    requeued: now.requeued,
                    trouble: now.trouble,
                    ..before
                }
            }
        }
        self.progress.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }

    fn tell_trouble(&self) {
        let trouble = self.state.progress().trouble;
        self.progress.send_if_modified(|now| {
            let changed = now.trouble != trouble;
            now.trouble = trouble;
            changed
        });
    }

    /// Ends what is left of us but what we hold. With the lease goes the entry,
    /// and what was sent and is still under way comes too late.
    pub(super) async fn end_leases(&mut self) {
        let mut leases = self.state.leases();
        while !leases.is_empty() {
            let revoked = leases.iter().map(async |lease| {
                let revoked = self.semaphore.store.revoke(*lease).await;
                (*lease, revoked.is_ok())
            });
            for (lease, revoked) in join_all(revoked).await {
                if revoked {
                    leases.remove(&lease);
                }
            }
            if !leases.is_empty() {
                sleep(PAUSE).await;
            }
        }
    }

    pub(super) fn held(&self, hold: Hold) -> Held<S> {
        let store = self.semaphore.store.clone();
        let key = self.semaphore.keys.entry(&self.claim.service);
        Held::new(store, key, hold, self.claim.ttl)
    }
}

/// Errors that waiting does not mend.
fn give_in(error: StoreError) -> Result<(), StoreError> {
    if error.is_temporary() {
        Ok(())
    } else {
        Err(error)
    }
}
