//! What a definition from the network may ask of this host.
//!
//! Whoever can write to etcd could otherwise start a container that is the host. A definition in a
//! file of the host is trusted, as whoever wrote it could do all that already.

mod check;
mod paths;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{self, Problem};

pub use check::Refusal;

/// What is allowed: `/etc/launcher/policy.yaml`. What is left out is not, but for `images` and
/// `volumes`, where everything is that nothing else forbids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The images that may run, with `*` for any characters.
    pub images: Option<Vec<String>>,
    /// What may be mounted: paths of the host with all below them, and names of volumes, with `*`
    /// for any characters. Files that are read for `env_file`, `body_file` and `build` count as
    /// well.
    pub volumes: Option<Vec<String>>,
    /// Paths of the system that may be mounted for writing, with all below them.
    pub system_paths: Vec<String>,
    /// Whether Docker's socket may be mounted, or a directory above it. Whoever has it has the
    /// host.
    pub docker_socket: bool,
    /// Whether `privileged: true` is allowed.
    pub privileged: bool,
    /// Which of the host's own it may share: network, pid, ipc, uts, user.
    pub namespaces: Vec<Namespace>,
    /// Capabilities that may be added.
    pub capabilities: Vec<String>,
    /// Devices that may be used, with all below them.
    pub devices: Vec<String>,
    /// Options of AppArmor, SELinux and seccomp that may be given.
    pub security_options: Vec<String>,
    /// Programs that may run containers beside Docker's own.
    pub runtimes: Vec<String>,
    /// Variables of launcher's own environment that may be passed on.
    pub environment: Vec<String>,
}

/// Something that a container has of its own unless it shares the host's, or another container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// `network_mode`.
    Network,
    /// `pid`.
    Pid,
    /// `ipc`.
    Ipc,
    /// `uts`.
    Uts,
    /// `userns_mode`.
    User,
}

impl Policy {
    /// Reads a policy, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let document = document::load(text).map_err(|problem| vec![problem])?;
        document::read(&document)
    }
}
