//! The vocabulary: what a load balancer, a member and their options are, and
//! what hosts, services and their revisions are called.
//!
//! Identity, configuration and statistics are separate types. Every identity
//! is canonical by construction: it is parsed at the edge, and two spellings
//! of one thing cannot both exist.

mod balancer;
mod definition;
mod excerpt;
mod member;
mod names;
mod options;
mod revision;
mod service_host;
mod virtual_service;

pub use balancer::{BalancerId, Class, Kind, Region};
pub use definition::DefinitionRevision;
pub use excerpt::excerpt;
pub use member::{MemberId, MemberKey};
pub use names::{HostId, Label, ServiceId, ServiceName};
pub use options::{
    BalancerOptions, EffectiveOptions, Forward, MemberOptions, OptionsError, Ownership, Parsed,
    SchedulerFlag, VirtualServiceOptions,
};
pub use revision::{LeaseId, Revision};
pub use service_host::{ServiceHost, ServiceHostError, ServiceState};
pub use virtual_service::{VirtualService, real_server};

/// A name that is not of the form its place in a key demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {allowed}")]
pub struct InvalidName {
    /// Which part of the key.
    pub what: &'static str,
    /// The value as it was written, or the beginning of a long one.
    pub value: String,
    /// What would have been right, in words for the person who wrote it.
    pub allowed: String,
    /// The one spelling that counts, where the value is another spelling of
    /// something.
    pub canonical: Option<String>,
}

impl InvalidName {
    pub(crate) fn new(what: &'static str, value: &str, allowed: impl Into<String>) -> Self {
        Self {
            what,
            value: excerpt(value),
            allowed: allowed.into(),
            canonical: None,
        }
    }

    /// The value names something, but not by the one spelling that counts.
    pub(crate) fn spelling(what: &'static str, value: &str, canonical: &str) -> Self {
        let allowed = format!("only the canonical spelling names it: write {canonical:?}");
        Self {
            canonical: Some(canonical.to_owned()),
            ..Self::new(what, value, allowed)
        }
    }
}
