//! The keys of a definition.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use presence::model::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{Bytes, Pairs, Port, Texts, Time, Words};
use super::health::HealthCheck;
use super::image::Image;
use super::legacy::Healthcheck;
use super::limits::Ulimit;
use super::networks::{NetworkMode, Networks};
use super::ports::Ports;
use super::publish::Target;
use super::sparse::sparse;
use super::volumes::Volume;
use super::web::{Codes, UrlPath};

/// One service: what runs, when it is healthy, where it is published, how it is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default = "Definition::blank")]
#[schemars(title = "Service definition", extend("required" = ["image"]))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the keys are those that compose has"
)]
pub struct Definition {
    // What runs.
    /// The image. With `build`, the name of what is built.
    pub image: Image,
    /// When the image is pulled.
    pub pull_policy: PullPolicy,
    /// The image's platform, such as linux/arm64; the host's by default.
    pub platform: Option<String>,
    /// How the image is built, where it is not pulled.
    pub build: Option<Build>,
    /// The command, in place of the image's.
    pub command: Option<Words>,
    /// What the command is handed to, in place of the image's.
    pub entrypoint: Option<Words>,
    /// Environment variables. A value that is left out is taken from launcher's own environment,
    /// and the variable is left out where it is not there either.
    pub environment: Pairs,
    /// Files of the host with further environment variables, NAME=VALUE a line; later ones come
    /// before earlier ones, and `environment` before all.
    pub env_file: EnvFiles,
    /// The directory that the command starts in.
    pub working_dir: Option<String>,
    /// Whom the command runs as: USER[:GROUP], by name or number.
    pub user: Option<String>,
    /// Further groups of that user, by name or number.
    pub group_add: Vec<String>,
    /// Labels of the container. Those that begin with `launcher.` are launcher's own.
    pub labels: Pairs,
    /// Whether a process of Docker's is the first one, which reaps the others.
    pub init: bool,
    /// Whether the command has a terminal.
    pub tty: bool,
    /// Whether the command's input stays open.
    pub stdin_open: bool,

    // What it reaches, and how it is reached.
    /// The port that the service listens at: what is probed, and `$PORT`.
    pub port: Option<Port>,
    /// Ports that are reached through the host.
    pub ports: Ports,
    /// Networks of Docker that the container is connected to.
    pub networks: Networks,
    /// Whose network the container is in: bridge, host, none, or container:NAME.
    pub network_mode: Option<NetworkMode>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// Name servers.
    pub dns: Texts,
    /// Options of the resolver.
    pub dns_opt: Vec<String>,
    /// Domains that names are looked up in.
    pub dns_search: Texts,
    /// Further names of hosts: a mapping, or a list of NAME=ADDRESS.
    pub extra_hosts: Pairs,

    // What it may use.
    /// What is mounted.
    pub volumes: Vec<Volume>,
    /// Directories in memory.
    pub tmpfs: Texts,
    /// Whether the root file system can only be read.
    pub read_only: bool,
    /// Devices of the host: PATH[:PATH_INSIDE[:rwm]].
    pub devices: Vec<String>,
    /// The most memory.
    pub mem_limit: Option<Bytes>,
    /// The memory that is left to it when memory is short.
    pub mem_reservation: Option<Bytes>,
    /// The most memory and swap space together.
    pub memswap_limit: Option<Bytes>,
    /// The size of /dev/shm.
    pub shm_size: Option<Bytes>,
    /// The most processors, such as 1.5.
    pub cpus: Option<f64>,
    /// Its share of the processors beside others.
    pub cpu_shares: Option<u32>,
    /// Which processors, such as 0-3.
    pub cpuset: Option<String>,
    /// The most processes.
    pub pids_limit: Option<i64>,
    /// Limits of each process.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// How soon the kernel ends it when memory is short, from -1000 to 1000.
    pub oom_score_adj: i16,
    /// Settings of the kernel.
    pub sysctls: Pairs,
    /// Capabilities that it has besides.
    pub cap_add: Vec<String>,
    /// Capabilities that it does not have.
    pub cap_drop: Vec<String>,
    /// Whether it may do all that the host may.
    pub privileged: bool,
    /// Options of AppArmor, SELinux, seccomp.
    pub security_opt: Vec<String>,
    /// Whose processes it sees: host, or container:NAME.
    pub pid: Option<String>,
    /// Whose shared memory it sees: host, private, shareable, or container:NAME.
    pub ipc: Option<String>,
    /// Whose host name it has: host.
    pub uts: Option<String>,
    /// Whose users it has: host.
    pub userns_mode: Option<String>,
    /// The control group that it is placed below.
    pub cgroup_parent: Option<String>,
    /// The program that runs the container.
    pub runtime: Option<String>,

