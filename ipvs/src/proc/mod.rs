//! The kernel's table as text, `/proc/net/ip_vs`: read several times faster
//! than over netlink, and enough to see whether anything has changed.
//!
//! It has weights, forwarding methods and numbers of connections, but no
//! thresholds, no kinds of tunnels, no netmask worth the name, and it does not
//! tell IPv4 from IPv6 where a service has a firewall mark. So it is a
//! fingerprint: [`Key::from`] and [`Method::from`] say how what is wanted
//! would look here.
//!
//! ```
//! use ipvs::proc;
//!
//! let text = "\
//! IP Virtual Server version 1.2.1 (size=4096)
//! Prot LocalAddress:Port Scheduler Flags
//!   -> RemoteAddress:Port Forward Weight ActiveConn InActConn
//! TCP  0A000001:0050 wlc
//!   -> 0A000107:1F90      Masq    1      3          0
//! ";
//! let services = proc::parse(text)?;
//! assert_eq!(services[0].key.to_string(), "10.0.0.1:80");
//! assert_eq!(services[0].destinations[0].key.to_string(), "10.0.1.7:8080");
//! assert_eq!(services[0].destinations[0].active, 3);
//! # Ok::<(), proc::ParseError>(())
//! ```

mod fields;
mod model;
mod parse;
mod services;
#[cfg(test)]
mod tests;

pub use model::{Destination, Key, Method, Service};
pub use parse::{ParseError, parse};
pub use services::Services;

use std::io;
use std::path::Path;

/// Where the table of the calling thread's network namespace is.
/// `/proc/net/ip_vs` is the one of the process's first thread.
pub const PATH: &str = "/proc/thread-self/net/ip_vs";

/// Why the table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file, or it cannot be read.
    #[error("cannot read {path}; where it does not exist, load the module: `modprobe ip_vs`")]
    Read {
        /// Which file.
        path: String,
        /// How it failed.
        source: io::Error,
    },
    /// It is not what the kernel writes.
    #[error("{path} is not as expected")]
    Parse {
        /// Which file.
        path: String,
        /// What is wrong.
        source: ParseError,
    },
}

/// Reads the table of the calling thread's network namespace.
///
/// What is said of [`Services`] holds for it: look again with a dump before
/// anything is done about what it says.
pub fn read() -> Result<Vec<Service>, Error> {
    read_from(Path::new(PATH))
}

/// Reads the table from another file, such as `/proc/PID/net/ip_vs`.
pub fn read_from(path: &Path) -> Result<Vec<Service>, Error> {
    Services::open_at(path)?.collect()
}
