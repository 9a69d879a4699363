use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::InvalidName;

/// A virtual service of IPVS, by the name it has in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualService {
    /// TCP to this address: `IP:PORT`.
    Tcp(SocketAddr),
    /// UDP to this address: `udp:IP:PORT`.
    Udp(SocketAddr),
    /// SCTP to this address: `sctp:IP:PORT`.
    Sctp(SocketAddr),
    /// IPv4 packets with this firewall mark: `fwmark:N`.
    Mark4(u32),
    /// IPv6 packets with this firewall mark: `fwmark6:N`.
    Mark6(u32),
}

impl VirtualService {
    /// Its address, if it has one of its own.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Udp(address) | Self::Sctp(address) => Some(*address),
            Self::Mark4(_) | Self::Mark6(_) => None,
        }
    }

    /// Whether it is one of IPv6.
    pub fn is_ipv6(&self) -> bool {
        match self {
            Self::Tcp(address) | Self::Udp(address) | Self::Sctp(address) => address.is_ipv6(),
            Self::Mark4(_) => false,
            Self::Mark6(_) => true,
        }
    }
}

impl fmt::Display for VirtualService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Sctp(address) => write!(f, "sctp:{address}"),
            Self::Mark4(mark) => write!(f, "fwmark:{mark}"),
            Self::Mark6(mark) => write!(f, "fwmark6:{mark}"),
        }
    }
}

impl FromStr for VirtualService {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let service = parse(text).ok_or_else(|| {
            InvalidName::new(
                "virtual service",
                text,
                "IP:PORT, udp:IP:PORT, sctp:IP:PORT, fwmark:N or fwmark6:N is expected, \
                 with IPv6 addresses in brackets and numbers above 0",
            )
        })?;
        let canonical = service.to_string();
        if canonical == text {
            Ok(service)
        } else {
            Err(InvalidName::spelling("virtual service", text, &canonical))
        }
    }
}

fn parse(text: &str) -> Option<VirtualService> {
    let mark = |text: &str| text.parse::<u32>().ok().filter(|mark| *mark != 0);
    match text.split_once(':') {
        Some(("fwmark", rest)) => mark(rest).map(VirtualService::Mark4),
        Some(("fwmark6", rest)) => mark(rest).map(VirtualService::Mark6),
        Some(("udp", rest)) => address(rest).map(VirtualService::Udp),
        Some(("sctp", rest)) => address(rest).map(VirtualService::Sctp),
        Some(("tcp", rest)) => address(rest).map(VirtualService::Tcp),
        _ => address(text).map(VirtualService::Tcp),
    }
}

/// A scope identifier (`[fe80::1%3]:80`) means something on one host only.
fn address(text: &str) -> Option<SocketAddr> {
    let address: SocketAddr = text.parse().ok()?;
    let is_valid = address.port() != 0 && !text.contains('%');
    // `::ffff:10.0.0.1` is an IPv4 address, and canonical as such.
    is_valid.then(|| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Parses a real server: `IP:PORT`, IPv6 in brackets, RFC 5952 spelling.
pub fn real_server(text: &str) -> Result<SocketAddr, InvalidName> {
    let address = address(text).ok_or_else(|| {
        InvalidName::new(
            "member",
            text,
            "IP:PORT is expected, with IPv6 addresses in brackets and a port above 0",
        )
    })?;
    let canonical = address.to_string();
    if canonical == text {
        Ok(address)
    } else {
        Err(InvalidName::spelling("member", text, &canonical))
    }
}
