//! A running watch on etcd.

use std::sync::Arc;

use etcd_client::{WatchOptions, WatchResponse, WatchStream};

use super::connection::{Connection, Member};
use super::convert;
use super::failure::Failure;
use super::listing::LARGEST_ANSWER;
use crate::model::Revision;
use crate::store::{StoreError, Watch, WatchMessage};

/// A watch on etcd itself.
pub struct EtcdWatch {
    stream: WatchStream,
    subject: String,
    after: Revision,
    connection: Arc<Connection>,
    member: Member,
}

impl EtcdWatch {
    pub(super) async fn start(
        connection: &Arc<Connection>,
        subject: &str,
        range: WatchOptions,
        after: Revision,
    ) -> Result<Self, StoreError> {
        let start = |member: Member| create(member, subject, range.clone(), after);
        let (stream, member) = connection.call_member(subject, None, start).await?;
        Ok(Self {
            stream,
            subject: subject.to_owned(),
            after,
            connection: connection.clone(),
            member,
        })
    }

    async fn message(&mut self) -> Result<WatchMessage, Failure> {
        loop {
            let ended = || Failure::Unavailable("the connection was closed".to_owned());
            let answer = self.stream.message().await?.ok_or_else(ended)?;
            if answer.compact_revision() > 0 {
                return Ok(WatchMessage::Compacted(Revision(answer.compact_revision())));
            }
            refuse_cancelled(&answer)?;
            if let Some(message) = self.told(&answer)? {
                return Ok(message);
            }
        }
    }

    /// `None`: nothing that was asked for.
    fn told(&self, answer: &WatchResponse) -> Result<Option<WatchMessage>, Failure> {
        let header = convert::header(answer.header())?;
        if answer.created() {
            return Ok(None);
        }
        if answer.events().is_empty() {
            return Ok(Some(WatchMessage::Progress(header)));
        }
        let events = answer.events().iter().filter_map(convert::event);
        let events: Vec<_> = events
            .filter(|event| event.revision() > self.after)
            .collect();
        Ok((!events.is_empty()).then_some(WatchMessage::Events { header, events }))
    }
}

impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<WatchMessage, StoreError> {
        match self.message().await {
            Ok(message) => Ok(message),
            Err(failure) => {
                self.connection.failed(&self.member, &failure);
                Err(failure.at(&self.member.place, &self.subject, None))
            }
        }
    }
}

/// Waits until etcd says that the watch stands, so that a permission that is
/// missing is seen here.
///
/// The watch starts at `after` itself, not at the revision behind it: etcd
/// before 3.4.36 and 3.5.18 compacts a deletion away that happened at the very
/// revision compacted to, and a watch from just there misses it in silence.
/// One revision earlier it says that it is compacted.
async fn create(
    member: Member,
    subject: &str,
    range: WatchOptions,
    after: Revision,
) -> Result<(WatchStream, Member), Failure> {
    let options = range
        .with_start_revision(after.0.max(1))
        .with_prev_key()
        .with_progress_notify();
    let mut watches = member
        .client
        .watch_client()
        .max_decoding_message_size(LARGEST_ANSWER);
    let mut stream = watches.watch(subject, Some(options)).await?;
    let ended = || Failure::Unavailable("the watch was closed at once".to_owned());
    let answer = stream.message().await?.ok_or_else(ended)?;
    refuse_cancelled(&answer)?;
    Ok((stream, member))
}

fn refuse_cancelled(answer: &WatchResponse) -> Result<(), Failure> {
    if answer.canceled() {
        return Err(Failure::of_cancelled_watch(answer.cancel_reason()));
    }
    Ok(())
}
