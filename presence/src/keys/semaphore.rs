//! Who may, and who waits: the keys of a fair semaphore. Startup leases,
//! rollout budgets and the managers' election are such.

use super::{KeyError, segments};
use crate::model::ServiceId;

/// A semaphore, by the keys below its own place in the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semaphore {
    root: String,
}

/// What a key of a semaphore is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SemaphoreKey {
    /// The number of holders that are allowed; 1 when absent.
    Slots,
    /// One that holds or waits; in the order of create_revision.
    Entry(ServiceId),
}

impl Semaphore {
    /// The semaphore at this place, which has no slash at its end.
    pub(super) fn at(root: String) -> Self {
        Self { root }
    }

    /// What to list and to watch for everything that it has.
    pub fn prefix(&self) -> String {
        format!("{}/", self.root)
    }

    /// The number of holders that are allowed.
    pub fn slots(&self) -> String {
        self.key(&SemaphoreKey::Slots)
    }

    /// What to list and to watch for all that hold or wait.
    pub fn queue_prefix(&self) -> String {
        format!("{}/queue/", self.root)
    }

    /// The place of one that holds or waits.
    pub fn entry(&self, service: &ServiceId) -> String {
        self.key(&SemaphoreKey::Entry(service.clone()))
    }

    /// The key of what is named.
    pub fn key(&self, what: &SemaphoreKey) -> String {
        match what {
            SemaphoreKey::Slots => format!("{}/slots", self.root),
            SemaphoreKey::Entry(service) => format!("{}/queue/{service}", self.root),
        }
    }

    /// What the key names.
    pub fn parse(&self, key: &str) -> Result<SemaphoreKey, KeyError> {
        match *segments(key, &self.root)?.as_slice() {
            ["slots"] => Ok(SemaphoreKey::Slots),
            ["queue", service] => {
                let service = service.parse().map_err(KeyError::part(key))?;
                Ok(SemaphoreKey::Entry(service))
            }
            _ => Err(KeyError::form(
                key,
                "slots or queue/<service-id> below the semaphore",
            )),
        }
    }
}
