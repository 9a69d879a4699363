//! etcd in memory, for tests: the same semantics, and everything that etcd
//! does only when things go wrong, at the word of the test.
//!
//! Leases end by tokio's clock, so that a test with a paused clock decides
//! when.

mod state;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch as latest};
use tokio::time::{Instant, sleep_until, timeout};

pub use watch::MemoryWatch;

use self::state::State;
use self::watch::{BATCH, Subject, Watcher};
use crate::model::{LeaseId, Revision};
use crate::store::{
    Commit, Entry, Event, Fetched, KeyRange, Listing, Operation, Store, StoreError, Transaction,
    WatchMessage,
};

/// Where it says it is.
const PLACE: &str = "memory";

/// As long as a call to etcd waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store in memory. Clones are the same store.
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    frozen: latest::Sender<bool>,
    /// Wakes watches whose next lease end has changed.
    leases: latest::Sender<()>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    watchers: Vec<Watcher>,
    unavailable: bool,
    failing: usize,
    losing: usize,
    breaking: bool,
    is_full: bool,
    counts: Counts,
}

/// How often what was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of every kind, failed ones too.
    pub calls: usize,
    /// Listings.
    pub lists: usize,
    /// Single keys.
    pub gets: usize,
    /// Watches begun.
    pub watches: usize,
    /// Transactions, those that failed and those that changed nothing too.
    pub commits: usize,
    /// Transactions that changed something.
    pub writes: usize,
    /// New leases.
    pub grants: usize,
    /// Renewals.
    pub keep_alives: usize,
}

/// The content of a store at one moment, as `etcdctl snapshot save` takes it.
#[derive(Debug, Clone)]
pub struct Snapshot(State);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            inner: Mutex::new(Inner {
                state: State::empty(1),
                watchers: Vec::new(),
                unavailable: false,
                failing: 0,
                losing: 0,
                breaking: false,
                is_full: false,
                counts: Counts::default(),
            }),
            frozen: latest::Sender::new(false),
            leases: latest::Sender::new(()),
        }))
    }

    /// The revision that it is at.
    pub fn revision(&self) -> Revision {
        self.inner().state.header.revision
    }

    /// A key, uncounted and whatever the state of the store.
    pub fn peek(&self, key: &str) -> Option<Entry> {
        self.inner().state.entry(key).cloned()
    }

    /// How often what was asked so far.
    pub fn counts(&self) -> Counts {
        self.inner().counts
    }

    /// Forgets history up to this revision.
    pub fn compact(&self, to: Revision) {
        self.inner().state.compact(to);
    }

    /// Ends a lease as if its time were over.
    pub fn expire(&self, lease: LeaseId) {
        let mut inner = self.inner();
        let events = inner.state.end_lease(lease);
        inner.tell(&events);
    }

    /// A sign of life to every watch.
    pub fn progress(&self) {
        let inner = self.inner();
        let message = WatchMessage::Progress(inner.state.header);
        for watcher in &inner.watchers {
            let _ = watcher.messages.send(Ok(message.clone()));
        }
    }

    /// Every call fails at once, and watches break; or no longer.
    pub fn set_unavailable(&self, unavailable: bool) {
        let mut inner = self.inner();
        inner.unavailable = unavailable;
        if unavailable {
            inner.break_watches("connection refused");
        }
    }

    /// Calls hang until they time out, watches fall silent.
    pub fn freeze(&self) {
        self.0.frozen.send_replace(true);
    }

    /// The end of [`Self::freeze`].
    pub fn thaw(&self) {
        self.0.frozen.send_replace(false);
    }

    /// As if etcd's storage quota were used up; or no longer.
    pub fn set_full(&self, is_full: bool) {
        self.inner().is_full = is_full;
    }

    /// The next `n` calls fail, and nothing is done.
    pub fn fail_next(&self, n: usize) {
        self.inner().failing = n;
    }

    /// The next `n` calls are carried out, but their answers are lost.
    pub fn lose_next_answers(&self, n: usize) {
        self.inner().losing = n;
    }

    /// Breaks every watch; the next one works.
    pub fn break_watches(&self) {
        self.inner().break_watches("connection reset by peer");
    }

    /// Every watch breaks as soon as it stands, as behind a proxy that cuts
    /// streams; or no longer.
    pub fn set_watches_break_at_once(&self, breaking: bool) {
        let mut inner = self.inner();
        inner.breaking = breaking;
        if breaking {
            inner.break_watches("connection reset by peer");
        }
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.inner().state.clone())
    }

    /// Back to that moment: history is replaced, the cluster stays the same.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.replace(snapshot.0.clone());
    }

    /// Empty, at revision 1, and another cluster.
    pub fn wipe(&self) {
        let cluster = self.inner().state.header.cluster;
        self.replace(State::empty(cluster + 1));
    }

    fn replace(&self, mut state: State) {
        let mut inner = self.inner();
        state.outlive(&inner.state);
        inner.state = state;
        inner.break_watches("history was replaced");
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some(lease) = inner.state.overdue(now) {
            let events = inner.state.end_lease(lease);
            inner.tell(&events);
        }
        inner
    }

    fn frozen(&self) -> latest::Receiver<bool> {
        self.0.frozen.subscribe()
    }

    /// Returns when a lease may have ended.
    fn lease_ends(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut leases = self.0.leases.subscribe();
        let end = self.inner().state.next_end();
        async move {
            let end = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end => {}
                _ = leases.changed() => {}
            }
        }
    }

    async fn start_watch(
        &self,
        range: Subject,
        after: Revision,
    ) -> Result<MemoryWatch, StoreError> {
        let watch = |inner: &mut Inner| Ok(inner.watch(range, after));
        let messages = self.call(|counts| &mut counts.watches, watch).await?;
        Ok(MemoryWatch {
            store: self.clone(),
            messages,
            paused_until: None,
        })
    }

    async fn call<T>(
        &self,
        count: fn(&mut Counts) -> &mut usize,
        operation: impl FnOnce(&mut Inner) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner().counts.calls += 1;
        let mut frozen = self.frozen();
        if timeout(PATIENCE, frozen.wait_for(|frozen| !frozen))
            .await
            .is_err()
        {
            return Err(unavailable("no answer in time"));
        }
        let mut inner = self.inner();
        *count(&mut inner.counts) += 1;
        if inner.unavailable {
            return Err(unavailable("connection refused"));
        }
        if take_one(&mut inner.failing) {
            return Err(unavailable("the request was lost"));
        }
        let answer = operation(&mut inner);
        if take_one(&mut inner.losing) {
            return Err(unavailable("the answer was lost"));
        }
        answer
    }
}

