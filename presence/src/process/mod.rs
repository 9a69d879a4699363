//! Plumbing of a well-behaved daemon, shared by the three binaries.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`args`] | flags that every binary has |
//! | [`backoff`] | how long to wait before trying again |
//! | [`cli`] | completions and manual pages |
//! | [`clock`] | time that tests can hold still |
//! | [`complaint`] | the same trouble again and again, without a flood of warnings |
//! | [`daemon`] | words for systemd and pages over HTTP around a daemon's work |
//! | [`deadline`] | deadlines that a suspended machine does not put off |
//! | [`duration`] | durations as people write them |
//! | [`etcd_args`] | how etcd is reached: etcdctl's flags and variables |
//! | [`exit`] | exit codes, and the last words on stderr |
//! | [`health`] | heartbeats and readiness: one vocabulary for systemd and HTTP |
//! | [`host_address`] | where this host is reached by others |
//! | [`http`] | `/metrics`, `/healthz`, `/readyz` |
//! | [`logging`] | one event a line: journal, text or JSON |
//! | [`metrics`] | the registry, with prefix and build information |
//! | [`replace()`](replace::replace) | a file that is replaced whole |
//! | [`shutdown`] | SIGTERM and SIGINT as one future |
//! | [`state_file`] | small files that survive a crash whole |
//! | [`systemd`] | READY, STATUS, WATCHDOG, STOPPING |
//! | [`words`] | times, columns and lists as people read them |

pub mod args;
pub mod backoff;
pub mod cli;
pub mod clock;
pub mod complaint;
pub mod daemon;
pub mod deadline;
pub mod duration;
pub mod etcd_args;
pub mod exit;
pub mod health;
pub mod host_address;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod replace;
pub mod shutdown;
pub mod state_file;
pub mod systemd;
pub mod words;

/// The commit that this was built from: 12 hexadecimal digits, or `unknown`
/// where there was no git.
pub const COMMIT: &str = env!("PRESENCE_COMMIT");

/// What `--version` says, and the `version` of the build information:
/// the workspace's version and the commit.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PRESENCE_COMMIT"),
    ")"
);
