//! One process under test.

use futures::FutureExt;
use tokio::sync::watch as latest;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::{TTL, WAITING, claim, semaphore};
use crate::model::LeaseId;
use crate::process::deadline::Moment;
use crate::semaphore::acquire::Waiter;
use crate::semaphore::state::{Lease, Step};
use crate::semaphore::{Held, Progress};
use crate::store::memory::MemoryStore;
use crate::store::watches::next;
use crate::store::{Store, StoreError, Transaction};

pub(super) enum Phase {
    Idle,
    Waiting(Box<Waiter<MemoryStore>>),
    Holding(Held<MemoryStore>),
}

pub(super) struct Actor {
    pub(super) who: usize,
    pub(super) phase: Phase,
}

impl Actor {
    pub(super) fn new(who: usize) -> Self {
        Self {
            who,
            phase: Phase::Idle,
        }
    }

    /// Those with odd numbers hold as a lock, on the lease that they wait on.
    pub(super) fn start(&mut self, store: &MemoryStore) {
        if let Phase::Idle = self.phase {
            let ttl = if self.who.is_multiple_of(2) {
                TTL
            } else {
                WAITING
            };
            let progress = latest::Sender::new(Progress::default());
            let waiter = Waiter::new(&semaphore(store), claim(self.who, ttl), &progress);
            self.phase = Phase::Waiting(Box::new(waiter));
        }
    }

    /// Whether there was something to do.
    pub(super) async fn step(&mut self) -> bool {
        let Phase::Waiting(waiter) = &mut self.phase else {
            return false;
        };
        let Some(step) = waiter.state.next(Instant::now()) else {
            return false;
        };
        waiter.carry_out(&step).await.unwrap();
        if let Some(hold) = waiter.state.held() {
            let held = waiter.held(hold);
            self.phase = Phase::Holding(held);
        }
        true
    }

    /// Sends a transaction that takes its time, and hears nothing of it.
    pub(super) fn step_without_answer(&mut self) -> Option<Transaction> {
        let Phase::Waiting(waiter) = &mut self.phase else {
            return None;
        };
        let step = waiter.state.next(Instant::now())?;
        let lost = StoreError::Unavailable {
            endpoints: "here".to_owned(),
            reason: "the answer is late".to_owned(),
        };
        waiter.state.failed(&step, &lost, Instant::now());
        match step {
            Step::Join(sent) | Step::Hold(_, sent) => Some(sent),
            _ => None,
        }
    }

    /// Whether there was something to hear. Without a next step, as when
    /// waiting.
    pub(super) async fn deliver(&mut self) -> bool {
        let Phase::Waiting(waiter) = &mut self.phase else {
            return false;
        };
        waiter.watch().await.unwrap();
        // What is there is there, however much was done since the last pause.
        match unconstrained(next(&mut waiter.watches)).now_or_never() {
            Some(told) => waiter.told(told).unwrap(),
            None => return false,
        }
        true
    }

    pub(super) async fn renew(&self, store: &MemoryStore) {
        if let Phase::Holding(held) = &self.phase {
            let asked = Moment::now();
            if store.keep_alive(held.lease()).await == Ok(true) {
                held.renewed(asked);
            }
        }
    }

    pub(super) async fn give_up(&mut self) {
        if let Phase::Waiting(waiter) = &mut self.phase {
            waiter.end_leases().await;
            self.phase = Phase::Idle;
        }
    }

    pub(super) async fn release(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Holding(held) => drop(held.release().await),
            other => self.phase = other,
        }
    }

    /// The lease that its entry is on.
    pub(super) fn lease(&self) -> Option<LeaseId> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Waiting(waiter) => waiter.state.waits_on().map(|Lease { id, .. }| id),
            Phase::Holding(held) => Some(held.lease()),
        }
    }
}
