//! What is to be done next until we hold.
//!
//! Pure: it is told what happened and what time it is, and says one step at a
//! time. A step that is being carried out may be abandoned at any point, and
//! may then be done all the same, also much later.

mod turn;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Place, Queue};
use super::{Claim, Progress};
use crate::keys::semaphore::{Semaphore, SemaphoreKey};
use crate::model::{LeaseId, Revision};
use crate::process::backoff::Backoff;
use crate::process::clock::Clock;
use crate::process::deadline::Moment;
use crate::store::{Commit, Event, Listing, StoreError, Transaction};

/// Waits after failures: short at first, as most outages are, and so short
/// that a place in the queue outlives the last of them.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How often the queue is read while nothing happens, so that who waits can be
/// told the position: a second for each in it, and so as many entries a second
/// as wait, but not below this.
const REFRESH: Duration = Duration::from_secs(10);

/// What a lease is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Waiting; renewed by who waits.
    Wait,
    /// Holding.
    Hold,
}

/// A lease of ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lease {
    pub id: LeaseId,
    /// When the last request that gave it its full time was sent.
    pub asked: Moment,
}

/// One call to the store.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Get a lease of so long.
    Grant(Purpose, Duration),
    /// Renew the lease that we wait on.
    Renew(LeaseId),
    /// Queue up.
    Join(Transaction),
    /// Read the whole queue.
    Read,
    /// Turn our place into a holder's, on this lease.
    Hold(Hold, Transaction),
}

/// How we hold, or will if the transaction is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hold {
    pub lease: Lease,
    pub token: Revision,
    /// What another process of this service on this host held already is taken
    /// over from it.
    pub taken_over: bool,
}

/// What is known of the queue.
#[derive(Debug)]
enum Sight {
    /// We are not in it, as far as we know.
    Out,
    Unknown,
    Known(Queue),
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct State {
    claim: Claim,
    keys: Semaphore,
    clock: Clock,
    waiting: Option<Lease>,
    renew_at: Option<Instant>,
    /// For the next attempt to hold.
    holding: Option<Lease>,
    /// Granted for an attempt that was not made.
    unused: Vec<LeaseId>,
    /// Attempts to hold: each may have succeeded, or do so yet.
    attempts: Vec<Hold>,
    sight: Sight,
    refresh_at: Option<Instant>,
    /// The place that we had when we last looked.
    queued: Option<Revision>,
    requeued: u32,
    held: Option<Hold>,
    backoff: Backoff,
    not_before: Option<Instant>,
    trouble: Option<String>,
}

impl State {
    pub fn new(keys: Semaphore, claim: Claim, clock: Clock) -> Self {
        let (first, longest) = WAITS;
        Self {
            claim,
            keys,
            clock,
            waiting: None,
            renew_at: None,
            holding: None,
            unused: Vec::new(),
            attempts: Vec::new(),
            sight: Sight::Out,
            refresh_at: None,
            queued: None,
            requeued: 0,
            held: None,
            backoff: Backoff::new(first, longest),
            not_before: None,
            trouble: None,
        }
    }

