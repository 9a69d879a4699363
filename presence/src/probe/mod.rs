//! Whether a service answers: one attempt, and what many of them say.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`Target`] | types | what is asked, and what it is expected to answer |
//! | [`Probe`] | driver | one attempt with a time limit, and what it found in words |
//! | [`Tally`] | pure | up or down by many of them |
//! | [`Judge`] | pure | the same, and when the next one is due |

mod body;
mod exec;
mod http;
mod judge;
mod status;
mod target;
mod tcp;

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

pub use body::{BadPattern, Body};
pub use http::{HttpTarget, root_cause};
pub use judge::{Judge, REPEAT, Rules, Tally, Verdict};
pub use status::{InvalidStatuses, Statuses};
pub use target::{Expected, InvalidTarget, Target};

/// What one attempt found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the service answered as expected.
    pub is_up: bool,
    /// What was seen, for a person: `200 OK`, `Connection refused`.
    pub words: String,
}

impl Outcome {
    /// It did.
    pub fn up(words: impl Into<String>) -> Self {
        Self {
            is_up: true,
            words: words.into(),
        }
    }

    /// It did not.
    pub fn down(words: impl Into<String>) -> Self {
        Self {
            is_up: false,
            words: words.into(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// Asks a service whether it is there. Nothing of one attempt is kept for the
/// next: whoever takes no new connection any more is found out.
#[derive(Debug, Clone)]
pub struct Probe {
    target: Target,
    limit: Duration,
}

impl Probe {
    /// Asks this, and takes no answer for an answer after that time.
    pub fn new(target: Target, limit: Duration) -> Self {
        Self { target, limit }
    }

    /// One attempt. Ends within the time limit, or a moment after it where a
    /// command has to be ended. Cancel-safe: nothing goes on afterwards.
    pub async fn attempt(&self) -> Outcome {
        let attempt = async {
            match &self.target {
                Target::Http(target) => target.attempt().await,
                Target::Tcp { host, port } => tcp::attempt(host, *port).await,
                Target::Exec(command) => exec::attempt(command).await,
            }
        };
        let limit = humantime::format_duration(self.limit);
        timeout(self.limit, attempt)
            .await
            .unwrap_or_else(|_| Outcome::down(format!("no answer within {limit}")))
    }
}
