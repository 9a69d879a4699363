//! A new definition, by compare-and-swap.

use jiff::Timestamp;
use presence::model::{DefinitionRevision, ServiceName};
use presence::store::{Condition, Store, StoreError, Transaction};

use super::{history, network};
use crate::definition::Definition;

/// How often somebody else may write in between.
const TRIES: usize = 10;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is in force now, as this revision.
    Written(DefinitionRevision),
    /// It was in force already, as this revision: nothing was written.
    Same(DefinitionRevision),
}

/// Why it was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Another one is in force than was expected.
    #[error("{}", other(name, *expected, *found))]
    Other {
        /// Of which service.
        name: ServiceName,
        /// What was expected.
        expected: DefinitionRevision,
        /// What is in force, if that is a definition.
        found: Option<DefinitionRevision>,
    },
    /// Somebody else was always faster.
    #[error(
        "the definition of {_0} was changed by somebody else each of the {TRIES} times that it was \
         to be written; nothing was written, try again"
    )]
    Disturbed(ServiceName),
    /// The answer was lost.
    #[error("it is not known whether it was written")]
    Unknown(#[source] StoreError),
    /// etcd did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn other(
    name: &ServiceName,
    expected: DefinitionRevision,
    found: Option<DefinitionRevision>,
) -> String {
    let found = found.map_or_else(
        || "none that can be read is in force".to_owned(),
        |found| format!("{found} is in force"),
    );
    format!("the definition of {name} is not {expected} any more: {found}; nothing was written")
}

/// Brings a definition into force, if the one that is there is `expected` or that does not matter.
/// What it takes the place of is kept in the history.
pub async fn put<S: Store>(
    store: &S,
    name: &ServiceName,
    definition: &Definition,
    text: &str,
    expected: Option<DefinitionRevision>,
) -> Result<Put, PutError> {
    for _ in 0..TRIES {
        if let Some(done) = attempt(store, name, definition, text, expected).await? {
            return Ok(done);
        }
    }
    Err(PutError::Disturbed(name.clone()))
}

/// `None`: somebody else wrote in the meantime.
async fn attempt<S: Store>(
    store: &S,
    name: &ServiceName,
    definition: &Definition,
    text: &str,
    expected: Option<DefinitionRevision>,
) -> Result<Option<Put>, PutError> {
    let entry = store.get(&network::key(name)).await?.entry;
    let before = entry
        .as_ref()
        .and_then(|entry| network::read(name, entry).ok());
    let found = before.as_ref().map(|before| before.revision);
    if let Some(expected) = expected.filter(|expected| found != Some(*expected)) {
        return Err(PutError::Other {
            name: name.clone(),
            expected,
            found,
        });
    }
    if let Some(before) = before {
        // Whoever wrote it with etcdctl wrote no history.
        history::record(store, name, before.revision, &before.text, Timestamp::now()).await?;
        if definition.sha256() == before.document.parsed.definition.sha256() {
            return Ok(Some(Put::Same(before.revision)));
        }
    }
    let unchanged = entry.map_or(Condition::Absent, |entry| {
        Condition::ModRevision(entry.mod_revision)
    });
    write(store, name, definition, text, unchanged).await
}

async fn write<S: Store>(
    store: &S,
    name: &ServiceName,
    definition: &Definition,
    text: &str,
    unchanged: Condition,
) -> Result<Option<Put>, PutError> {
    let key = network::key(name);
    let transaction = Transaction::put(key.clone(), text).when(key, unchanged);
    let commit = match store.commit(transaction).await {
        Err(error @ StoreError::Unavailable { .. }) => return Err(PutError::Unknown(error)),
        commit => commit?,
    };
    if !commit.succeeded {
        return Ok(None);
    }
    let revision = definition.revision(commit.header.revision);
    let recorded = history::record(store, name, revision, text, Timestamp::now()).await;
    if let Err(error) = recorded {
        tracing::warn!(
            "{name} {revision} is in force, but not yet in the history: {error}; \
             whoever starts it first writes it there"
        );
    }
    Ok(Some(Put::Written(revision)))
}
