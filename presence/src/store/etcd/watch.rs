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
    prefix: String,
    connection: Arc<Connection>,
    member: Member,
}

impl EtcdWatch {
    pub(super) async fn start(
        connection: &Arc<Connection>,
        prefix: &str,
        after: Revision,
    ) -> Result<Self, StoreError> {
        let start = |member: Member| create(member, prefix, after);
        let (stream, member) = connection.call_member(prefix, None, start).await?;
        Ok(Self {
            stream,
            prefix: prefix.to_owned(),
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
            if !answer.created() {
                return told(&answer);
            }
        }
    }
}

impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<WatchMessage, StoreError> {
        match self.message().await {
            Ok(message) => Ok(message),
            Err(failure) => {
                self.connection.failed(&self.member, &failure);
                Err(failure.at(&self.member.place, &self.prefix, None))
            }
        }
    }
}

/// Waits until etcd says that the watch stands, so that a permission that is
/// missing is seen here.
async fn create(
    member: Member,
    prefix: &str,
    after: Revision,
) -> Result<(WatchStream, Member), Failure> {
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(after.next().0)
        .with_prev_key()
        .with_progress_notify();
    let mut watches = member
        .client
        .watch_client()
        .max_decoding_message_size(LARGEST_ANSWER);
    let mut stream = watches.watch(prefix, Some(options)).await?;
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

fn told(answer: &WatchResponse) -> Result<WatchMessage, Failure> {
    let header = convert::header(answer.header())?;
    if answer.events().is_empty() {
        return Ok(WatchMessage::Progress(header));
    }
    let events = answer.events().iter().filter_map(convert::event).collect();
    Ok(WatchMessage::Events { header, events })
}
