use nix::errno::Errno;

use crate::wire::DecodeError;

/// Why the kernel's table could not be opened or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel does not know IPVS, or its module is not loaded.
    #[error(
        "the kernel has no IPVS: its module ip_vs is not loaded; load it with `modprobe ip_vs`, \
         and at every boot with a line `ip_vs` in /etc/modules-load.d/ipvs.conf"
    )]
    NoModule,
    /// The process may not.
    #[error(
        "the kernel does not permit IPVS to be read or changed: CAP_NET_ADMIN is needed in the \
         initial user namespace; root of a container with a user namespace of its own has it not"
    )]
    NotPermitted,
    /// The socket to the kernel does not do what it should.
    #[error("cannot {doing} the netlink socket to the kernel")]
    Socket {
        /// What was tried.
        doing: &'static str,
        /// How it failed.
        source: Errno,
    },
    /// The kernel refused a question.
    #[error("the kernel does not tell {what}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Its reason.
        source: Errno,
    },
    /// The kernel said nothing. The socket is opened anew with the next call.
    #[error("the kernel does not answer when asked for {what}, for {} s", after.as_secs_f32())]
    TimedOut {
        /// What was asked for.
        what: &'static str,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// The kernel's answer makes no sense.
    #[error("the kernel's answer when asked for {what} makes no sense")]
    Garbled {
        /// What was asked for.
        what: &'static str,
        /// In which way.
        source: DecodeError,
    },
    /// Others changed the table each time while it was read.
    #[error("the table changed {attempts} times while {what} were read")]
    Changing {
        /// What was asked for.
        what: &'static str,
        /// How often it was tried.
        attempts: usize,
    },
}
