use std::time::Duration;

/// For how long the kernel keeps a connection without packets, in whole
/// seconds. They are the network namespace's, not a service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP connections; 900 s where nobody has set it.
    pub tcp: Duration,
    /// TCP connections being closed; 120 s where nobody has set it.
    pub tcp_fin: Duration,
    /// UDP; 300 s where nobody has set it.
    pub udp: Duration,
}