    /// The next step, if there is one now. To be asked again after each.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        if self.held.is_some() || self.not_before.is_some_and(|wait| wait > now) {
            return None;
        }
        if let (Some(lease), Some(at)) = (self.waiting, self.renew_at)
            && at <= now
        {
            return Some(Step::Renew(lease.id));
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.look_again();
        }
        let place = match &self.sight {
            Sight::Unknown => return Some(Step::Read),
            Sight::Out => None,
            Sight::Known(queue) => queue.place(&self.claim.service),
        };
        match place.cloned() {
            None => Some(self.join()),
            Some(place) => self.hold(&place),
        }
    }

    /// When [`Self::next`] has something to say, if nothing happens before.
    pub fn wakes_at(&self) -> Option<Instant> {
        let first = self.renew_at.into_iter().chain(self.refresh_at).min();
        // What failed is done again as soon as it may.
        self.not_before.or(first)
    }

    /// The keys that tell when there is something to do, and from when on.
    pub fn watched(&self) -> Option<(Vec<String>, Revision)> {
        let Sight::Known(queue) = &self.sight else {
            return None;
        };
        let place = queue.place(&self.claim.service)?;
        let mut keys = vec![self.key()];
        if self.is_ours(place) {
            keys.push(self.keys.slots());
            let nearest = queue.nearest(place.token, self.allowed(queue));
            keys.extend(nearest.into_iter().map(|service| self.keys.entry(service)));
        }
        Some((keys, queue.revision))
    }

    pub fn granted(&mut self, purpose: Purpose, lease: Lease) {
        self.works();
        match purpose {
            Purpose::Wait => self.wait_on(lease),
            Purpose::Hold => self.holding = Some(lease),
        }
    }

    pub fn renewed(&mut self, lease: Lease, alive: bool) {
        self.works();
        if alive {
            self.wait_on(lease);
        } else {
            self.lost(lease.id);
        }
    }

    pub fn joined(&mut self, commit: &Commit) {
        self.works();
        self.queued = commit.succeeded.then_some(commit.header.revision);
        self.sight = Sight::Unknown;
    }

    pub fn read(&mut self, listing: &Listing, now: Instant) {
        self.works();
        let queue = Queue::read(&self.keys, listing);
        let place = queue.place(&self.claim.service);
        let ours = place.filter(|place| self.is_ours(place));
        if ours.is_some_and(Place::holds) {
            self.held = ours.and_then(|place| self.attempt(place));
        }
        let queued = ours.map(|place| place.token);
        if self.queued.is_some_and(|before| queued != Some(before)) {
            self.requeued += 1;
        }
        self.queued = queued;
        self.refresh_at = Some(now + until_refresh(queue.places.len()));
        self.sight = Sight::Known(queue);
    }

    pub fn attempted(&mut self, hold: Hold, commit: &Commit) {
        self.works();
        self.holding = None;
        if commit.succeeded {
            self.held = Some(hold);
        } else {
            self.look_again();
        }
    }

    /// A change that the watch of this key told.
    pub fn happened(&mut self, event: &Event) {
        let Sight::Known(queue) = &mut self.sight else {
            return;
        };
        let follows = match self.keys.parse(event.key()) {
            _ if event.revision() <= queue.revision => true,
            Ok(SemaphoreKey::Entry(service)) if service != self.claim.service => {
                queue.follows(&service, event)
            }
            _ => false,
        };
        if !follows {
            self.look_again();
        }
    }

    pub fn failed(&mut self, step: &Step, error: &StoreError, now: Instant) {
        if let Step::Join(_) | Step::Hold(..) = step {
            self.look_again();
        }
        match error {
            StoreError::LeaseGone(lease) => self.lost(*lease),
            error => self.trouble = Some(error.to_string()),
        }
        self.not_before = Some(now + self.backoff.failed());
    }

    /// A watch is over.
    pub fn watch_ended(&mut self, why: &StoreError, now: Instant) {
        self.look_again();
        if !matches!(why, StoreError::Compacted) {
            self.trouble = Some(why.to_string());
            self.not_before = Some(now + self.backoff.failed());
        }
    }

    /// The lease that we wait on.
    #[cfg(test)]
    pub fn waits_on(&self) -> Option<Lease> {
        self.waiting
    }

    /// How we hold, once we do.
    pub fn held(&self) -> Option<Hold> {
        self.held
    }

    /// Leases that are to end with us: all of ours, but for the one that we
    /// hold on, and those that what was held before us may have moved on to.
    pub fn leases(&self) -> BTreeSet<LeaseId> {
        let attempts = self.attempts.iter().map(|hold| hold.lease);
        let all = self.waiting.into_iter().chain(self.holding).chain(attempts);
        let unused = self.unused.iter().copied();
        let mut leases: BTreeSet<_> = all.map(|lease| lease.id).chain(unused).collect();
        let taken_over = self.attempts.iter().filter(|hold| hold.taken_over);
        for hold in self.held.iter().chain(taken_over) {
            leases.remove(&hold.lease.id);
        }
        leases
    }

    pub fn progress(&self) -> Progress {
        let mut progress = Progress {
            requeued: self.requeued,
            trouble: self.trouble.clone(),
            ..Progress::default()
        };
        if let Sight::Known(queue) = &self.sight {
            progress.queue = Some(queue.clone());
            progress.allowed = self.allowed(queue);
            progress.token = self.queued;
        }
        progress
    }

    fn key(&self) -> String {
        self.keys.entry(&self.claim.service)
    }

    fn allowed(&self, queue: &Queue) -> u32 {
        queue.allowed(self.claim.slots)
    }

    fn is_ours(&self, place: &Place) -> bool {
        let on = |lease: &Lease| place.lease == Some(lease.id);
        self.waiting.as_ref().is_some_and(on) || self.attempt(place).is_some()
    }

    /// The attempt that made us hold this place.
    fn attempt(&self, place: &Place) -> Option<Hold> {
        let mut attempts = self.attempts.iter().rev();
        let of = |hold: &&Hold| place.lease == Some(hold.lease.id) && place.token == hold.token;
        attempts.find(of).copied()
    }

    fn wait_on(&mut self, lease: Lease) {
        self.waiting = Some(lease);
        // Where one lease serves both, an attempt holds as long as it lasts.
        for hold in &mut self.attempts {
            if hold.lease.id == lease.id {
                hold.lease = lease;
            }
        }
        self.renew_at = Some(lease.asked.instant() + self.claim.waiting / 3);
    }

    fn lost(&mut self, lease: LeaseId) {
        if self.waiting.is_some_and(|waiting| waiting.id == lease) {
            self.waiting = None;
            self.renew_at = None;
        }
        self.look_again();
    }

    fn look_again(&mut self) {
        self.sight = Sight::Unknown;
        self.refresh_at = None;
        // The next attempt is to have the whole time of its lease.
        self.unused
            .extend(self.holding.take().map(|lease| lease.id));
    }

    fn works(&mut self) {
        self.backoff.succeeded();
        self.not_before = None;
        self.trouble = None;
    }
}

/// Not all at once, though all may have read it at once.
fn until_refresh(places: usize) -> Duration {
    let places = u64::try_from(places).unwrap_or(u64::MAX);
    let whole = REFRESH.max(Duration::from_secs(places));
    whole.mul_f64(0.75 + fastrand::f64() / 2.0)
}
