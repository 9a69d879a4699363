/// What has gone through a service or a destination since it was added, or
/// since its counters were last reset. The kernel adds up every two seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that were scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; 0 where answers do not pass this host (direct
    /// routing, tunnels).
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients, as with packets.
    pub bytes_out: u64,
    /// How fast, of late.
    pub rates: Rates,
}

/// The kernel's estimates over some seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Connections a second.
    pub connections: u64,
    /// Packets a second from clients.
    pub packets_in: u64,
    /// Packets a second to clients.
    pub packets_out: u64,
    /// Bytes a second from clients.
    pub bytes_in: u64,
    /// Bytes a second to clients.
    pub bytes_out: u64,
}
