//! A running watch on the store in memory.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::MemoryStore;
use crate::model::Revision;
use crate::store::{Event, Header, StoreError, Watch, WatchMessage};

/// A watch on a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryWatch {
    pub(super) store: MemoryStore,
    pub(super) messages: UnboundedReceiver<Result<WatchMessage, StoreError>>,
}

/// What a watch is about.
#[derive(Debug)]
pub(super) enum Range {
    Key(String),
    Below(String),
}

impl Range {
    /// Those of the events that such a watch is told.
    pub fn of(&self, events: &[Event]) -> Vec<Event> {
        let within = |event: &&Event| match self {
            Self::Key(key) => event.key() == key,
            Self::Below(prefix) => event.key().starts_with(prefix),
        };
        events.iter().filter(within).cloned().collect()
    }
}

/// The store's end of a watch.
#[derive(Debug)]
pub(super) struct Watcher {
    pub range: Range,
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
            let lease_ends = self.store.lease_ends();
            tokio::select! {
                biased;
                // Cancel-safe, all of them: nothing is taken out before it is
                // returned.
                _ = frozen.changed() => {}
                message = self.messages.recv() => {
                    return message.unwrap_or_else(|| Err(super::unavailable("the watch is over")));
                }
                () = lease_ends => {}
            }
        }
    }
}
