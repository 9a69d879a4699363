use std::num::NonZeroU16;

use super::{DestinationKey, Stats};

/// The heaviest weight that is written: what ipvsadm allows. The kernel takes
/// up to 2^31 - 1, with which the products of some schedulers overflow.
pub const MAX_WEIGHT: u32 = 65535;

/// How packets get to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forward {
    /// Addresses and ports are rewritten; answers must come back this way.
    Masq,
    /// The destination is this host itself.
    Local,
    /// Wrapped into packets to the destination, which answers by itself.
    Tunnel(TunnelKind),
    /// Unchanged, on the link that the destination is on, which answers by
    /// itself.
    Direct,
    /// A number that is none of these. The kernel takes it, so it can be
    /// read, and is refused when writing.
    Other(u32),
}

/// How packets are wrapped for a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// The destination's UDP port.
        port: NonZeroU16,
        /// How packets are protected.
        checksum: Checksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Whether there is a checksum.
        checksum: bool,
    },
    /// A kind that is none of these. The kernel takes it, so it can be read,
    /// and is refused when writing.
    Other {
        /// Its number.
        kind: u8,
        /// Its port.
        port: u16,
        /// Its flags.
        flags: u16,
    },
}

/// How the packets of a GUE tunnel are protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checksum {
    /// Not at all.
    #[default]
    None,
    /// By the checksum of UDP.
    Udp,
    /// By that, with the inner checksum left to the far end (remote checksum
    /// offload).
    Remote,
}

/// How a destination is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DestinationConfig {
    /// How packets get there.
    pub forward: Forward,
    /// Its share of new connections, to [`MAX_WEIGHT`]; 0 for none, while
    /// those it has go on.
    pub weight: u32,
    /// At this number of connections it gets no new ones; 0 for no limit.
    pub upper_threshold: u32,
    /// Below this number it gets new ones again; where it is 0, below three
    /// quarters of the upper threshold.
    pub lower_threshold: u32,
}

impl DestinationConfig {
    /// Without thresholds.
    pub const fn new(forward: Forward, weight: u32) -> Self {
        Self {
            forward,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }
}

/// How many connections a destination has now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Established ones. Always 0 for UDP.
    pub active: u32,
    /// Others: being opened or closed, and all of UDP's.
    pub inactive: u32,
    /// Clients that are remembered for persistence.
    pub persistent: u32,
}

/// A destination as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Which, within its service.
    pub key: DestinationKey,
    /// How it is used.
    pub config: DestinationConfig,
    /// What it has now.
    pub connections: Connections,
    /// What it has done.
    pub stats: Stats,
}
