use std::time::Duration;

use super::{Destination, Engine, Family, Netmask, Scheduler, ServiceFlags, ServiceKey, Stats};

/// The longest persistence that is written: what ipvsadm allows. The kernel
/// counts in ticks, and silently wraps around after 49 days where it has 1000
/// of them a second.
pub const MAX_PERSISTENCE: Duration = Duration::from_hours(31 * 24);

/// How a service is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceConfig {
    /// How the destination of a new connection is chosen.
    pub scheduler: Scheduler,
    /// How, beyond that.
    pub flags: ServiceFlags,
    /// For how long a client is sent to the destination that it had last, in
    /// whole seconds, from 1 s to [`MAX_PERSISTENCE`].
    pub persistence: Option<Duration>,
    /// How much of its address makes a client.
    pub netmask: Netmask,
    /// What else makes a client.
    pub engine: Option<Engine>,
}

impl ServiceConfig {
    /// Without flags and persistence.
    pub const fn new(family: Family, scheduler: Scheduler) -> Self {
        Self {
            scheduler,
            flags: ServiceFlags::from_bits(0),
            persistence: None,
            netmask: Netmask::host(family),
            engine: None,
        }
    }
}

/// A service as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub key: ServiceKey,
    /// How it is set up.
    pub config: ServiceConfig,
    /// What it has done.
    pub stats: Stats,
}

/// A service with its destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The service.
    pub service: Service,
    /// Its destinations, in the kernel's order.
    pub destinations: Vec<Destination>,
}
