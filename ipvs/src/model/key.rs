use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, 2 in netlink messages.
    V4,
    /// IPv6, 10 in netlink messages.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// How many bits its addresses have.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// `IPv4` or `IPv6`.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The transport protocol of a service with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// 6.
    Tcp,
    /// 17.
    Udp,
    /// 132.
    Sctp,
    /// One that IPVS does not schedule. The kernel takes it all the same, so
    /// it can be read, and is refused when writing.
    Other(u16),
}

impl Protocol {
    /// The number of the protocol as IANA has it.
    pub const fn number(self) -> u16 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }

    /// The protocol with this number.
    pub const fn from_number(number: u16) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

/// Which virtual service: at most one of each exists in a network namespace.
///
/// ```
/// use ipvs::ServiceKey;
///
/// let web = ServiceKey::tcp("10.0.0.1:80".parse().unwrap());
/// let dns = ServiceKey::udp("[2001:db8::1]:53".parse().unwrap());
/// assert_eq!(web.to_string(), "10.0.0.1:80");
/// assert_eq!(dns.to_string(), "udp:[2001:db8::1]:53");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets of a protocol to an address and port. Port 0 is every port
    /// that has no service of its own, for persistent services only.
    Address {
        /// The protocol.
        protocol: Protocol,
        /// The virtual address.
        address: SocketAddr,
    },
    /// Packets with a firewall mark. One mark may have a service in each
    /// family.
    Fwmark {
        /// The family of the packets.
        family: Family,
        /// The mark.
        mark: NonZeroU32,
    },
}

impl ServiceKey {
    /// A TCP service.
    pub const fn tcp(address: SocketAddr) -> Self {
        let protocol = Protocol::Tcp;
        Self::Address { protocol, address }
    }

    /// A UDP service.
    pub const fn udp(address: SocketAddr) -> Self {
        let protocol = Protocol::Udp;
        Self::Address { protocol, address }
    }

    /// An SCTP service.
    pub const fn sctp(address: SocketAddr) -> Self {
        let protocol = Protocol::Sctp;
        Self::Address { protocol, address }
    }

    /// IPv4 packets with this firewall mark.
    pub const fn fwmark(mark: NonZeroU32) -> Self {
        let family = Family::V4;
        Self::Fwmark { family, mark }
    }

    /// IPv6 packets with this firewall mark.
    pub const fn fwmark6(mark: NonZeroU32) -> Self {
        let family = Family::V6;
        Self::Fwmark { family, mark }
    }

    /// The family of the packets that come in.
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address.ip()),
            Self::Fwmark { family, .. } => *family,
        }
    }

    /// The port that clients call, where the service is for a single one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Address { address, .. } => Some(address.port()).filter(|port| *port != 0),
            Self::Fwmark { .. } => None,
        }
    }
}

/// `10.0.0.1:80` for TCP, `udp:10.0.0.1:53`, `sctp:[2001:db8::1]:36412`,
/// `fwmark:7`, `fwmark6:7`, and `protocol-1:10.0.0.1:0` for others.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => match protocol {
                Protocol::Tcp => write!(f, "{address}"),
                Protocol::Udp => write!(f, "udp:{address}"),
                Protocol::Sctp => write!(f, "sctp:{address}"),
                Protocol::Other(number) => write!(f, "protocol-{number}:{address}"),
            },
            Self::Fwmark { family, mark } => match family {
                Family::V4 => write!(f, "fwmark:{mark}"),
                Family::V6 => write!(f, "fwmark6:{mark}"),
            },
        }
    }
}

/// Which destination of a service: its address and port.
///
/// Its family may differ from the service's where it is reached by a tunnel.
/// Port 0 is the port that the client called, for services that have more
/// than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey(pub SocketAddr);

impl DestinationKey {
    /// The family of its address.
    pub fn family(&self) -> Family {
        Family::of(self.0.ip())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port()
    }
}

impl From<SocketAddr> for DestinationKey {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// `10.0.1.7:8080`, `[2001:db8::7]:8080`.
impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_in_the_tree() {
        let four: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let six: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
        let mark = NonZeroU32::new(7).unwrap();
        let icmp = ServiceKey::Address {
            protocol: Protocol::from_number(1),
            address: four,
        };
        for (key, text) in [
            (ServiceKey::tcp(four), "10.0.0.1:80"),
            (ServiceKey::tcp(six), "[2001:db8::1]:80"),
            (ServiceKey::udp(four), "udp:10.0.0.1:80"),
            (ServiceKey::sctp(six), "sctp:[2001:db8::1]:80"),
            (ServiceKey::fwmark(mark), "fwmark:7"),
            (ServiceKey::fwmark6(mark), "fwmark6:7"),
            (icmp, "protocol-1:10.0.0.1:80"),
        ] {
            assert_eq!(key.to_string(), text);
        }
        assert_eq!(DestinationKey(six).to_string(), "[2001:db8::1]:80");
    }

    #[test]
    fn protocols_keep_their_number() {
        for number in 0..=300 {
            assert_eq!(Protocol::from_number(number).number(), number);
        }
    }
}
