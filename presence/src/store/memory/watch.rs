//! A running watch on the store in memory.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

use super::MemoryStore;
use crate::model::Revision;
use crate::store::{Event, Header, KeyRange, StoreError, Watch, WatchMessage};

/// How many revisions etcd sends at once to a watch that catches up
/// (`watchBatchMaxRevs`), and how long it waits before the next ones.
pub(super) const BATCH: usize = 1000;
const PAUSE: Duration = Duration::from_millis(100);

/// A watch on a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryWatch {
    pub(super) store: MemoryStore,
    pub(super) messages: UnboundedReceiver<Result<WatchMessage, StoreError>>,
    /// Nothing is delivered before.
    pub(super) paused_until: Option<Instant>,
}

impl MemoryWatch {
    fn pause_after(&mut self, message: &Result<WatchMessage, StoreError>) {
        if let Ok(WatchMessage::Events { events, .. }) = message
            && events.len() >= BATCH
        {
            let revisions: BTreeSet<Revision> = events.iter().map(Event::revision).collect();
            self.paused_until = (revisions.len() >= BATCH).then(|| Instant::now() + PAUSE);
        }
    }
}

/// What a watch is about.
#[derive(Debug)]
pub(super) enum Subject {
    Key(String),
    Range(KeyRange),
}

impl Subject {
    /// Those of the events that such a watch is told.
    pub fn of(&self, events: &[Event]) -> Vec<Event> {
        let within = |event: &&Event| match self {
            Self::Key(key) => event.key() == key,
            Self::Range(range) => range.contains(event.key()),
        };
        events.iter().filter(within).cloned().collect()
    }
}

/// The store's end of a watch.
#[derive(Debug)]
pub(super) struct Watcher {
    pub range: Subject,
    /// A watch from the future stays silent until it is there.
    pub after: Revision,
    pub messages: UnboundedSender<Result<WatchMessage, StoreError>>,
}

impl Watcher {
    /// `false`: nobody listens any more.
    pub fn tell(&self, header: Header, events: &[Event]) -> bool {
        let events = self.range.of(events);
        if events.is_empty() || header.revision <= self.after {
            return !self.messages.is_closed();
        }
        let message = WatchMessage::Events { header, events };
        self.messages.send(Ok(message)).is_ok()
    }
}

impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<WatchMessage, StoreError> {
        let mut frozen = self.store.frozen();
        loop {
            // The sender lives as long as the store that is held here.
            let _ = frozen.wait_for(|frozen| !frozen).await;
            if let Some(until) = self.paused_until {
                // Cancel-safe: the pause stays until it is over.
                sleep_until(until).await;
                self.paused_until = None;
            }
            let lease_ends = self.store.lease_ends();
            tokio::select! {
                biased;
                // Cancel-safe, all of them: nothing is taken out before it is
                // returned.
                _ = frozen.changed() => {}
                message = self.messages.recv() => {
                    if let Some(message) = &message {
                        self.pause_after(message);
                    }
                    return message.unwrap_or_else(|| Err(super::unavailable("the watch is over")));
                }
                () = lease_ends => {}
            }
        }
    }
}
