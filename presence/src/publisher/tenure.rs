//! What a publisher remembers for the next life of its process.

use serde::{Deserialize, Serialize};

use crate::model::{LeaseId, Revision};
use crate::process::state_file::{StateError, StateFile};

/// What the next life goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenure {
    /// The lease that the keys are on.
    pub lease: LeaseId,
    /// How long the lease lives if nobody renews it, in seconds.
    pub ttl: u64,
    /// The store's revision when they were first to be written. Whoever wrote
    /// one of them later came later. `None`: that life ended as it should, and
    /// the next one comes last.
    pub since: Option<Revision>,
}

/// Where it is remembered, if anywhere.
#[derive(Debug, Default)]
pub(super) struct Memory {
    file: Option<StateFile<Option<Tenure>>>,
    kept: Option<Tenure>,
}

impl Memory {
    pub fn new(file: Option<StateFile<Option<Tenure>>>) -> Self {
        Self { file, kept: None }
    }

    /// What the last life remembered. Without it the keys that it left go with
    /// their lease: that is said, and no reason not to begin.
    pub fn recall(&mut self) -> Option<Tenure> {
        let file = self.file.as_mut()?;
        let read = match file.read() {
            Err(StateError::Corrupt { .. }) => file.set_aside().map(|_| None),
            read => read,
        };
        self.kept = read.unwrap_or_else(|error| {
            tracing::warn!("which lease the last life had is not known: {error}");
            None
        })?;
        self.kept
    }

    pub fn keep(&mut self, tenure: Option<Tenure>) {
        let Some(file) = self.file.as_mut().filter(|_| tenure != self.kept) else {
            return;
        };
        match file.write(&tenure) {
            Ok(()) => self.kept = tenure,
            Err(error) => tracing::warn!(
                "the lease of the keys cannot be remembered; after a crash they would stay until \
                 it ends by itself: {error}"
            ),
        }
    }
}
