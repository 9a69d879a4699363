//! What a kind of load balancer must be able to do, and what can go wrong.
//! Each kind is a module and a cargo feature of its own.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "elb")]
pub mod elb;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use presence::model::{BalancerId, MemberId};

use crate::observed::{Described, Health};

/// A kind of load balancer. Cheap to clone; clones share connections, limits
/// and what is joined.
///
/// No method retries on its own: the reconciler does. Every call ends by
/// itself within a bounded time.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Who is registered. Calls that come together are joined into as few
    /// requests as the API allows.
    fn describe(
        &self,
        id: &BalancerId,
    ) -> impl Future<Output = Result<Described, BackendError>> + Send;

    /// How everyone who is registered or draining is.
    fn health(
        &self,
        id: &BalancerId,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Health, BackendError>> + Send;

    /// Puts members in, in one request where the API takes them all.
    fn register(
        &self,
        id: &BalancerId,
        members: &BTreeSet<MemberId>,
    ) -> impl Future<Output = Outcome> + Send;

    /// Takes members out, likewise.
    fn deregister(
        &self,
        id: &BalancerId,
        members: &BTreeSet<MemberId>,
    ) -> impl Future<Output = Outcome> + Send;
}

/// What waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A change: it precedes all polls.
    Decision,
    /// Only what the status shows, and what is decided by it in its time.
    Poll,
}

/// How a write ended, member by member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// It was done for these.
    pub done: BTreeSet<MemberId>,
    /// These were refused, and why; the others were not held up by them.
    pub rejected: BTreeMap<MemberId, String>,
    /// What kept the rest from being done. For those the outcome is unknown.
    pub error: Option<BackendError>,
}

/// Why a load balancer could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// It does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Too many requests.
    #[error("{0}")]
    Throttled(String),
    /// We may not, or nobody knows who we are.
    #[error("{0}")]
    Denied(String),
    /// No answer, or an answer that says "later". It may have been done.
    #[error("{0}")]
    Unavailable(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Rejected(String),
}

impl BackendError {
    /// Whether trying again soon may help. For the others somebody has to do
    /// something first.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Unavailable(_))
    }

    /// Both, where something else failed as well: of the first one's class.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        if self == *other {
            return self;
        }
        let both = format!("{self}; {other}");
        match self {
            Self::NotFound(_) => Self::NotFound(both),
            Self::Throttled(_) => Self::Throttled(both),
            Self::Denied(_) => Self::Denied(both),
            Self::Unavailable(_) => Self::Unavailable(both),
            Self::Rejected(_) => Self::Rejected(both),
        }
    }

    /// One word for metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Throttled(_) => "throttled",
            Self::Denied(_) => "denied",
            Self::Unavailable(_) => "unavailable",
            Self::Rejected(_) => "rejected",
        }
    }
}
