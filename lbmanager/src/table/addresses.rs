//! The addresses that `--bind-vips` added to an interface: the kernel does not
//! tell. One file in the state directory; what another boot wrote is ignored.

use std::collections::BTreeSet;

use presence::process::state_file::{StateError, StateFile};
use serde::{Deserialize, Serialize};

use super::retry::{Retry, Unwritten};
use crate::host::vips::Bound;

/// The addresses that were added here.
#[derive(Debug, Default)]
pub struct Addresses {
    file: Option<StateFile<Content>>,
    content: Content,
    retry: Retry,
}

/// The file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    boot: String,
    bound: BTreeSet<Bound>,
}

impl Addresses {
    /// Reads the file; its content counts if this boot wrote it.
    pub fn open(file: StateFile<Content>, boot: &str) -> Result<Self, StateError> {
        let content = file.read()?.filter(|content| content.boot == boot);
        let fresh = || Content {
            boot: boot.to_owned(),
            ..Content::default()
        };
        Ok(Self {
            content: content.unwrap_or_else(fresh),
            file: Some(file),
            retry: Retry::default(),
        })
    }

    /// The addresses that were added here.
    pub fn bound(&self) -> &BTreeSet<Bound> {
        &self.content.bound
    }

    /// These are about to be added, or are there. On disk when this returns.
    pub fn bind(&mut self, bound: BTreeSet<Bound>) -> Result<(), Unwritten> {
        if self.content.bound == bound {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.content.bound, bound);
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let content = &self.content;
        let written = self.retry.attempt(|| file.write(content));
        if written.is_err() {
            self.content.bound = before;
        }
        written
    }
}
