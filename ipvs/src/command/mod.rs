mod invalid;
#[cfg(test)]
mod tests;
mod validate;

pub use invalid::{Invalid, Reason};

use std::fmt;

use crate::model::{DestinationConfig, DestinationKey, ServiceConfig, ServiceKey};

/// One change to the kernel's table.
///
/// There is no flush: what is removed and added again keeps its connections
/// only if nothing was flushed, and a table is changed faster than rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Adds a service; refused with [`Exists`](crate::Refusal::Exists) where
    /// there is one.
    AddService {
        /// Which.
        service: ServiceKey,
        /// How.
        config: ServiceConfig,
    },
    /// Sets up a service anew, with its destinations and connections
    /// untouched.
    EditService {
        /// Which.
        service: ServiceKey,
        /// How.
        config: ServiceConfig,
    },
    /// Removes a service and its destinations.
    DeleteService {
        /// Which.
        service: ServiceKey,
    },
    /// Adds a destination to a service; refused with
    /// [`Exists`](crate::Refusal::Exists) where it is there.
    AddDestination {
        /// To which service.
        service: ServiceKey,
        /// Which.
        destination: DestinationKey,
        /// How.
        config: DestinationConfig,
    },
    /// Changes how a destination is used, with its connections untouched.
    EditDestination {
        /// Of which service.
        service: ServiceKey,
        /// Which.
        destination: DestinationKey,
        /// How.
        config: DestinationConfig,
    },
    /// Removes a destination. Its connections are cut, or time out, as
    /// `net.ipv4.vs.expire_nodest_conn` says.
    DeleteDestination {
        /// Of which service.
        service: ServiceKey,
        /// Which.
        destination: DestinationKey,
    },
    /// Resets the counters of a service and its destinations.
    ResetCounters {
        /// Of which service.
        service: ServiceKey,
    },
}

impl Command {
    /// The service that it is about.
    pub fn service(&self) -> &ServiceKey {
        match self {
            Self::AddService { service, .. }
            | Self::EditService { service, .. }
            | Self::DeleteService { service }
            | Self::AddDestination { service, .. }
            | Self::EditDestination { service, .. }
            | Self::DeleteDestination { service, .. }
            | Self::ResetCounters { service } => service,
        }
    }

    /// The destination that it is about, if it is about one.
    pub fn destination(&self) -> Option<&DestinationKey> {
        match self {
            Self::AddDestination { destination, .. }
            | Self::EditDestination { destination, .. }
            | Self::DeleteDestination { destination, .. } => Some(destination),
            _ => None,
        }
    }

    /// Whether the kernel can do it as it is said. It takes more: what it
    /// would wrongly accept, ignore or cut off is an error here, except for
    /// removals, so that whatever somebody else has put there can be removed.
    ///
    /// ```
    /// use ipvs::{Command, DestinationConfig, Forward, ServiceKey};
    ///
    /// let heavy = Command::AddDestination {
    ///     service: ServiceKey::tcp("10.0.0.1:80".parse().unwrap()),
    ///     destination: "10.0.1.7:8080".parse::<std::net::SocketAddr>().unwrap().into(),
    ///     config: DestinationConfig::new(Forward::Masq, 100_000),
    /// };
    /// assert_eq!(
    ///     heavy.validate().unwrap_err().to_string(),
    ///     "destination 10.0.1.7:8080 of service 10.0.0.1:80: weight 100000 is above 65535"
    /// );
    /// ```
    pub fn validate(&self) -> Result<(), Invalid> {
        validate::check(self).map_err(|reason| Invalid {
            service: *self.service(),
            destination: self.destination().copied(),
            reason,
        })
    }
}

/// `add destination 10.0.1.7:8080 to service 10.0.0.1:80`: what goes between
/// "cannot" and the reason.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, preposition) = match self {
            Self::AddService { .. } => ("add", ""),
            Self::EditService { .. } => ("edit", ""),
            Self::DeleteService { .. } => ("remove", ""),
            Self::AddDestination { .. } => ("add", "to"),
            Self::EditDestination { .. } => ("edit", "of"),
            Self::DeleteDestination { .. } => ("remove", "from"),
            Self::ResetCounters { .. } => ("reset the counters of", ""),
        };
        write!(f, "{verb} ")?;
        if let Some(destination) = self.destination() {
            write!(f, "destination {destination} {preposition} ")?;
        }
        write!(f, "service {}", self.service())
    }
}
