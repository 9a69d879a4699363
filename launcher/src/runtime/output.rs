//! What a container writes.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a program writes to. A container with a terminal has but the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// A piece of what was written, as Docker keeps it: a line, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where to.
    pub stream: Stream,
    /// When Docker took it, by the clock of its host; all parts of a line have the time of its first.
    /// Not unique, and it goes back where the clock is set back.
    pub time: Timestamp,
    /// What was written, whatever it is, without the newline.
    pub bytes: Vec<u8>,
    /// Whether the line ends here.
    pub ends_line: bool,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}
