//! What a container is to be.
//!
//! Everything is settled here: no variables, no defaults but Docker's own. An empty list, or `None`,
//! is what Docker or the image says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use presence::model::DefinitionRevision;

use super::Identity;
pub use crate::definition::{Build, Network as Joined, PortMapping, Source, Ulimit, Volume};

/// A container that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// Of which instance.
    pub identity: Identity,
    /// Which revision it runs.
    pub revision: DefinitionRevision,
    /// The image, which the host must have.
    pub image: String,
    /// The image's platform, such as `linux/arm64`.
    pub platform: Option<String>,
    /// How the image is made, where it is not pulled.
    pub build: Option<Build>,
    /// Labels besides those of the identity.
    pub labels: BTreeMap<String, String>,
    /// What runs in it.
    pub process: Process,
    /// How it is reached, and what it reaches.
    pub network: Network,
    /// What is mounted.
    pub files: Files,
    /// How much it may use.
    pub limits: Limits,
    /// What it may do.
    pub security: Security,
    /// What becomes of the image's own health check.
    pub health: OwnCheck,
}

/// What runs in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// What the command is handed to.
    pub entrypoint: Option<Vec<String>>,
    /// The command.
    pub command: Option<Vec<String>>,
    /// Environment variables besides the image's.
    pub environment: BTreeMap<String, String>,
    /// The directory that it starts in.
    pub working_dir: Option<String>,
    /// USER[:GROUP].
    pub user: Option<String>,
    /// Further groups.
    pub groups: Vec<String>,
    /// Whether a process of Docker's is the first one, which reaps the others.
    pub init: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its input stays open.
    pub stdin_open: bool,
    /// The signal that is to end it.
    pub stop_signal: Option<String>,
}

/// How a container is reached, and what it reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Whose network it is in.
    pub mode: NetworkMode,
    /// Its ports that are reached through the host.
    pub ports: Vec<PortMapping>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Domains that names are looked up in.
    pub dns_search: Vec<String>,
    /// Further names of hosts.
    pub extra_hosts: BTreeMap<String, String>,
}

/// Whose network a container is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// Docker's own bridge.
    #[default]
    Bridge,
    /// Networks by their names, at least one.
    Named(Vec<Joined>),
    /// The host's.
    Host,
    /// None.
    None,
    /// Another container's.
    Container(String),
}

/// In Docker's words: of several networks the first, the others are joined before the start.
impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge => f.write_str("bridge"),
            Self::Named(networks) => match networks.first() {
                Some(first) => f.write_str(&first.name),
                None => f.write_str("bridge"),
            },
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Container(name) => write!(f, "container:{name}"),
        }
    }
}

/// What is mounted in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Directories, files and volumes. A path of the host must exist, but for one with options.
    pub mounts: Vec<Volume>,
    /// Directories in memory, with their options.
    pub tmpfs: BTreeMap<String, String>,
    /// Whether the root can only be read.
    pub read_only: bool,
    /// Devices: on the host, inside, and what may be done with them (`rwm`).
    pub devices: Vec<(String, String, String)>,
}

/// How much a container may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory that are left to it when memory is short.
    pub memory_reservation: Option<u64>,
    /// Bytes of memory and swap space together.
    pub memory_and_swap: Option<u64>,
    /// Bytes of /dev/shm.
    pub shm_size: Option<u64>,
    /// Processors, in thousandths of a millionth.
    pub nano_cpus: Option<u64>,
    /// Its share of the processors beside others.
    pub cpu_shares: Option<u32>,
    /// Which processors: `0-3`.
    pub cpuset: Option<String>,
    /// Processes; -1 is no limit.
    pub pids: Option<i64>,
    /// Limits of each process.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// How soon the kernel ends it when memory is short.
    pub oom_score_adj: i16,
}

/// What a container may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// Capabilities that it has besides.
    pub cap_add: Vec<String>,
    /// Capabilities that it does not have.
    pub cap_drop: Vec<String>,
    /// Whether it may do all that the host may.
    pub privileged: bool,
    /// Options of AppArmor, SELinux, seccomp.
    pub options: Vec<String>,
    /// Settings of the kernel.
    pub sysctls: BTreeMap<String, String>,
    /// Whose processes it sees.
    pub pid: Option<String>,
    /// Whose shared memory it sees.
    pub ipc: Option<String>,
    /// Whose host name it has.
    pub uts: Option<String>,
    /// Whose users it has.
    pub userns: Option<String>,
    /// The control group that it is below.
    pub cgroup_parent: Option<String>,
    /// The program that runs it.
    pub runtime: Option<String>,
}

/// What becomes of the image's own health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OwnCheck {
    /// It is carried out as the image says.
    #[default]
    AsIs,
    /// It is not: another one is in its place.
    Off,
    /// It is, with another timing.
    Timed(HealthTiming),
}

/// What is in place of the timing of the image's health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthTiming {
    /// From one check to the next.
    pub interval: Option<Duration>,
    /// How long one may take.
    pub timeout: Option<Duration>,
    /// How many bad ones in a row count.
    pub retries: Option<u16>,
    /// How long bad ones do not count after the start.
    pub start_period: Option<Duration>,
    /// From one check to the next in that time.
    pub start_interval: Option<Duration>,
}

impl ContainerSpec {
    /// One that is what the image says.
    pub fn new(identity: Identity, revision: DefinitionRevision, image: impl Into<String>) -> Self {
        Self {
            identity,
            revision,
            image: image.into(),
            platform: None,
            build: None,
            labels: BTreeMap::new(),
            process: Process::default(),
            network: Network::default(),
            files: Files::default(),
            limits: Limits::default(),
            security: Security::default(),
            health: OwnCheck::AsIs,
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.identity.name(self.revision)
    }

    /// All its labels; none takes the place of one of the identity's.
    pub fn all_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.extend(self.identity.labels_of(self.revision));
        labels
    }
}
