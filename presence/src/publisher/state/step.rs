//! One call to the store, and which one a key needs.

use super::super::key::{Bequest, Key, Leases, Need};
use crate::model::LeaseId;
use crate::store::{Condition, Transaction};

/// One call to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::publisher) enum Step {
    /// Get a lease.
    Grant,
    /// Renew the lease, which also tells whether it lives.
    Renew(LeaseId),
    /// Ask which keys are on the lease of an earlier life.
    Survey(LeaseId),
    /// Get the key, and watch it from there.
    Read(String),
    /// Write the key on this lease.
    Put(String, LeaseId, Transaction),
    /// Find out who has the key after us, if it is on this lease.
    Seek(String, LeaseId),
    /// Put the key on another's lease.
    HandOver(String, Transaction),
    /// Write the key once more, to announce its deletion.
    Announce(String, Transaction),
    /// Delete the key.
    Delete(String, Transaction),
    /// Delete the key until etcd has space for what it is to hold.
    Withhold(String, Transaction),
}

impl Step {
    /// The key that it is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Grant | Self::Renew(_) | Self::Survey(_) => None,
            Self::Read(key)
            | Self::Put(key, ..)
            | Self::Seek(key, _)
            | Self::HandOver(key, _)
            | Self::Announce(key, _)
            | Self::Delete(key, _)
            | Self::Withhold(key, _) => Some(key),
        }
    }
}

/// What the surroundings of a key allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct May {
    /// Somebody may have it after us.
    pub inherit: bool,
    /// etcd has space, as far as it is known.
    pub write: bool,
}

pub(super) fn step(name: &str, key: &mut Key, leases: &Leases, may: May) -> Option<Step> {
    let name = name.to_owned();
    match (key.need(leases)?, leases.current) {
        (Need::Forget, _) => None,
        (Need::Read, _) => Some(Step::Read(name)),
        (Need::Lease(lease), _) => Some(Step::Renew(lease)),
        (Need::Delete(lease), _) => Some(leave(name, key, lease, may)),
        (Need::Withhold(lease), _) => {
            key.withholding();
            let delete = delete(&name, lease);
            Some(Step::Withhold(name, delete))
        }
        (Need::Put(_), _) if !may.write => None,
        (Need::Put(_), None) => Some(Step::Grant),
        (Need::Put(condition), Some(lease)) => {
            let mut put = Transaction::default().and_put(name.as_str(), key.value(), Some(lease));
            if let Some(condition) = condition {
                put = put.when(name.as_str(), condition);
            }
            key.trying(lease);
            Some(Step::Put(name, lease, put))
        }
    }
}

fn leave(name: String, key: &Key, lease: LeaseId, may: May) -> Step {
    if !may.write {
        let delete = delete(&name, lease);
        return Step::Delete(name, delete);
    }
    match key.bequest() {
        Bequest::Unknown if may.inherit || !key.is_plain() => Step::Seek(name, lease),
        Bequest::Heir(gives) => Step::HandOver(name, gives.clone()),
        Bequest::Announce(puts) => Step::Announce(name, puts.clone()),
        Bequest::Unknown | Bequest::Nobody => {
            let delete = delete(&name, lease);
            Step::Delete(name, delete)
        }
    }
}

fn delete(name: &str, lease: LeaseId) -> Transaction {
    Transaction::delete(name).when(name, Condition::Lease(lease))
}
