//! What a container is to be.
//!
//! Everything is settled here: no variables, no defaults but Docker's own. An empty list, or `None`,
//! is what Docker or the image says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use presence::model::DefinitionRevision;

use super::Identity;

/// A container that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// Of which instance.
    pub identity: Identity,
    /// Which revision it runs.
    pub revision: DefinitionRevision,
    /// The image, which the host must have.
    pub image: String,
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
    /// What is in place of the timing of the image's health check.
    pub health: Option<HealthTiming>,
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
    /// Networks by their names, at least one; with each, the further names that it has there.
    Named(Vec<(String, Vec<String>)>),
    /// The host's.
    Host,
    /// None.
    None,
    /// Another container's.
    Container(String),
}

/// A port of a container that is reached through the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// The container's, with its protocol: `80/tcp`.
    pub container: String,
    /// The host's address; all of them where there is none.
    pub address: Option<IpAddr>,
    /// The host's port; any free one where there is none.
    pub host: Option<u16>,
}

/// What is mounted in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Directories, files and volumes.
    pub mounts: Vec<Mount>,
    /// Directories in memory, with their options.
    pub tmpfs: BTreeMap<String, String>,
    /// Whether the root can only be read.
    pub read_only: bool,
    /// Devices: on the host, inside, and what may be done with them (`rwm`).
    pub devices: Vec<(String, String, String)>,
}

/// One thing that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub source: Source,
    /// Where, inside.
    pub target: String,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path of the host, which must exist.
    Path(String),
    /// A volume of Docker's, made where it is missing.
    Volume(String),
    /// A volume without a name, removed with the container.
    Anonymous,
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
    /// Limits of each process, soft and hard; -1 is none.
    pub ulimits: BTreeMap<String, (i64, i64)>,
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

/// What is in place of the timing of the image's health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthTiming {
    /// From one check to the next.
    pub interval: Option<Duration>,
    /// How long one may take.
    pub timeout: Option<Duration>,
    /// How many bad ones in a row count.
    pub retries: Option<u16>,
}

impl ContainerSpec {
    /// One that is what the image says.
    pub fn new(identity: Identity, revision: DefinitionRevision, image: impl Into<String>) -> Self {
        Self {
            identity,
            revision,
            image: image.into(),
            labels: BTreeMap::new(),
            process: Process::default(),
            network: Network::default(),
            files: Files::default(),
            limits: Limits::default(),
            security: Security::default(),
            health: None,
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
