use std::time::Duration;

/// How the socket is used. The defaults are right unless something is tried
/// out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// For how long an answer is waited for. The kernel answers before it
    /// lets go of the one who asks, so this runs out only where something is
    /// badly wrong.
    pub timeout: Duration,
    /// How many bytes of answers the kernel is asked to keep.
    pub receive_buffer: usize,
    /// How many bytes of requests are sent at once.
    pub send_buffer: usize,
    /// How many commands are sent at once.
    pub batch: usize,
    /// How many bytes of the receive buffer an answer to a command takes at
    /// most: no more commands are sent at once than answers fit.
    pub reply_size: usize,
}

impl Default for Settings {
    /// 5 s; 8 MiB; 128 KiB; 500; 2048 bytes, where 768 to 1280 have been seen.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            receive_buffer: 8 << 20,
            send_buffer: 128 << 10,
            batch: 500,
            reply_size: 2048,
        }
    }
}