impl Inner {
    /// etcd looks for puts on either side before it looks at the conditions.
    fn check_space(&self, transaction: &Transaction) -> Result<(), StoreError> {
        let mut operations = transaction.then.iter();
        let puts = operations.any(|operation| matches!(operation, Operation::Put { .. }));
        if self.is_full && puts {
            return Err(no_space());
        }
        Ok(())
    }

    fn tell(&mut self, events: &[Event]) {
        let header = self.state.header;
        if !events.is_empty() {
            self.watchers.retain(|watcher| watcher.tell(header, events));
        }
    }

    fn break_watches(&mut self, reason: &str) {
        for watcher in self.watchers.drain(..) {
            let _ = watcher.messages.send(Err(unavailable(reason)));
        }
    }

    fn watch(
        &mut self,
        range: Subject,
        after: Revision,
    ) -> mpsc::UnboundedReceiver<Result<WatchMessage, StoreError>> {
        let (messages, received) = mpsc::unbounded_channel();
        let header = self.state.header;
        if after < self.state.compacted {
            let _ = messages.send(Ok(WatchMessage::Compacted(self.state.compacted)));
            return received;
        }
        if self.breaking {
            let _ = messages.send(Err(unavailable("connection reset by peer")));
            return received;
        }
        for events in self.state.since(&range, after).chunks(BATCH) {
            let events = events.concat();
            let _ = messages.send(Ok(WatchMessage::Events { header, events }));
        }
        self.watchers.push(Watcher {
            range,
            after,
            messages,
        });
        received
    }
}

impl Store for MemoryStore {
    type Watch = MemoryWatch;

    async fn list_range(
        &self,
        range: &KeyRange,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        self.call(
            |counts| &mut counts.lists,
            |inner| inner.state.list(range, at),
        )
        .await
    }

    async fn get(&self, key: &str) -> Result<Fetched, StoreError> {
        let get = |inner: &mut Inner| {
            Ok(Fetched {
                header: inner.state.header,
                entry: inner.state.entry(key).cloned(),
            })
        };
        self.call(|counts| &mut counts.gets, get).await
    }

    async fn watch_range(
        &self,
        range: &KeyRange,
        after: Revision,
    ) -> Result<MemoryWatch, StoreError> {
        self.start_watch(Subject::Range(range.clone()), after).await
    }

    async fn watch_key(&self, key: &str, after: Revision) -> Result<MemoryWatch, StoreError> {
        self.start_watch(Subject::Key(key.to_owned()), after).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Commit, StoreError> {
        let commit = |inner: &mut Inner| {
            inner.check_space(&transaction)?;
            let (commit, events) = inner.state.commit(&transaction)?;
            inner.counts.writes += usize::from(!events.is_empty());
            inner.tell(&events);
            Ok(commit)
        };
        self.call(|counts| &mut counts.commits, commit).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let grant = |inner: &mut Inner| {
            if inner.is_full {
                return Err(no_space());
            }
            Ok(inner.state.grant(ttl, Instant::now()))
        };
        let lease = self.call(|counts| &mut counts.grants, grant).await;
        self.0.leases.send_replace(());
        lease
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<bool, StoreError> {
        let renew = |inner: &mut Inner| Ok(inner.state.keep_alive(lease, Instant::now()));
        self.call(|counts| &mut counts.keep_alives, renew).await
    }

    async fn time_left(&self, lease: LeaseId) -> Result<Option<Duration>, StoreError> {
        let left = |inner: &mut Inner| Ok(inner.state.time_left(lease, Instant::now()));
        self.call(|counts| &mut counts.gets, left).await
    }

    async fn keys_on(&self, lease: LeaseId) -> Result<Option<Vec<String>>, StoreError> {
        let keys = |inner: &mut Inner| Ok(inner.state.keys_on(lease));
        self.call(|counts| &mut counts.gets, keys).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let revoke = |inner: &mut Inner| {
            let events = inner.state.end_lease(lease);
            inner.tell(&events);
            Ok(())
        };
        self.call(|counts| &mut counts.commits, revoke).await
    }
}

fn take_one(left: &mut usize) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

fn no_space() -> StoreError {
    StoreError::NoSpace {
        endpoints: PLACE.to_owned(),
        reason: "etcdserver: mvcc: database space exceeded".to_owned(),
    }
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable {
        endpoints: PLACE.to_owned(),
        reason: reason.to_owned(),
    }
}
