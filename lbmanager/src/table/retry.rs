//! Files of the state directory that cannot be written for a while.

use std::sync::Arc;
use std::time::Duration;

use presence::process::backoff::Backoff;
use presence::process::state_file::StateError;
use presence::process::words::chain;
use tokio::time::Instant;

/// The file cannot be written. Writing it is retried after a growing time;
/// until then no attempt is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unwritten(Arc<str>);

/// Attempts to write a file that may fail for long.
#[derive(Debug)]
pub struct Retry {
    backoff: Backoff,
    failed: Option<(Instant, Unwritten)>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_mins(1)),
            failed: None,
        }
    }
}

impl Retry {
    /// Makes an attempt, unless the last one failed a short time ago.
    pub fn attempt(
        &mut self,
        write: impl FnOnce() -> Result<(), StateError>,
    ) -> Result<(), Unwritten> {
        let now = Instant::now();
        if let Some((at, unwritten)) = &self.failed
            && now < *at
        {
            return Err(unwritten.clone());
        }
        match write() {
            Ok(()) => {
                self.backoff.succeeded();
                self.failed = None;
                Ok(())
            }
            Err(error) => {
                let unwritten = Unwritten(chain(&error).into());
                self.failed = Some((now + self.backoff.failed(), unwritten.clone()));
                Err(unwritten)
            }
        }
    }

    /// When the next attempt is made, if the last one failed.
    pub fn at(&self) -> Option<Instant> {
        self.failed.as_ref().map(|(at, _)| *at)
    }
}
