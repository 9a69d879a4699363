//! One call to the store, and which one a key needs.

use super::super::key::{Key, Leases, Need};
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
    /// Delete the key.
    Delete(String, Transaction),
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
            | Self::Delete(key, _) => Some(key),
        }
    }
}

/// `inherited`: somebody may have it after us.
pub(super) fn step(name: &str, key: &mut Key, leases: &Leases, inherited: bool) -> Option<Step> {
    let name = name.to_owned();
    match (key.need(leases)?, leases.current) {
        (Need::Forget, _) => None,
        (Need::Read, _) => Some(Step::Read(name)),
        (Need::Lease(lease), _) => Some(Step::Renew(lease)),
        (Need::Delete(lease), _) if inherited && !key.is_sought() => Some(Step::Seek(name, lease)),
        (Need::Delete(lease), _) => {
            if let Some(bequest) = key.bequest() {
                return Some(Step::HandOver(name, bequest));
            }
            let delete =
                Transaction::delete(name.as_str()).when(name.as_str(), Condition::Lease(lease));
            Some(Step::Delete(name, delete))
        }
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
