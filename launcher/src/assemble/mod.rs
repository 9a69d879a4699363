//! From a definition to a container, to what is asked of it, and to what its variables stand for.
//!
//! | module | kind | |
//! | --- | --- | --- |
//! | [`HostEnvironment`] | driver | what a definition takes from this host's files and variables |
//! | [`spec()`] | pure | what the container is to be |
//! | [`locate`] | driver | where the container is reached |
//! | [`Probes`] | pure | what is asked of it, where, and when |
//! | [`HostFacts`] | driver | what a definition's variables stand for on this host |
//! | [`values`] | pure | what all of them stand for |
//!
//! In that order: the environment is read and the spec made before there is a container; the place,
//! the probes and the values are those of a container that runs, as it was inspected. They are
//! cheap, and equal for an equal container: make them again whenever it was inspected.

mod device;
mod environment;
mod location;
mod metadata;
mod probes;
mod spec;
mod values;

pub use self::environment::HostEnvironment;
pub use self::location::{Location, locate};
pub use self::metadata::{Metadata, MetadataError};
pub use self::probes::{Ask, Page, Probes, Request, Wanted};
pub use self::spec::spec;
pub use self::values::{HostFacts, values};

/// A definition of which no container can be made on this host.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A file with variables cannot be had.
    #[error("env_file {path:?} cannot be read: make it, or take it out of the definition")]
    EnvFile {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A line of it is none. What it holds may be a secret, and is not repeated.
    #[error(
        "env_file {path:?}, line {line}: {why}; NAME=VALUE is expected, or NAME, or # and a comment"
    )]
    EnvLine {
        /// Of which file.
        path: String,
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A value is not of its form.
    #[error("{key}: {value:?} is not of the form {expected}")]
    Value {
        /// Where it stands.
        key: String,
        /// What stands there.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
}
