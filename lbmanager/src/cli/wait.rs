//! Waits until the managers' answer is in etcd.

use std::time::Duration;

use clap::Args;
use presence::keys;
use presence::model::{MemberKey, Revision};
use presence::process::duration;
use presence::process::exit::Failure;
use presence::store::{Entry, Event, Store, StoreError, Watch, WatchMessage};

use super::refused;
use crate::record::{MemberRecord, Record, State};

/// `--wait`.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Wait until a manager reports that it is done, 5 minutes unless told
    /// otherwise; exit 1 if it does not in time
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
          default_missing_value = "5m", value_parser = duration::parse)]
    wait: Option<Duration>,
}

/// What a member is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Serving,
    Out,
}

impl WaitArgs {
    /// Waits, if asked to, until the status of the load balancer shows the
    /// change of that revision as done.
    pub(super) async fn member<S: Store>(
        &self,
        store: &S,
        member: &MemberKey,
        revision: Revision,
        goal: Goal,
    ) -> Result<(), Failure> {
        let Some(limit) = self.wait else {
            return Ok(());
        };
        let key = keys::status::balancer(&member.balancer);
        let mut last = "no manager has looked at the load balancer".to_owned();
        let done = until(store, &key, limit, |entry| {
            let record = entry.and_then(|entry| Record::from_json(&entry.value).ok());
            let known = record
                .as_ref()
                .and_then(|record| record.members.get(&member.member));
            last = seen(record.as_ref(), known, revision);
            reached(record.as_ref(), known, revision, goal)
        });
        if done.await.map_err(|error| failed(error, revision))? {
            return Ok(());
        }
        Err(refused(format!(
            "{member}: revision {revision} was written, but is not done after {}: {last}",
            humantime::format_duration(limit)
        )))
    }

    /// Waits, if asked to, until a key is gone. Whether it is, if it was
    /// waited for.
    pub(super) async fn gone<S: Store>(
        &self,
        store: &S,
        key: &str,
    ) -> Result<Option<bool>, Failure> {
        let Some(limit) = self.wait else {
            return Ok(None);
        };
        let gone = until(store, key, limit, |entry| entry.is_none()).await;
        gone.map(Some).map_err(|error| {
            Failure::from(error).context("it was written, but waiting for the managers failed")
        })
    }

    /// How long is waited, in words.
    pub(super) fn limit(&self) -> String {
        humantime::format_duration(self.wait.unwrap_or_default()).to_string()
    }
}

fn failed(error: StoreError, revision: Revision) -> Failure {
    Failure::from(error).context(format!(
        "revision {revision} was written, but waiting for the managers failed"
    ))
}

fn reached(
    record: Option<&Record>,
    known: Option<&MemberRecord>,
    revision: Revision,
    goal: Goal,
) -> bool {
    let state = known.map_or(State::Absent, |known| known.state);
    match goal {
        Goal::Serving => {
            let applied = known.is_some_and(|known| known.mod_revision >= Some(revision));
            applied && state == State::Serving
        }
        // Without a status there is nobody who would have put it in.
        Goal::Out => record.is_none_or(|record| {
            record.revision >= revision && matches!(state, State::Absent | State::Rejected)
        }),
    }
}

fn seen(record: Option<&Record>, known: Option<&MemberRecord>, revision: Revision) -> String {
    let Some(record) = record else {
        return "no manager has looked at the load balancer".to_owned();
    };
    if record.revision < revision {
        return format!("the manager is at revision {} yet", record.revision);
    }
    let state = known.map_or(State::Absent, |known| known.state);
    let detail = known.and_then(|known| known.detail.as_ref());
    let error = record.error.as_ref().map(|error| &error.what);
    let mut words = format!("it is {}", super::words::name(state));
    for more in [detail, error].into_iter().flatten() {
        words.push_str(", ");
        words.push_str(more);
    }
    words
}

/// Whether `look` was true of the key as it is, or became so in time.
async fn until<S: Store>(
    store: &S,
    key: &str,
    limit: Duration,
    look: impl FnMut(Option<&Entry>) -> bool,
) -> Result<bool, StoreError> {
    match tokio::time::timeout(limit, follow(store, key, look)).await {
        Ok(result) => result.map(|()| true),
        Err(_) => Ok(false),
    }
}

async fn follow<S: Store>(
    store: &S,
    key: &str,
    mut look: impl FnMut(Option<&Entry>) -> bool,
) -> Result<(), StoreError> {
    loop {
        let now = store.get(key).await?;
        if look(now.entry.as_ref()) {
            return Ok(());
        }
        let mut watch = store.watch(key, now.header.revision).await?;
        loop {
            match watch.next().await? {
                WatchMessage::Events { events, .. } => {
                    let own = events.iter().filter(|event| event.key() == key);
                    if own.map(entry).any(&mut look) {
                        return Ok(());
                    }
                }
                WatchMessage::Progress(_) => {}
                WatchMessage::Compacted(_) => break,
            }
        }
    }
}

fn entry(event: &Event) -> Option<&Entry> {
    match event {
        Event::Put { entry, .. } => Some(entry),
        Event::Delete { .. } => None,
    }
}
