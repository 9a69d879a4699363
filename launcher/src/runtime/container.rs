//! What a container is, as it was found.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

/// A container as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Docker's ID: 64 hexadecimal digits.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// All its labels, those of its image included.
    pub labels: BTreeMap<String, String>,
    /// What it does.
    pub state: State,
    /// The process ID of its first process on its host; `None` where it does not run.
    pub pid: Option<u32>,
    /// When it was started last; `None` if never.
    pub started: Option<Timestamp>,
    /// What the image's own health check says; `None` where there is none.
    pub health: Option<ImageHealth>,
    /// Whether the image's own health check is carried out, also when nothing is known of it yet.
    pub has_healthcheck: bool,
    /// The signal that is to end it, where the image or who made it names one.
    pub stop_signal: Option<String>,
    /// Whose network it is in, in Docker's words: the first one's name, `host`, `none`,
    /// `container:ID`.
    pub network_mode: String,
    /// Its address on each network where it has one, by the network's name.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Where its ports are reached on the host, by `80/tcp`.
    pub ports: BTreeMap<String, Vec<SocketAddr>>,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was made, and never started.
    Created,
    /// It runs.
    Running,
    /// It runs, and is held by somebody: none of its processes gets on.
    Paused,
    /// It has ended.
    Exited(Exit),
    /// Somebody is removing it.
    Removing,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The exit code: 128 and the signal's number where a signal ended it.
    pub code: u8,
    /// Whether the kernel ended it because memory was short. Docker may learn that a moment after
    /// the end.
    pub out_of_memory: bool,
    /// What Docker says besides; often empty.
    pub words: String,
}

/// What the image's own health check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageHealth {
    /// `None` until it is decided.
    pub healthy: Option<bool>,
    /// What the last check wrote.
    pub output: String,
}

impl Container {
    /// A container in this state of which nothing else is known.
    pub fn new(state: State) -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            labels: BTreeMap::new(),
            state,
            pid: None,
            started: None,
            health: None,
            has_healthcheck: false,
            stop_signal: None,
            network_mode: String::new(),
            addresses: BTreeMap::new(),
            ports: BTreeMap::new(),
        }
    }

    /// Whether it has processes.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Running | State::Paused)
    }
}
