//! What etcd's and the connection's errors mean.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use etcd_client::Error;

use crate::model::LeaseId;
use crate::store::StoreError;

/// Status codes of gRPC, by their numbers on the wire.
mod code {
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const NOT_FOUND: i32 = 5;
    pub const PERMISSION_DENIED: i32 = 7;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const FAILED_PRECONDITION: i32 = 9;
    pub const OUT_OF_RANGE: i32 = 11;
    pub const UNIMPLEMENTED: i32 = 12;
    pub const UNAUTHENTICATED: i32 = 16;
}

/// What a peer that hangs up looks like, depending on who is faster.
const CUT_OFF: [&str; 5] = [
    "connection closed",
    "fatal alert",
    "broken pipe",
    "reset by peer",
    "protocol error",
];

/// Why a call failed, in the classes that matter to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer, or none that counts.
    Unavailable(String),
    /// Nobody listens there: the request has certainly not been carried out.
    NobodyThere(String),
    /// The token is too old, or is missing where one is needed by now.
    StaleToken(String),
    /// etcd's storage quota is used up.
    NoSpace(String),
    /// History that is gone.
    Compacted,
    /// Wrong user, password, certificate or role.
    Denied(String),
    /// The lease in the request is gone.
    LeaseGone,
    /// The answer is larger than we take.
    TooLarge,
    /// The request is wrong.
    Rejected(String),
}

impl Failure {
    pub fn timed_out(after: Duration) -> Self {
        Self::Unavailable(format!("no answer within {after:?}"))
    }

    /// In the words of the trait.
    pub fn at(self, place: &str, subject: &str, lease: Option<LeaseId>) -> StoreError {
        let endpoints = place.to_owned();
        match self {
            Self::Unavailable(reason) | Self::NobodyThere(reason) => {
                StoreError::Unavailable { endpoints, reason }
            }
            Self::Denied(reason) | Self::StaleToken(reason) => StoreError::Denied {
                endpoints,
                reason,
                subject: subject.to_owned(),
            },
            Self::NoSpace(reason) => StoreError::NoSpace { endpoints, reason },
            Self::Compacted => StoreError::Compacted,
            Self::LeaseGone => StoreError::LeaseGone(lease.unwrap_or(LeaseId(0))),
            Self::TooLarge => StoreError::Rejected {
                endpoints,
                reason: "its answer would be too large".to_owned(),
            },
            Self::Rejected(reason) => StoreError::Rejected { endpoints, reason },
        }
    }

    /// A connection that is closed before it ever worked has a reason that
    /// the library keeps to itself: etcd ends the handshake so.
    pub fn at_first_contact(self, tls: bool) -> Self {
        let hint = if tls {
            "is it etcd's TLS port, and does it accept our --cert?"
        } else {
            "does it want TLS, that is https:// or --cacert?"
        };
        match self {
            Self::Unavailable(reason) if CUT_OFF.iter().any(|words| reason.contains(words)) => {
                Self::Unavailable(format!("{reason}; {hint}"))
            }
            other => other,
        }
    }

    /// etcd's reason for ending a watch.
    pub fn of_cancelled_watch(reason: &str) -> Self {
        let said = reason.to_owned();
        // etcd says so of a watch with a token that is too old, too.
        let denied = ["permission denied", "auth token", "auth store is old"];
        if denied.iter().any(|words| reason.contains(words)) {
            Self::StaleToken(said)
        } else if reason.is_empty() {
            Self::Unavailable("the watch was ended without a reason".to_owned())
        } else {
            Self::Unavailable(said)
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::GRpcStatus(status) => {
                let said = status.message();
                let words = in_words(said, status.source());
                if nobody_there(status.source()) {
                    return Self::NobodyThere(words);
                }
                of_status(i32::from(status.code()), said, words)
            }
            Error::TransportError(transport) => Self::Unavailable(in_words("", Some(transport))),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

fn of_status(code: i32, said: &str, words: String) -> Failure {
    match code {
        code::OUT_OF_RANGE if said.contains("compacted") => Failure::Compacted,
        code::OUT_OF_RANGE if said.contains("message length too large") => Failure::TooLarge,
        code::NOT_FOUND if said.contains("lease not found") => Failure::LeaseGone,
        code::INVALID_ARGUMENT
            if said.contains("user name is empty") || said.contains("auth store is old") =>
        {
            Failure::StaleToken(words)
        }
        code::UNAUTHENTICATED => Failure::StaleToken(words),
        code::INVALID_ARGUMENT if said.contains("authentication failed") => Failure::Denied(words),
        code::PERMISSION_DENIED => Failure::Denied(words),
        // Quota and overload are told by the same code as a request that can
        // never be taken.
        code::RESOURCE_EXHAUSTED if said.contains("space exceeded") => Failure::NoSpace(words),
        code::RESOURCE_EXHAUSTED if said.contains("too many requests") => {
            Failure::Unavailable(words)
        }
        code::INVALID_ARGUMENT
        | code::NOT_FOUND
        | code::RESOURCE_EXHAUSTED
        | code::FAILED_PRECONDITION
        | code::OUT_OF_RANGE
        | code::UNIMPLEMENTED => Failure::Rejected(words),
        _ => Failure::Unavailable(words),
    }
}

/// Whether it is the error of an etcd that does not ask for users.
pub(super) fn asks_for_no_user(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if status.message().contains("authentication is not enabled"))
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn causes(first: Option<Cause<'_>>) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(first, |&cause| cause.source())
}

/// Only kinds that come from connecting: no byte of the request was sent.
fn nobody_there(first: Option<Cause<'_>>) -> bool {
    causes(first).any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            )
        })
    })
}

/// The whole chain, without what says nothing and what says it again.
fn in_words(said: &str, first: Option<Cause<'_>>) -> String {
    let mut words = Vec::new();
    let chain = causes(first).map(ToString::to_string);
    for part in std::iter::once(said.to_owned()).chain(chain) {
        let noise = matches!(part.as_str(), "" | "transport error");
        if !noise && !words.iter().any(|earlier: &String| earlier.contains(&part)) {
            words.push(part);
        }
    }
    if words.is_empty() {
        words.push("the connection broke".to_owned());
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_of_etcd_mean_what_they_mean() {
        let said = |said: &str| said.to_owned();
        for (code, words, failure) in [
            (
                11,
                "etcdserver: mvcc: required revision has been compacted",
                Failure::Compacted,
            ),
            (
                5,
                "etcdserver: requested lease not found",
                Failure::LeaseGone,
            ),
            (
                7,
                "etcdserver: permission denied",
                Failure::Denied(said("etcdserver: permission denied")),
            ),
            (
                3,
                "etcdserver: request is too large",
                Failure::Rejected(said("etcdserver: request is too large")),
            ),
            (
                3,
                "etcdserver: user name is empty",
                Failure::StaleToken(said("etcdserver: user name is empty")),
            ),
            (
                8,
                "etcdserver: too many requests",
                Failure::Unavailable(said("etcdserver: too many requests")),
            ),
            (
                8,
                "etcdserver: mvcc: database space exceeded",
                Failure::NoSpace(said("etcdserver: mvcc: database space exceeded")),
            ),
            (
                14,
                "etcdserver: no leader",
                Failure::Unavailable(said("etcdserver: no leader")),
            ),
        ] {
            assert_eq!(of_status(code, words, said(words)), failure);
        }
    }

    #[test]
    fn a_chain_is_told_once_and_whole() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused");
        let outer = io::Error::other(refused);
        assert_eq!(
            in_words("tcp connect error", Some(&outer)),
            "tcp connect error: Connection refused"
        );
    }
}
