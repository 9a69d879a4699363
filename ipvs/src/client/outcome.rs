use std::sync::Arc;

use nix::errno::Errno;

use super::error::Error;
use crate::command::{Command, Invalid};

/// What became of a command.
pub type Outcome = Result<(), CommandError>;

/// Why a command was not done, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not sent: [`Command::validate`] says why.
    #[error(transparent)]
    Invalid(Box<Invalid>),
    /// Not done: the kernel says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Done or not: the kernel's answer did not arrive. What the table is now
    /// has to be read.
    #[error("it is not known whether it was done: {0}")]
    Unknown(Lost),
    /// Not sent, because nothing can be.
    #[error("not sent")]
    NotSent(#[source] Arc<Error>),
}

/// Why the kernel refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is there already.
    #[error("it exists already")]
    Exists,
    /// There is no such service to edit, remove, or add a destination to.
    #[error("there is no such service")]
    NoSuchService,
    /// There is no such destination to edit or remove.
    #[error("there is no such destination")]
    NoSuchDestination,
    /// The scheduler or the persistence engine has no module.
    #[error("the kernel has no module for the scheduler or the persistence engine (ENOENT)")]
    NoSuchScheduler,
    /// A number is out of range.
    #[error("a number is out of range (ERANGE)")]
    OutOfRange,
    /// The kernel finds it impossible. So are IPv4 destinations in a network
    /// namespace whose interface `lo` was never up.
    #[error(
        "the kernel finds an argument invalid (EINVAL); that is also its answer to destinations \
         where the interface lo was never up"
    )]
    InvalidArgument,
    /// The process may not.
    #[error("not permitted: CAP_NET_ADMIN is needed in the initial user namespace")]
    NotPermitted,
    /// Another reason.
    #[error("the kernel says {0}")]
    Other(Errno),
}

impl Refusal {
    /// What an error number means depends on what was to be done.
    pub(super) fn of(command: &Command, errno: Errno) -> Self {
        match errno {
            Errno::EEXIST => Self::Exists,
            Errno::ESRCH => Self::NoSuchService,
            Errno::ENOENT => match command {
                Command::AddService { .. } | Command::EditService { .. } => Self::NoSuchScheduler,
                Command::EditDestination { .. } | Command::DeleteDestination { .. } => {
                    Self::NoSuchDestination
                }
                _ => Self::Other(errno),
            },
            Errno::ERANGE => Self::OutOfRange,
            Errno::EINVAL => Self::InvalidArgument,
            Errno::EPERM => Self::NotPermitted,
            other => Self::Other(other),
        }
    }
}

/// How the answer to a command was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The socket had no room for it.
    #[error("the kernel had no room for its answers (ENOBUFS)")]
    Overrun,
    /// It did not come in time.
    #[error("the kernel does not answer")]
    TimedOut,
    /// What came instead made no sense.
    #[error("the kernel's answers make no sense")]
    Garbled,
    /// The socket failed.
    #[error("its answers cannot be received: {0}")]
    Socket(Errno),
}
