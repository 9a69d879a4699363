use std::fmt;
use std::num::NonZeroU32;

use crate::model::{DestinationKey, Forward, Scheduler, ServiceKey};

/// Which service, as far as the text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One with an address.
    Address(ServiceKey),
    /// One with a firewall mark, of either family. Where both have one, the
    /// text has two.
    Fwmark(NonZeroU32),
}

impl From<&ServiceKey> for Key {
    fn from(key: &ServiceKey) -> Self {
        match key {
            ServiceKey::Address { .. } => Self::Address(*key),
            ServiceKey::Fwmark { mark, .. } => Self::Fwmark(*mark),
        }
    }
}

/// As [`ServiceKey`], with `fwmark:` for both families.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(key) => key.fmt(f),
            Self::Fwmark(mark) => write!(f, "fwmark:{mark}"),
        }
    }
}

/// How packets get to a destination, as far as the text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `Masq`.
    Masq,
    /// `Local`.
    Local,
    /// `Tunnel`, of any kind.
    Tunnel,
    /// `Route`.
    Direct,
    /// One that has another name.
    Other,
}

impl From<Forward> for Method {
    fn from(forward: Forward) -> Self {
        match forward {
            Forward::Masq => Self::Masq,
            Forward::Local => Self::Local,
            Forward::Tunnel(_) => Self::Tunnel,
            Forward::Direct => Self::Direct,
            Forward::Other(_) => Self::Other,
        }
    }
}

/// A service as the text has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub key: Key,
    /// How the destination of a new connection is chosen.
    pub scheduler: Scheduler,
    /// Whether it is persistent. The text has the time in ticks, and the
    /// netmask cut off, so neither is told.
    pub persistent: bool,
    /// Whether each packet is scheduled anew. Linux does not say it of IPv6
    /// services with an address.
    pub one_packet: bool,
    /// Its destinations.
    pub destinations: Vec<Destination>,
}

/// A destination as the text has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Which, within its service.
    pub key: DestinationKey,
    /// How packets get there.
    pub method: Method,
    /// Its share of new connections.
    pub weight: u32,
    /// Established connections.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
}
