//! Who has a member's key after us.

use serde_json::{Map, Value};

use crate::model::{MemberOptions, Revision};
use crate::store::{Condition, Entry, Transaction};

/// Publishers that want the same members, and leave them to each other: so a
/// key is never gone for a moment because its holder leaves.
///
/// Each says in a key of its own which it wants, on the lease that it has them
/// on. All keys but those are members.
#[derive(Debug, Clone)]
pub struct Heirs {
    /// Where each has its key; ends in `/`.
    pub prefix: String,
    /// Which of them is ours: one of those that are wanted.
    pub own: String,
    /// Whether such a value says that this key is wanted.
    pub wants: fn(&[u8], &str) -> bool,
}

impl Heirs {
    /// Leaves the key, as it is on our lease, to the heir that came last; all
    /// of them are listed here.
    pub(super) fn bequeath(
        &self,
        name: &str,
        entry: &Entry,
        all: &[(String, Entry)],
    ) -> Option<Transaction> {
        let may = |(key, heir): &&(String, Entry)| {
            *key != self.own && heir.lease.is_some() && (self.wants)(&heir.value, name)
        };
        let (key, heir) = all
            .iter()
            .filter(may)
            .max_by_key(|(_, heir)| heir.create_revision)?;
        let put = Transaction::default().and_put(name, ranked(entry), heir.lease);
        // Whether the heir's lease lives etcd sees to.
        Some(
            put.when(name, Condition::ModRevision(entry.mod_revision))
                .when(key, Condition::ModRevision(heir.mod_revision)),
        )
    }
}

/// Writes a member's key once more, to announce that its deletion is explicit.
/// `None`: it is not a member's key.
pub(super) fn announce(name: &str, entry: &Entry) -> Option<Transaction> {
    let parsed = MemberOptions::parse(&entry.value).ok()?;
    if !parsed.unknown.is_empty() {
        return None;
    }
    let mut options = object(entry)?;
    options.insert("since".to_owned(), rank(entry).0.into());
    options.insert("leaving".to_owned(), true.into());
    let value = Value::Object(options).to_string();
    let put = Transaction::default().and_put(name, value, entry.lease);
    Some(put.when(name, Condition::ModRevision(entry.mod_revision)))
}

/// What the heir is left, until it writes what it wants itself. It has the
/// rank that the member had: nothing changes for the load balancer.
fn ranked(entry: &Entry) -> Vec<u8> {
    let Some(mut options) = object(entry) else {
        return entry.value.to_vec();
    };
    options.remove("leaving");
    options.insert("since".to_owned(), rank(entry).0.into());
    Value::Object(options).to_string().into_bytes()
}

/// The value's options; without any if it has the default ones.
fn object(entry: &Entry) -> Option<Map<String, Value>> {
    match &*entry.value {
        value if value.starts_with(b"{") => serde_json::from_slice(value).ok(),
        _ => Some(Map::new()),
    }
}

/// The first write of this incarnation.
pub(super) fn rank(entry: &Entry) -> Revision {
    let written = entry.mod_revision;
    let options = MemberOptions::parse(&entry.value);
    options.map_or(written, |parsed| parsed.options.rank(written))
}
