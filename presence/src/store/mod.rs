//! What is needed of etcd, as a narrow trait in our own types.
//!
//! [`etcd`] is the real one, [`memory`] one that tests can steer; both pass
//! the same contract suite.

pub mod etcd;
pub mod memory;
mod range;
mod types;
pub(crate) mod watches;

use std::future::Future;
use std::time::Duration;

pub use range::KeyRange;
pub use types::{
    Commit, Compare, Condition, Entry, Event, Fetched, Header, Listing, MOST_OPERATIONS, Operation,
    StoreError, Transaction, WatchMessage,
};

use crate::model::{LeaseId, Revision};

/// How a key that is not UTF-8 is shown.
fn escaped(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// A store of keys with revisions, transactions, watches and leases.
///
/// Cheap to clone; clones share the connection. Every call ends by itself
/// within a few seconds, with [`StoreError::Unavailable`] if nobody answers.
pub trait Store: Clone + Send + Sync + 'static {
    /// What [`Store::watch`] gives.
    type Watch: Watch;

    /// Everything in the range at one revision: `at`, or now. Large ranges are
    /// read in pages of that one revision.
    ///
    /// [`StoreError::Compacted`] if `at` is history that is gone,
    /// [`StoreError::Rejected`] if it has not come yet.
    fn list_range(
        &self,
        range: &KeyRange,
        at: Option<Revision>,
    ) -> impl Future<Output = Result<Listing, StoreError>> + Send;

    /// The same of everything below `prefix`.
    fn list(
        &self,
        prefix: &str,
        at: Option<Revision>,
    ) -> impl Future<Output = Result<Listing, StoreError>> + Send {
        let range = KeyRange::below(prefix);
        async move { self.list_range(&range, at).await }
    }

    /// One key, and the header that tells revision and cluster in any case.
    fn get(&self, key: &str) -> impl Future<Output = Result<Fetched, StoreError>> + Send;

    /// What happens in the range after that revision, from then on.
    fn watch_range(
        &self,
        range: &KeyRange,
        after: Revision,
    ) -> impl Future<Output = Result<Self::Watch, StoreError>> + Send;

    /// The same of everything below `prefix`.
    fn watch(
        &self,
        prefix: &str,
        after: Revision,
    ) -> impl Future<Output = Result<Self::Watch, StoreError>> + Send {
        let range = KeyRange::below(prefix);
        async move { self.watch_range(&range, after).await }
    }

    /// What happens to this one key after that revision, from then on; nothing
    /// of the keys that begin with it.
    fn watch_key(
        &self,
        key: &str,
        after: Revision,
    ) -> impl Future<Output = Result<Self::Watch, StoreError>> + Send;

    /// Carries out the operations if all conditions hold, else nothing.
    fn commit(
        &self,
        transaction: Transaction,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send;

    /// A new lease of at least that long, whole seconds.
    fn grant(&self, ttl: Duration) -> impl Future<Output = Result<LeaseId, StoreError>> + Send;

    /// Renews the lease for its full time. `false`: the lease is gone.
    fn keep_alive(&self, lease: LeaseId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// How long the lease lives if nobody renews it, to the second. `None`:
    /// it is gone.
    fn time_left(
        &self,
        lease: LeaseId,
    ) -> impl Future<Output = Result<Option<Duration>, StoreError>> + Send;

    /// The keys that are on the lease. `None`: it is gone.
    fn keys_on(
        &self,
        lease: LeaseId,
    ) -> impl Future<Output = Result<Option<Vec<String>>, StoreError>> + Send;

    /// Whether the lease still exists.
    fn lease_exists(
        &self,
        lease: LeaseId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move { Ok(self.time_left(lease).await?.is_some()) }
    }

    /// Ends the lease and deletes its keys. `Ok` also if it is gone already.
    fn revoke(&self, lease: LeaseId) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A running watch. Dropping it ends it.
pub trait Watch: Send + 'static {
    /// The next message. Cancel-safe. After an error the watch is over.
    fn next(&mut self) -> impl Future<Output = Result<WatchMessage, StoreError>> + Send;
}
