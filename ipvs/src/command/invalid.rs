use std::fmt;
use std::time::Duration;

use crate::model::{
    DestinationKey, Engine, Family, MAX_PERSISTENCE, MAX_WEIGHT, Netmask, ServiceKey,
};

/// A command that is not sent, because the kernel cannot do it as it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The service that it is about.
    pub service: ServiceKey,
    /// The destination that it is about, if it is about one.
    pub destination: Option<DestinationKey>,
    /// What is wrong.
    pub reason: Reason,
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(destination) = self.destination {
            write!(f, "destination {destination} of ")?;
        }
        write!(f, "service {}: {}", self.service, self.reason)
    }
}

/// What is wrong with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The kernel takes it and never schedules anything.
    #[error("protocol {0} is not scheduled: TCP (6), UDP (17) and SCTP (132) are")]
    Protocol(u16),
    /// There is no room for it in a message.
    #[error("an IPv6 address with a scope or flow label is not possible")]
    Scope,
    /// The kernel takes it and schedules nothing.
    #[error("port 0, that is every port, is possible for persistent services only")]
    ServicePort,
    /// The kernel takes it, and clients are sent to port 0.
    #[error("port 0 is possible only where the service has no port of its own: 1 to 65535")]
    DestinationPort,
    /// The kernel takes it and sends packets to the service's port.
    #[error(
        "port {port} differs from the service's port {expected}, and only masquerading changes \
         ports"
    )]
    OtherPort {
        /// The destination's port.
        port: u16,
        /// The service's port.
        expected: u16,
    },
    /// Nothing but a tunnel gets from one family to the other.
    #[error("an {destination} destination of an {service} service is reached by a tunnel only")]
    MixedFamilies {
        /// The service's.
        service: Family,
        /// The destination's.
        destination: Family,
    },
    /// The kernel takes up to 2^31 - 1, and overflows.
    #[error("weight {0} is above {MAX_WEIGHT}")]
    Weight(u32),
    /// The destination would never be used again.
    #[error("the lower threshold {lower} is above the upper threshold {upper}")]
    Thresholds {
        /// The lower one.
        lower: u32,
        /// The upper one.
        upper: u32,
    },
    /// The kernel takes numbers that it does not know.
    #[error("forwarding method {0} is not known: masquerading, direct, tunnel and local are")]
    Forward(u32),
    /// The kernel takes numbers that it does not know.
    #[error("tunnel type {kind} with flags {flags:#x} is not known: ipip, gue and gre are")]
    Tunnel {
        /// Its number.
        kind: u8,
        /// Its flags.
        flags: u16,
    },
    /// It has no meaning for the family.
    #[error("netmask {mask} is not possible: /0 to /32 for IPv4, /1 to /128 for IPv6")]
    Netmask {
        /// The mask.
        mask: Netmask,
    },
    /// The kernel cuts it off or wraps around.
    #[error(
        "persistence {:?} is not possible: whole seconds from 1 to {}", .0, MAX_PERSISTENCE.as_secs()
    )]
    Persistence(Duration),
    /// The kernel takes it and ignores it.
    #[error("persistence engine {0} has no effect without persistence")]
    Engine(Engine),
    /// The kernel takes it and ignores it.
    #[error("one-packet scheduling (ops) is possible for UDP and firewall marks only")]
    OnePacket,
}
