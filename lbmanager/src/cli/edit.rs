//! Changes what a key says, by compare-and-swap: what somebody else writes in
//! the meantime is never lost.

use presence::model::{OptionsError, Revision};
use presence::process::exit::{CONFIGURATION, Failure};
use presence::store::{Condition, Entry, Store, StoreError, Transaction};
use serde_json::{Map, Value};

use super::refused;

/// How often a key may be changed under our hands.
const TRIES: usize = 10;

/// The fields of an options object.
pub(super) type Fields = Map<String, Value>;

/// Tries until nobody else changed what was read: `None` says somebody did.
pub(super) async fn until_undisturbed<T>(
    what: &str,
    attempt: impl AsyncFn() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    for _ in 0..TRIES {
        if let Some(done) = attempt().await? {
            return Ok(done);
        }
    }
    Err(refused(format!(
        "{what} was changed by somebody else each of the {TRIES} times that it was to be written; \
         nothing was written, try again"
    )))
}

/// Commits. `None`: what was read is not so any more, and nothing was done.
pub(super) async fn commit<S: Store>(
    store: &S,
    transaction: Transaction,
) -> Result<Option<Revision>, Failure> {
    match store.commit(transaction).await {
        Ok(commit) => Ok(commit.succeeded.then_some(commit.header.revision)),
        // Its keys are gone with it.
        Err(StoreError::LeaseGone(_)) => Ok(None),
        Err(error @ StoreError::Unavailable { .. }) => {
            Err(Failure::from(error).context("it is not known whether it was written"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The condition that a key is as it was read.
pub(super) fn unchanged(entry: Option<&Entry>) -> Condition {
    entry.map_or(Condition::Absent, |entry| {
        Condition::ModRevision(entry.mod_revision)
    })
}

/// Checks what a value says.
pub(super) type Check = fn(&[u8]) -> Result<(), OptionsError>;

/// What becomes of a key whose value has no field left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// It stays: it is there for its own sake.
    Kept,
    /// It goes: it is there for its fields.
    Deleted,
}

/// Changes fields of the object that is a key's value, and keeps everything
/// else, the key's lease too. Gives the revision of the write; `None`: it was
/// so already, and nothing was written.
pub(super) async fn edit<S: Store>(
    store: &S,
    key: &str,
    check: Check,
    empty: Empty,
    change: impl Fn(Option<&Entry>, &mut Fields) -> Result<(), Failure>,
) -> Result<Option<Revision>, Failure> {
    until_undisturbed(key, async || {
        let entry = store.get(key).await?.entry;
        let before = match &entry {
            Some(entry) => fields(key, &entry.value, check)?,
            None => Fields::new(),
        };
        let mut after = before.clone();
        change(entry.as_ref(), &mut after)?;
        if after == before {
            return Ok(Some(None));
        }
        if let Some(entry) = &entry {
            tell_lost_text(key, &entry.value);
        }
        let lease = entry.as_ref().and_then(|entry| entry.lease);
        let transaction = Transaction::default().when(key, unchanged(entry.as_ref()));
        let transaction = if after.is_empty() && empty == Empty::Deleted {
            transaction.and_delete(key)
        } else {
            transaction.and_put(key, value(&after), lease)
        };
        Ok(commit(store, transaction).await?.map(Some))
    })
    .await
}

/// The fields of a value. One that is empty or no object means the defaults,
/// which is no field.
pub(super) fn fields(key: &str, value: &[u8], check: Check) -> Result<Fields, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(
            CONFIGURATION,
            format!(
                "the value of {key} cannot be read: {error}; nothing was written. The value is: {}",
                String::from_utf8_lossy(value)
            ),
        )
    };
    check(value).map_err(|error| wrong(&error))?;
    if !is_object(value) {
        return Ok(Fields::new());
    }
    serde_json::from_slice(value).map_err(|error| wrong(&error))
}

/// As a value of a key: empty where there is no field.
pub(super) fn value(fields: &Fields) -> Vec<u8> {
    if fields.is_empty() {
        return Vec::new();
    }
    Value::Object(fields.clone()).to_string().into_bytes()
}

/// A text that is no object means nothing to anybody here, but somebody wrote
/// it.
pub(super) fn tell_lost_text(key: &str, value: &[u8]) {
    if !is_object(value) && !value.trim_ascii().is_empty() {
        tracing::warn!(
            "{key} held a text that means the defaults; it is gone now: {}",
            String::from_utf8_lossy(value)
        );
    }
}

fn is_object(value: &[u8]) -> bool {
    value.trim_ascii_start().first() == Some(&b'{')
}
