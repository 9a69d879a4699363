//! Where definitions come from: etcd or files of the host, and what was kept of them here.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`Source`] | types | where they are looked for |
//! | `written` | pure | a text and its revision as a definition, or what is wrong with it |
//! | `network` | driver | etcd: what is in force, and what once was |
//! | `files` | driver | files of the host |
//! | [`history`] | driver, and pure | every definition that was ever in force, bounded |
//! | `cache` | driver | what was started on this host, in the state directory |
//! | `put` | driver | a new definition, by compare-and-swap |

mod cache;
mod error;
mod files;
pub mod history;
pub mod network;
mod put;
mod source;
mod written;

use std::time::Duration;

use jiff::Timestamp;
use presence::keys::Tree;
use presence::model::{DefinitionRevision, ServiceName};
use presence::process::backoff::Backoff;
use presence::process::state_file::{StateDir, StateError};
use presence::store::{Store, StoreError};
use tokio::time::{sleep, timeout};

use self::cache::Cache;
pub use self::cache::Kept;
pub use self::error::FindError;
pub use self::put::{Put, PutError, put};
pub use self::source::Source;
pub use self::written::Written;
use crate::definition::Definition;
use crate::instance::InstanceName;
use crate::policy::Policy;

/// How long etcd may take to answer before what was kept here is taken instead.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pauses between two questions to an etcd that does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Who wrote a definition, and so how far it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Whoever may write to etcd: it was held to the host's policy.
    Network,
    /// Whoever may write the files of the host: all that they could do anyway is allowed, unless a
    /// policy was given.
    HostFile,
}

/// A definition that may be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Of which service.
    pub name: ServiceName,
    /// The revision that was asked for, or else that of the definition as it is now.
    pub revision: DefinitionRevision,
    /// What it says.
    pub definition: Definition,
    /// The document, as it was written.
    pub text: String,
    /// Where it was found, for messages: a key or a file.
    pub place: String,
    /// Who wrote it.
    pub origin: Origin,
    /// Whether it is the definition that is in force now, or was when it was kept.
    pub is_newest: bool,
    /// Whether it was kept here from an earlier start, because its source did not give it.
    pub from_cache: bool,
}

/// The definitions that this host can start.
#[derive(Debug)]
pub struct Definitions<S> {
    store: S,
    source: Source,
    policy: Option<Policy>,
    tree: Tree,
    cache: Cache,
}

impl<S: Store> Definitions<S> {
    /// From this source, held to this policy, and published in this tree. What is started is kept
    /// in the state directory.
    pub fn new(
        store: S,
        source: Source,
        policy: Option<Policy>,
        tree: Tree,
        state: &StateDir,
    ) -> Self {
        let cache = Cache::new(state, source.name());
        Self {
            store,
            source,
            policy,
            tree,
            cache,
        }
    }

    /// The definition of that revision, or else the newest.
    ///
    /// A revision whose definition is the same as the newest's is that one. While etcd does not
    /// answer, what was kept here of an earlier start is taken after a few seconds; without that,
    /// etcd is waited for, without end. A revision that its source does not have any more is taken
    /// from here as well. `say` is given words for STATUS, also on whatever is taken from here.
    /// Cancel-safe.
    pub async fn find(
        &self,
        name: &ServiceName,
        instance: InstanceName,
        mut say: impl FnMut(String),
    ) -> Result<Found, FindError> {
        let answer = match &self.source {
            Source::Files(directory) => Some(files::find(directory, name, instance)),
            Source::Etcd => {
                let asked = self.ask(name, instance, &mut say);
                timeout(PATIENCE, asked).await.ok()
            }
        };
        let why = match answer {
            // What was kept of a revision is that revision, whatever became of its source.
            Some(Err(error)) if instance != InstanceName::Newest => Some(error),
            Some(answer) => return self.admit(name, answer?),
            None => None,
        };
        let Some(kept) = self.cache.find(name, instance, &mut say) else {
            return match why {
                Some(error) => Err(error),
                None => self.admit(name, self.ask(name, instance, &mut say).await?),
            };
        };
        let why = why.map_or_else(|| "etcd does not answer".to_owned(), |why| why.to_string());
        say(format!(
            "taking {name} {} as it was kept here: {why}",
            kept.revision
        ));
        Ok(Found {
            from_cache: true,
            ..self.admit(name, kept)?
        })
    }

    /// Asks etcd until it answers. Cancel-safe.
    async fn ask(
        &self,
        name: &ServiceName,
        instance: InstanceName,
        say: &mut impl FnMut(String),
    ) -> Result<Written, FindError> {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        loop {
            match network::find(&self.store, name, instance).await {
                // Whoever lets us in again need not start us again.
                Err(FindError::Store(
                    error @ (StoreError::Unavailable { .. } | StoreError::Denied { .. }),
                )) => say(format!("waiting for the definition of {name}: {error}")),
                answer => return answer,
            }
            sleep(backoff.failed()).await;
        }
    }

    fn admit(&self, name: &ServiceName, written: Written) -> Result<Found, FindError> {
        let origin = self.source.origin();
        written.admit(name, origin, self.policy.as_ref(), &self.tree)
    }

    /// Keeps it in the state directory, for starts while etcd is away. It stays there at least for
    /// as long as the handle lives. To be called before what takes long: what was kept last as the
    /// newest counts as that.
    pub async fn keep(&self, found: &Found) -> Result<Kept, StateError> {
        self.cache.keep(found).await
    }

    /// Writes it to etcd as one that was in force, if it came from there and is not there yet.
    pub async fn record(&self, found: &Found) -> Result<(), StoreError> {
        // The revisions of files are no revisions of etcd. One from the cache was recorded when it
        // was first started, and in a history that was replaced since it would be a stranger.
        if found.origin == Origin::HostFile || found.from_cache {
            return Ok(());
        }
        let (name, now) = (&found.name, Timestamp::now());
        history::record(&self.store, name, found.revision, &found.text, now).await
    }
}
