//! Remembers which container's program was told to end: healthy as it may look, a later life cannot
//! count on it.

use presence::process::state_file::{StateDir, StateError, StateFile};

use crate::runtime::{Container, Ours};

/// What an earlier life told, and what this one does.
pub(super) struct Ending {
    file: StateFile<String>,
    /// Docker's ID; no two containers ever have the same.
    told: Option<String>,
}

impl Ending {
    /// In a directory of this instance's own.
    pub(super) fn new(state: &StateDir) -> Self {
        let mut file = state.file("ending.json");
        let read = match file.read() {
            Err(StateError::Corrupt { .. }) => file.set_aside().map(|_| None),
            read => read,
        };
        let told = read.unwrap_or_else(|error| {
            tracing::warn!("whether a container was being ended is not known: {error}");
            None
        });
        Self { file, told }
    }

    /// To be called before it is told.
    pub(super) fn remember(&mut self, ours: &Ours) {
        if self.told.as_deref() == Some(ours.id()) {
            return;
        }
        self.told = Some(ours.id().to_owned());
        if let Err(error) = self.file.write(&ours.id().to_owned()) {
            tracing::warn!("{ours}: that it is being ended cannot be remembered: {error}");
        }
    }

    /// Whether it was told to end, however it looks.
    pub(super) fn is_of(&self, container: &Container) -> bool {
        self.told.as_deref() == Some(&container.id)
    }
}
