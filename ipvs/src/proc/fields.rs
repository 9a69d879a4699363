use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use super::model::{Key, Method};
use crate::model::{Protocol, ServiceKey};

/// The key of a service from its first two fields.
pub(super) fn key(protocol: &str, rest: &str) -> Option<Key> {
    if protocol == "FWM" {
        let mark = NonZeroU32::new(u32::from_str_radix(rest, 16).ok()?)?;
        return Some(Key::Fwmark(mark));
    }
    Some(Key::Address(ServiceKey::Address {
        protocol: self::protocol(protocol)?,
        address: address(rest)?,
    }))
}

/// Those that have no name here have `IP` and a number in text that newer
/// kernels write, and `IP` alone before.
fn protocol(text: &str) -> Option<Protocol> {
    Some(match text {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "IP" => Protocol::Other(0),
        "ICMP" => Protocol::Other(1),
        "ICMPv6" => Protocol::Other(58),
        other => Protocol::Other(other.strip_prefix("IP_")?.parse().ok()?),
    })
}

/// `0A000001:0050` or `[2001:0db8:0000:0000:0000:0000:0000:0001]:0050`.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let address: IpAddr = match address.strip_prefix('[') {
        Some(six) => six.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None => Ipv4Addr::from_bits(u32::from_str_radix(address, 16).ok()?).into(),
    };
    Some(SocketAddr::new(address, port))
}

pub(super) fn method(text: &str) -> Method {
    match text {
        "Masq" => Method::Masq,
        "Local" => Method::Local,
        "Tunnel" => Method::Tunnel,
        "Route" => Method::Direct,
        _ => Method::Other,
    }
}
