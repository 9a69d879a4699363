//! The life of one instance, from its image to its exit.
//!
//! [`Life`] decides and is pure: it is told what is so ([`Facts`]) and what became of the last
//! action, and says what is to be so ([`Step`]): one action at a time, what is to be published,
//! what to tell systemd. [`carry_out`] does the actions. Who drives it looks, steps, acts, and
//! looks again whenever anything changed or the step's deadline came.
//!
//! A failure never skips what is left to do: whatever was begun is taken back in the same order as
//! at an ordinary stop, and the first failure is the one that is reported.

mod act;
mod phase;
mod state;
mod stop;

use std::time::Duration;

use presence::model::DefinitionRevision;
use tokio::time::Instant;

pub use self::act::{Action, Done, carry_out};
pub use self::phase::{NO_DOCKER, Phase};
pub use self::state::Life;
use crate::definition::PullPolicy;
use crate::runtime::{Container, Ours};

/// The exit code of failures that are launcher's own.
pub const OWN_FAILURE: u8 = 125;

/// How one instance is to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Which revision runs.
    pub revision: DefinitionRevision,
    /// The image.
    pub image: String,
    /// When it is pulled.
    pub pull: PullPolicy,
    /// A container that is not healthy so long after its start has failed.
    pub start_timeout: Duration,
    /// One that is not served from everywhere so long after it was published has failed.
    pub publish_timeout: Duration,
    /// How long the keys may take to go, and their readers to say that they saw it. Then the keys
    /// end with their lease.
    pub withdraw_timeout: Duration,
    /// How long connections may go on.
    pub drain: Duration,
    /// How long the program may take to end before it is killed.
    pub grace: Duration,
}

/// What is so, as it is known now.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The time.
    pub now: Instant,
    /// Whether somebody wants it to end. Never taken back.
    pub stop: bool,
    /// Whether the host has the image; `None` where that is not known.
    pub image: Option<bool>,
    /// All containers of this instance; `None` while Docker does not answer.
    pub containers: Option<Vec<(Ours, Container)>>,
    /// What the probes say of the container that runs.
    pub health: Health,
    /// What is known of the keys.
    pub keys: Keys,
    /// Connections that go on; `None` where they cannot be counted.
    pub connections: Option<u64>,
    /// Whether all who sent connections say that the last is over.
    pub drained: bool,
    /// The last lines of output, for the report of a failure.
    pub last_lines: String,
}

/// What the probes say of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Too little yet.
    Unknown,
    /// It is healthy.
    Up,
    /// It is not; with the last answer.
    Down(String),
    /// It is not, and for so long that only a new one will help; with the last answer.
    Dead(String),
}

/// What is known of what was published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// How many are ours in the store, or may be.
    pub present: usize,
    /// Whether all that are wanted are there, and all who read them serve it.
    pub served: bool,
    /// Whether all who read them have seen them go.
    pub withdrawn: bool,
    /// Why a reader keeps what was withdrawn, so that no confirmation can be waited for.
    pub kept: Option<String>,
    /// Whether the store does not answer: what is known may be old.
    pub away: bool,
    /// What is missing until it is served, for a person; may be empty.
    pub words: String,
}

/// What is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// What an earlier life left, as it is: the container that it left may be healthy.
    AsIs,
    /// Nothing.
    Nothing,
    /// All keys, as ready.
    Ready,
    /// All keys, as not ready.
    NotReady,
}

/// What is to be so now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is to be done; nothing else until it is.
    pub action: Option<Action>,
    /// What is to be published.
    pub publish: Publish,
    /// Whether it has been healthy and served: READY.
    pub ready: bool,
    /// What is going on, in words: STATUS.
    pub status: String,
    /// When to step again even if nothing changes.
    pub deadline: Option<Instant>,
    /// It is over.
    pub exit: Option<Exit>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The container's own exit code, or [`OWN_FAILURE`].
    pub code: u8,
    /// What went wrong, with the last lines of output.
    pub message: Option<String>,
}

impl Exit {
    /// As it was wanted.
    pub(crate) fn well() -> Self {
        Self {
            code: 0,
            message: None,
        }
    }
}
