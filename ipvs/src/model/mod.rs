//! What the kernel's table is made of, as plain values.
//!
//! Identity ([`ServiceKey`], [`DestinationKey`]), configuration
//! ([`ServiceConfig`], [`DestinationConfig`]) and what the kernel counts
//! ([`Stats`], [`Connections`]) are separate types: the first is compared to
//! find an entry, the second to tell whether it has drifted, and the third
//! never.
//!
//! Every value that the kernel can have is representable, also those that
//! this crate would not write ([`Protocol::Other`], [`Forward::Other`]): a
//! table is read whole, whoever wrote it. [`Command::validate`] draws the
//! line.
//!
//! [`Command::validate`]: crate::Command::validate

mod destination;
mod flags;
mod key;
mod name;
mod netmask;
mod service;
mod stats;

pub use destination::{
    Checksum, Connections, Destination, DestinationConfig, Forward, MAX_WEIGHT, TunnelKind,
};
pub use flags::ServiceFlags;
pub use key::{DestinationKey, Family, Protocol, ServiceKey};
pub use name::{Engine, InvalidName, Scheduler};
pub use netmask::Netmask;
pub use service::{Entry, MAX_PERSISTENCE, Service, ServiceConfig};
pub use stats::{Rates, Stats};
