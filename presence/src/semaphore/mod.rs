//! A fair semaphore: startup leases, rollout budgets, the managers' election.
//!
//! Who wants to hold queues up with an entry of its own, and it is its turn
//! when all who came before hold and there is a slot left. So holders are
//! always the head of the queue, they come to hold in the order of arrival, and
//! the grant needs to compare only the own entry and the number of slots: who
//! looked at a stale queue can have missed departures, no arrivals.
//!
//! **Fencing.** The token of a holder is the create_revision of its entry. As
//! the order of arrival is that of the grants, each grant has a higher token
//! than all before it, for any number of slots. With one slot, what refuses a
//! lower token than it has seen is safe from a holder of yesterday who does not
//! know it yet. With several it would refuse one of today: there the token
//! tells holders apart, no more. A process that takes over what another
//! process of the same service ID on the same host holds (below) has the token
//! of that one: to the others they are one holder.
//!
//! **Re-entry.** What this service ID on this host holds already is moved on to
//! a lease of the new process, at once and whatever the number of slots. The
//! process before, if there is one, learns that it was taken over. Where
//! another process of the service ID waits, its turn is waited for. Processes
//! that are to exclude each other need service IDs of their own. The same ID on
//! another host has to wait until the entry is gone.
//!
//! **Leases.** An entry that waits is on a short lease, renewed by who waits.
//! With the grant it moves on to a lease of the time asked for: in one
//! transaction, so that it is always on one or the other. From then on it is
//! held until it is released or the lease ends, whether the process lives or
//! not. [`Held::keep`] renews it, for those that hold it as a lock.
//!
//! **No herd.** Who waits watches its own entry, the number of slots, and the
//! nearest ahead of it, as many as there are slots: before its turn comes one of
//! them must end or hold.
//!
//! `queue` and `state` decide and are pure; [`Semaphore`] and [`Held`] carry it
//! out.

mod acquire;
mod held;
mod progress;
mod queue;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch as latest;

pub use held::{Held, Lost};
pub use progress::{Holder, Progress};
pub use queue::{Place, Queue, Slots, Ticket};

use crate::keys::semaphore as keys;
use crate::model::{HostId, Revision, ServiceId};
use crate::process::clock::Clock;
use crate::store::{Condition, Listing, Store, StoreError, Transaction, Watch, WatchMessage};

/// The time of the lease of who waits.
pub const WAITING: Duration = Duration::from_secs(10);

/// Who wants to hold, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who. One holder, however many processes.
    pub service: ServiceId,
    /// Where it runs.
    pub host: HostId,
    /// For how long it is held if nobody renews it. etcd counts whole seconds.
    pub ttl: Duration,
    /// For how long a place in the queue outlives who waits; as a rule
    /// [`WAITING`].
    pub waiting: Duration,
    /// How many may hold where the store does not say.
    pub slots: u32,
}

/// A semaphore in the store.
#[derive(Debug, Clone)]
pub struct Semaphore<S> {
    store: S,
    keys: keys::Semaphore,
    clock: Clock,
}

impl<S: Store> Semaphore<S> {
    /// The semaphore of these keys.
    pub fn new(store: S, keys: keys::Semaphore, clock: Clock) -> Self {
        Self { store, keys, clock }
    }

    /// Waits until it is this one's turn, or until `give_up`: then the queue is
    /// left, and nothing but the own entry is deleted. `None`: gave up.
    ///
    /// An etcd that is away is waited for; `progress` says so. An error is one
    /// that waiting does not mend. If this future is dropped, the entry ends
    /// with its lease.
    pub async fn acquire(
        &self,
        claim: Claim,
        progress: &latest::Sender<Progress>,
        give_up: impl Future<Output = ()>,
    ) -> Result<Option<Held<S>>, StoreError> {
        acquire::run(self, claim, progress, give_up).await
    }

    /// All that hold and wait.
    pub async fn queue(&self) -> Result<Queue, StoreError> {
        let listing = self.store.list(&self.keys.prefix(), None).await?;
        Ok(self.read(&listing))
    }

    /// All that hold and wait by a listing of the keys.
    pub fn read(&self, listing: &Listing) -> Queue {
        Queue::read(&self.keys, listing)
    }

    /// Who holds, and for how long at most if nobody renews it.
    pub async fn holders(&self, queue: &Queue) -> Result<Vec<Holder>, StoreError> {
        let asked = queue.holders().map(async |place| {
            let left = match place.lease {
                Some(lease) => Some(self.store.time_left(lease).await?.unwrap_or_default()),
                None => None,
            };
            Ok(Holder::new(place, left))
        });
        join_all(asked).await.into_iter().collect()
    }

    /// What this service on this host holds, if it does.
    pub async fn held_by(
        &self,
        service: &ServiceId,
        host: &HostId,
    ) -> Result<Option<Place>, StoreError> {
        let (place, _) = self.look(service).await?;
        Ok(place.filter(|place| place.holds() && place.is_on(host)))
    }

    /// The place of this service, if it has one, and the revision at which that
    /// was so.
    pub async fn look(&self, service: &ServiceId) -> Result<(Option<Place>, Revision), StoreError> {
        let fetched = self.store.get(&self.keys.entry(service)).await?;
        let place = fetched
            .entry
            .map(|entry| Place::new(service.clone(), &entry));
        Ok((place, fetched.header.revision))
    }

    /// Returns when the place of this service may have changed after that
    /// revision.
    pub async fn changed(&self, service: &ServiceId, after: Revision) -> Result<(), StoreError> {
        let key = self.keys.entry(service);
        let mut watch = self.store.watch_key(&key, after).await?;
        while let WatchMessage::Progress(_) = watch.next().await? {}
        Ok(())
    }

    /// Releases what is held, exactly as it was seen. `false`: it is not held
    /// so any more, and nothing is done.
    pub async fn release(&self, held: &Place) -> Result<bool, StoreError> {
        let key = self.keys.entry(&held.service);
        let unchanged = Condition::ModRevision(held.at);
        let release = Transaction::delete(key.as_str()).when(key, unchanged);
        Ok(self.store.commit(release).await?.succeeded)
    }

    /// Says how many may hold. With fewer than hold now, nobody new does until
    /// enough have gone; with 0 nobody at all.
    pub async fn set_slots(&self, slots: u32) -> Result<(), StoreError> {
        let put = Transaction::put(self.keys.slots(), slots.to_string());
        self.store.commit(put).await.map(drop)
    }
}
