//! A running watch on the store in memory.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::MemoryStore;
use super::state::below;
use crate::model::Revision;
use crate::store::{Event, Header, StoreError, Watch, WatchMessage};

/// A watch on a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryWatch {
    pub(super) store: MemoryStore,
    pub(super) messages: UnboundedReceiver<Result<WatchMessage, StoreError>>,
}

/// The store's end of a watch.
#[derive(Debug)]
pub(super) struct Watcher {
    pub prefix: String,
    /// A watch from the future stays silent until it is there.
    pub after: Revision,
    pub messages: UnboundedSender<Result<WatchMessage, StoreError>>,
}

impl Watcher {
    /// `false`: nobody listens any more.
    pub fn tell(&self, header: Header, events: &[Event]) -> bool {
        let events = below(&self.prefix, events);
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
