use std::time::Duration;

use nix::errno::Errno;

use super::error::Error;
use super::outcome::Lost;
use crate::wire::DecodeError;

/// What can go wrong between a request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The kernel says no.
    Refused(Errno),
    /// The table was changed while it was read.
    Interrupted,
    /// There was no room for the answer.
    Overrun,
    /// There was no answer.
    TimedOut,
    /// The answer makes no sense.
    Garbled(DecodeError),
    /// The socket failed.
    Socket(&'static str, Errno),
}

impl Failure {
    /// Of receiving, where a time-out is `EAGAIN`.
    pub(super) fn receiving(errno: Errno) -> Self {
        match errno {
            Errno::ENOBUFS => Self::Overrun,
            Errno::EAGAIN => Self::TimedOut,
            other => Self::Socket("receive from", other),
        }
    }

    /// Whether the same question may be answered if asked again.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Overrun)
    }

    /// Whether answers may still arrive, or are missing: the next request
    /// needs a new socket. A family that has got another number does as well.
    pub(super) fn spoils_socket(&self) -> bool {
        match self {
            Self::Refused(errno) => *errno == Errno::ENOENT,
            _ => true,
        }
    }

    /// To the one who reads.
    pub(super) fn into_error(self, what: &'static str, after: Duration, attempts: usize) -> Error {
        match self {
            Self::Refused(Errno::ENOENT) => Error::NoModule,
            Self::Refused(Errno::EPERM) => Error::NotPermitted,
            Self::Refused(source) => Error::Refused { what, source },
            Self::Interrupted | Self::Overrun => Error::Changing { what, attempts },
            Self::TimedOut => Error::TimedOut { what, after },
            Self::Garbled(source) => Error::Garbled { what, source },
            Self::Socket(doing, source) => Error::Socket { doing, source },
        }
    }

    /// To the one who writes.
    pub(super) fn into_lost(self) -> Lost {
        match self {
            Self::Interrupted | Self::Overrun => Lost::Overrun,
            Self::TimedOut => Lost::TimedOut,
            Self::Garbled(_) => Lost::Garbled,
            Self::Refused(errno) | Self::Socket(_, errno) => Lost::Socket(errno),
        }
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Garbled(error)
    }
}
