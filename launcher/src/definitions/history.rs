//! Every definition that was ever in force, with the time: `/launcher/history/`.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;
use presence::keys::launcher::{LauncherKey, history_prefix};
use presence::model::{DefinitionRevision, ServiceName};
use presence::store::{Condition, MOST_OPERATIONS, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FindError, Written};
use crate::definition::Definition;

/// How many are kept of each service.
pub const MOST: usize = 50;

/// A definition of the past: the value of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// When it was put; of one that was written otherwise, when launcher saw it first.
    pub at: Timestamp,
    /// The document as it was.
    pub text: String,
}

impl Past {
    /// The value of its key.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has nothing in it that JSON has not")
    }
}

/// The definition of that revision, if it is kept.
pub(super) async fn get<S: Store>(
    store: &S,
    name: &ServiceName,
    revision: DefinitionRevision,
) -> Result<Option<Written>, FindError> {
    let place = key(name, revision);
    let Some(entry) = store.get(&place).await?.entry else {
        return Ok(None);
    };
    match serde_json::from_slice::<Past>(&entry.value) {
        Ok(past) => Written::past(place, past.text, revision).map(Some),
        Err(error) => Err(FindError::Altered {
            place,
            why: error.to_string(),
        }),
    }
}

/// All that are kept of a service, the newest first. `None`: it cannot be read.
pub async fn list<S: Store>(
    store: &S,
    name: &ServiceName,
) -> Result<Vec<(DefinitionRevision, Option<Past>)>, StoreError> {
    let entries = store.list(&history_prefix(name), None).await?.entries;
    let mut list: Vec<_> = entries
        .into_iter()
        .filter_map(|(key, entry)| match key.parse() {
            Ok(LauncherKey::History(_, revision)) => {
                Some((revision, serde_json::from_slice(&entry.value).ok()))
            }
            _ => None,
        })
        .collect();
    list.sort_by_key(|(revision, _)| Reverse(*revision));
    Ok(list)
}

/// Writes one that is not there yet, and removes the oldest where there are too many.
pub(super) async fn record<S: Store>(
    store: &S,
    name: &ServiceName,
    revision: DefinitionRevision,
    text: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let key = key(name, revision);
    let past = Past {
        at,
        text: text.to_owned(),
    };
    let write = Transaction::put(key.clone(), past.encode()).when(key, Condition::Absent);
    if store.commit(write).await?.succeeded {
        prune(store, name, revision).await?;
    }
    Ok(())
}

/// Removes the oldest, but not `kept`.
async fn prune<S: Store>(
    store: &S,
    name: &ServiceName,
    kept: DefinitionRevision,
) -> Result<(), StoreError> {
    let all = list(store, name).await?;
    let old = all.into_iter().skip(MOST).map(|(revision, _)| revision);
    let old: Vec<_> = old.filter(|old| *old != kept).collect();
    for some in old.chunks(MOST_OPERATIONS) {
        let keys = some.iter().map(|old| key(name, *old));
        let delete = keys.fold(Transaction::default(), Transaction::and_delete);
        store.commit(delete).await?;
    }
    Ok(())
}

fn key(name: &ServiceName, revision: DefinitionRevision) -> String {
    LauncherKey::History(name.clone(), revision).to_string()
}

/// A line of a service's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The revision.
    pub revision: DefinitionRevision,
    /// [`Past::at`]; `None` where nobody noted it.
    pub at: Option<Timestamp>,
    /// The image; `None` where it is no definition.
    pub image: Option<String>,
    /// The keys that differ from the line before it; `None` where that is not known.
    pub changed: Option<Vec<String>>,
    /// Whether it is the newest.
    pub in_force: bool,
}

/// The history of a service, the newest first, with what is in force even if nobody noted it.
pub fn lines(
    name: &ServiceName,
    mut past: Vec<(DefinitionRevision, Option<Past>)>,
    newest: Option<&Written>,
) -> Vec<Line> {
    let in_force = newest.map(|newest| newest.revision);
    if let Some(revision) = in_force.filter(|it| past.iter().all(|(other, _)| other != it)) {
        past.push((revision, None));
    }
    past.sort_by_key(|(revision, _)| *revision);
    let mut before = None;
    let mut lines = Vec::new();
    for (revision, past) in past {
        let at = past.as_ref().map(|past| past.at);
        let definition = match (past, newest) {
            (Some(past), _) => Written::past(history_prefix(name), past.text, revision).ok(),
            (None, Some(newest)) if in_force == Some(revision) => Some(newest.clone()),
            (None, _) => None,
        };
        let definition = definition.map(|written| written.document.parsed.definition);
        lines.push(Line {
            revision,
            at,
            image: definition.as_ref().map(|it| it.image.to_string()),
            changed: before
                .as_ref()
                .zip(definition.as_ref())
                .map(|(a, b)| changes(a, b)),
            in_force: in_force == Some(revision),
        });
        before = definition;
    }
    lines.reverse();
    lines
}

/// The keys of a definition that differ from the one before it.
fn changes(before: &Definition, after: &Definition) -> Vec<String> {
    let (before, after) = (fields(before), fields(after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

fn fields(definition: &Definition) -> Map<String, Value> {
    serde_json::from_str(&definition.canonical()).expect("the canonical form is an object")
}
