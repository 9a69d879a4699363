//! Follows one key of the store, and nothing of the keys that begin with it.

use std::time::Duration;

use presence::model::Revision;
use presence::process::backoff::Backoff;
use presence::process::complaint::Complaint;
use presence::store::{Entry, Event, Store, StoreError, Watch, WatchMessage};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::run::REMINDER;

/// Interval of consistent reads: a watch of a history that was reset stays silent.
const CHECK: Duration = Duration::from_secs(5);
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What is known of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyState<T> {
    /// It has not been read yet.
    Starting,
    /// The store does not answer.
    Lost,
    /// The value, if the key exists and its value can be read.
    Current(Option<T>),
}

/// Follows one key. It ends when it is dropped.
pub(super) struct KeyWatch<T> {
    state: watch::Receiver<KeyState<T>>,
    _task: JoinSet<()>,
}

impl<T: Clone + Send + Sync + 'static> KeyWatch<T> {
    /// Follows the key; `read` converts its values.
    pub fn start<S: Store>(
        store: &S,
        key: String,
        read: impl Fn(&Entry) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let (state_there, state) = watch::channel(KeyState::Starting);
        let follower = Follower {
            store: store.clone(),
            key,
            read,
            seen: None,
            published: None,
            state: state_there,
            backoff: Backoff::new(RETRY.0, RETRY.1),
        };
        let mut task = JoinSet::new();
        task.spawn(follower.run());
        Self { state, _task: task }
    }

    /// What is known of the key now.
    pub fn state(&self) -> KeyState<T> {
        self.state.borrow().clone()
    }

    /// Ready when that has changed. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Follower<S, T, F> {
    store: S,
    key: String,
    read: F,
    /// The revision up to which changes are known.
    seen: Option<Revision>,
    /// The mod_revision of what was published last, 0 without a key.
    published: Option<Revision>,
    state: watch::Sender<KeyState<T>>,
    backoff: Backoff,
}

impl<S: Store, T, F: Fn(&Entry) -> Option<T>> Follower<S, T, F> {
    async fn run(mut self) {
        let mut complaint = Complaint::every(REMINDER);
        loop {
            if let Err(error) = self.follow().await {
                if complaint.is_due(&error.to_string()) {
                    tracing::warn!("cannot read {}: {error}", self.key);
                }
                self.state.send_replace(KeyState::Lost);
            }
            sleep(self.backoff.failed()).await;
        }
    }

    /// Reads the key and follows it, until the watch is of no more use.
    async fn follow(&mut self) -> Result<(), StoreError> {
        (self.seen, self.published) = (None, None);
        let mut at = self.get().await?;
        let mut watch = self.store.watch_key(&self.key, at).await?;
        let mut check = interval_at(Instant::now() + CHECK, CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // Cancel-safe by contract of the trait.
                message = watch.next() => match message? {
                    WatchMessage::Events { events, .. } => self.apply(&events),
                    WatchMessage::Progress(_) => {}
                    WatchMessage::Compacted(_) => return Ok(()),
                },
                // Cancel-safe: a tick that is dropped stays due.
                _ = check.tick() => {
                    let now = self.get().await?;
                    if now < at {
                        return Ok(());
                    }
                    at = now;
                    self.backoff.succeeded();
                }
            }
        }
    }

    /// Reads the key; returns the store's revision.
    async fn get(&mut self) -> Result<Revision, StoreError> {
        let fetched = self.store.get(&self.key).await?;
        self.seen = Some(fetched.header.revision);
        self.publish(fetched.entry.as_ref());
        Ok(fetched.header.revision)
    }

    fn apply(&mut self, events: &[Event]) {
        // A read may have been ahead of the watch.
        let is_new = |event: &&Event| Some(event.revision()) > self.seen;
        let Some(last) = events.iter().rfind(is_new) else {
            return;
        };
        self.seen = Some(last.revision());
        match last {
            Event::Put { entry, .. } => self.publish(Some(entry)),
            Event::Delete { .. } => self.publish(None),
        }
    }

    fn publish(&mut self, entry: Option<&Entry>) {
        let modified = entry.map_or(Revision(0), |entry| entry.mod_revision);
        if self.published.replace(modified) == Some(modified) {
            return;
        }
        let value = entry.and_then(&self.read);
        self.state.send_replace(KeyState::Current(value));
    }
}

#[cfg(test)]
mod tests {
    use presence::store::Transaction;
    use presence::store::memory::MemoryStore;

    use super::*;

    const KEY: &str = "/a/1";

    async fn put(store: &MemoryStore, key: &str, value: &str) {
        store.commit(Transaction::put(key, value)).await.unwrap();
    }

    async fn until(watch: &mut KeyWatch<String>, expected: KeyState<&str>) {
        let expected = match expected {
            KeyState::Current(value) => KeyState::Current(value.map(str::to_owned)),
            KeyState::Lost => KeyState::Lost,
            KeyState::Starting => KeyState::Starting,
        };
        // The clock is paused, so this is as long as it takes.
        let seen = watch.state.wait_for(|state| *state == expected);
        let seen = tokio::time::timeout(Duration::from_mins(1), seen).await;
        assert!(seen.is_ok(), "{expected:?} is expected");
    }

    fn start(store: &MemoryStore) -> KeyWatch<String> {
        KeyWatch::start(store, KEY.to_owned(), |entry| {
            String::from_utf8(entry.value.to_vec()).ok()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_value_is_followed_through_everything_that_a_store_does() {
        let store = MemoryStore::new();
        put(&store, KEY, "one").await;
        let old = store.snapshot();
        let mut watch = start(&store);
        until(&mut watch, KeyState::Current(Some("one"))).await;
        put(&store, KEY, "two").await;
        until(&mut watch, KeyState::Current(Some("two"))).await;
        let delete = Transaction::delete(KEY);
        store.commit(delete).await.unwrap();
        until(&mut watch, KeyState::Current(None)).await;
        store.set_unavailable(true);
        until(&mut watch, KeyState::Lost).await;
        store.set_unavailable(false);
        until(&mut watch, KeyState::Current(None)).await;
        put(&store, KEY, "three").await;
        until(&mut watch, KeyState::Current(Some("three"))).await;
        store.break_watches();
        put(&store, KEY, "four").await;
        store.compact(store.revision());
        until(&mut watch, KeyState::Current(Some("four"))).await;
        store.restore(&old);
        until(&mut watch, KeyState::Current(Some("one"))).await;
        put(&store, KEY, "again").await;
        until(&mut watch, KeyState::Current(Some("again"))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_of_other_keys_and_nothing_changes_without_a_change() {
        let store = MemoryStore::new();
        put(&store, KEY, "one").await;
        let mut watch = start(&store);
        until(&mut watch, KeyState::Current(Some("one"))).await;
        for number in 0..100 {
            put(&store, &format!("{KEY}{number}"), "other").await;
        }
        sleep(10 * CHECK).await;
        assert!(!watch.state.has_changed().unwrap());
        let counts = store.counts();
        assert_eq!((counts.lists, counts.watches), (0, 1));
    }
}
