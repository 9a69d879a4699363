//! Keeps the keys that this process wants in the store, on one lease.
//!
//! Writing takes a key over, so that what was started last has it. While
//! another lease holds a key of ours we stand by, and write it again if it
//! then vanishes. If somebody deletes our key while our lease lives, that is
//! an operator's decision: it stays away until we are told to write it again.
//! When the lease itself ended, everything is written again on a new one.
//!
//! Every key is deleted in a transaction of its own that compares its lease
//! with ours: two members of one load balancer deleted in one revision would
//! be read as a purge. The lease is never revoked, for the same reason.
//!
//! `state` decides and is pure; [`Publisher::run`] carries it out.

mod driver;
mod key;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use driver::{PROGRESS, Publisher};

use crate::model::{LeaseId, Revision};

/// What is to be in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// By key.
    pub keys: BTreeMap<String, WantedKey>,
}

/// One key that is to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedKey {
    /// What it is to hold.
    pub content: Content,
    /// Counts how often an operator said "publish": a higher number than
    /// before writes the key even where it was withdrawn or another has it.
    pub told: u64,
}

impl WantedKey {
    /// A key that nobody has said anything about.
    pub fn new(content: Content) -> Self {
        Self { content, told: 0 }
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
    /// Not wanted any more, deletion not confirmed yet.
    Leaving {
        /// What is in the way, if it has been tried.
        trouble: Option<String>,
    },
}
