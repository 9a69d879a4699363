//! Keeps the keys that this process wants in the store, on one lease.
//!
//! Writing takes a key over, so that what was started last has it. While
//! another lease holds a key of ours we stand by, and write it again if it
//! then vanishes. If somebody deletes our key while our lease lives, that is
//! an operator's decision: it stays away until we are told to write it again.
//! When the lease itself ended, everything is written again on a new one.
//!
//! Before a member's key is deleted, it is written once more with
//! `"leaving": true`: whoever sees the delete then knows that it was explicit,
//! also if the lease has ended since. Without space in etcd this is left out.
//!
//! Every key is deleted in a transaction of its own that compares its lease
//! with ours: two members of one load balancer deleted in one revision would
//! be read as a purge. The lease is never revoked, for the same reason.
//!
//! Killed, a process may come back as the same: where it is given a file to
//! remember its lease in, it goes on with that lease, and the keys on it stay as
//! they are until it is known which of them are wanted. A key that another has
//! written since then stays with the other.
//!
//! Where it is told who else wants the same keys ([`Heirs`]), a key that it
//! leaves is put on another's lease instead, in one transaction.
//!
//! `state` decides and is pure; [`Publisher::run`] carries it out.

mod driver;
mod heirs;
mod key;
mod state;
mod tenure;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

pub use driver::{PROGRESS, Publisher};
pub use heirs::Heirs;
pub use tenure::Tenure;

use crate::model::{LeaseId, Revision};

/// What is to be in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// By key.
    pub keys: BTreeMap<String, WantedKey>,
    /// What becomes of the others that an earlier life left on its lease.
    pub others: Others,
}

/// What becomes of keys of an earlier life that are not wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Others {
    /// They are deleted.
    #[default]
    Go,
    /// They stay as they are: it is not known yet whether they are wanted.
    Stay,
}

/// One key that is to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedKey {
    /// What it is to hold.
    pub content: Content,
    /// Counts how often an operator said "publish": a higher number than
    /// before writes the key even where it was withdrawn or another has it.
    pub told: u64,
    /// If etcd has no space for this value, the key is deleted until it can be
    /// written: the value takes the key's owner out of service, and the value
    /// that is there does not.
    pub delete_if_no_space: bool,
}

impl WantedKey {
    /// A key that nobody has said anything about. A member that is not ready
    /// must not stay in service for want of space.
    pub fn new(content: Content) -> Self {
        let unready = |options: &Map<String, Value>| options.get("ready") == Some(&false.into());
        Self {
            delete_if_no_space: matches!(&content, Content::Member(options) if unready(options)),
            content,
            told: 0,
        }
    }
}

/// What a key is to hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Written as it is.
    Plain(Vec<u8>),
    /// Member options. Written again, they carry `since`, so that a member's
    /// rank does not change; and an operator's `drain` stays.
    Member(Map<String, Value>),
}

/// How the keys stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The lease that they are on.
    pub lease: Option<LeaseId>,
    /// Keys that are wanted, and those whose deletion is not confirmed yet.
    pub keys: BTreeMap<String, Standing>,
    /// Keys that were ours and are not any more: when they were deleted, or else
    /// when they were last seen as ours.
    pub gone: BTreeMap<String, Revision>,
    /// Keys that were ours, are not wanted any more, and now are another's.
    pub passed_on: BTreeSet<String>,
    /// The lease of an earlier life may hold more keys: it was not asked yet.
    pub may_be_more: bool,
    /// What was wanted when this was told.
    pub wanted: Arc<Wanted>,
    /// What is wrong with the store as a whole.
    pub trouble: Option<String>,
}

/// How one key stands, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not in the store yet, or not known to be.
    Pending {
        /// What is in the way, if it has been tried.
        trouble: Option<String>,
    },
    /// In the store, on our lease.
    Published {
        /// When it was last written.
        at: Revision,
        /// The lease.
        lease: LeaseId,
        /// Why a newer value has not been written yet, if it was tried.
        trouble: Option<String>,
    },
    /// Somebody else has written it since; `None`: without a lease.
    StandingBy {
        /// Whose it is.
        holder: Option<LeaseId>,
    },
    /// An operator has deleted it; it stays away until we are told.
    Withdrawn {
        /// When it was seen to be gone.
        at: Revision,
    },
    /// An earlier life left it in the store; it stays as it is.
    Left,
    /// Not wanted any more, deletion not confirmed yet.
    Leaving {
        /// What is in the way, if it has been tried.
        trouble: Option<String>,
    },
}