    // Its life.
    /// When it counts as healthy. By default what the image says, or else whether `port` takes
    /// connections, or else whether it runs.
    pub health_check: Option<HealthCheck>,
    /// The same in the words of compose; one of both.
    #[serde(skip_serializing)]
    pub(super) healthcheck: Option<Healthcheck>,
    /// Checks that go on beside the one for health.
    #[serde(serialize_with = "sparse")]
    pub monitor: Monitor,
    /// Where it is published while it is healthy.
    pub publish: Vec<Target>,
    /// How long connections may go on after it was withdrawn.
    pub drain: Time,
    /// The signal that ends it, in place of the image's.
    pub stop_signal: Option<String>,
    /// How long it may take to end before it is killed.
    pub stop_grace_period: Time,
    /// How it is replaced by the next revision.
    #[serde(serialize_with = "sparse")]
    pub update: Update,

    // What the prior systems' documents say besides.
    /// The service's name, where the document says it: the one that it is stored under.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub(super) name: Option<ServiceName>,
    /// The same in a document of CouchDB.
    #[serde(skip_serializing, rename = "_id")]
    #[schemars(with = "Option<String>")]
    pub(super) couchdb_id: Option<ServiceName>,
    /// The revision in CouchDB. It is read past.
    #[serde(skip_serializing, rename = "_rev")]
    pub(super) couchdb_revision: Option<String>,
    /// Options of `docker create`, each taken for the key that it is the same as.
    #[serde(skip_serializing)]
    pub(super) container_create_args: Texts,
    /// Another name of `command`.
    #[serde(skip_serializing)]
    pub(super) service_args: Option<Words>,
}

impl Definition {
    /// What everything that is not written is, and no image.
    pub(super) fn blank() -> Self {
        Self {
            image: Image::NONE,
            pull_policy: PullPolicy::default(),
            platform: None,
            build: None,
            command: None,
            entrypoint: None,
            environment: Pairs::default(),
            env_file: EnvFiles::default(),
            working_dir: None,
            user: None,
            group_add: Vec::new(),
            labels: Pairs::default(),
            init: false,
            tty: false,
            stdin_open: false,
            port: None,
            ports: Ports::default(),
            networks: Networks::default(),
            network_mode: None,
            hostname: None,
            dns: Texts::default(),
            dns_opt: Vec::new(),
            dns_search: Texts::default(),
            extra_hosts: Pairs::default(),
            volumes: Vec::new(),
            tmpfs: Texts::default(),
            read_only: false,
            devices: Vec::new(),
            mem_limit: None,
            mem_reservation: None,
            memswap_limit: None,
            shm_size: None,
            cpus: None,
            cpu_shares: None,
            cpuset: None,
            pids_limit: None,
            ulimits: BTreeMap::new(),
            oom_score_adj: 0,
            sysctls: Pairs::default(),
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            privileged: false,
            security_opt: Vec::new(),
            pid: None,
            ipc: None,
            uts: None,
            userns_mode: None,
            cgroup_parent: None,
            runtime: None,
            health_check: None,
            healthcheck: None,
            monitor: Monitor::default(),
            publish: Vec::new(),
            drain: Time::seconds(30),
            stop_signal: None,
            stop_grace_period: Time::seconds(10),
            update: Update::default(),
            name: None,
            couchdb_id: None,
            couchdb_revision: None,
            container_create_args: Texts::default(),
            service_args: None,
        }
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// Where the host does not have it.
    #[default]
    #[serde(alias = "if_not_present")]
    Missing,
    /// At each start.
    Always,
    /// Not at all.
    Never,
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// A directory of the host.
    pub context: String,
    /// The Dockerfile in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// Which stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Arguments of the build.
    #[serde(default)]
    pub args: Pairs,
}

/// Files with environment variables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EnvFiles(pub Texts);

/// Checks that go on beside the one for health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Monitor {
    /// Pages that are asked for.
    pub check_http: Vec<PageCheck>,
}

/// A page that is asked for from time to time, at `port`, or at 80 where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageCheck {
    /// Which.
    pub path: UrlPath,
    /// What is to come back.
    #[serde(default, serialize_with = "sparse")]
    pub expected: Expected,
    /// From one time to the next.
    #[serde(default = "PageCheck::frequency")]
    pub frequency: Time,
}

impl PageCheck {
    fn frequency() -> Time {
        Time::seconds(60)
    }
}

/// What is to come back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// Which status codes.
    pub status: Codes,
    /// This body, byte for byte.
    pub body: Option<String>,
    /// The body that is in this file of the host.
    pub body_file: Option<String>,
}

/// How a revision replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// On so many hosts at a time.
    pub max_parallel: NonZeroU16,
    /// It must have been healthy for so long before the one before is stopped.
    pub min_healthy_time: Time,
    /// It is a bad one if it is not healthy and published within that time.
    pub healthy_deadline: Time,
    /// Whether a bad one gives way to the one before.
    pub auto_revert: bool,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            max_parallel: NonZeroU16::MIN,
            min_healthy_time: Time::seconds(10),
            healthy_deadline: Time::seconds(300),
            auto_revert: true,
        }
    }
}
