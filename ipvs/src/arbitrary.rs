//! Values of every kind, for property tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;

use crate::model::*;
use crate::{Command, Timeouts};

pub(crate) fn family() -> impl Strategy<Value = Family> + Clone {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn ip(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<Ipv4Addr>().prop_map(IpAddr::V4).boxed(),
        Family::V6 => any::<Ipv6Addr>().prop_map(IpAddr::V6).boxed(),
    }
}

fn socket(family: Family) -> impl Strategy<Value = SocketAddr> + Clone {
    (ip(family), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

pub(crate) fn service_key() -> impl Strategy<Value = ServiceKey> + Clone {
    let protocol = any::<u16>().prop_map(Protocol::from_number);
    let known = prop_oneof![
        Just(Protocol::Tcp),
        Just(Protocol::Udp),
        Just(Protocol::Sctp)
    ];
    let address = (prop_oneof![known, protocol], family().prop_flat_map(socket));
    prop_oneof![
        address.prop_map(|(protocol, address)| ServiceKey::Address { protocol, address }),
        (family(), any::<NonZeroU32>())
            .prop_map(|(family, mark)| ServiceKey::Fwmark { family, mark }),
    ]
}

fn netmask(family: Family) -> BoxedStrategy<Netmask> {
    match family {
        Family::V4 => any::<[u8; 4]>()
            .prop_map(|mask| Netmask::from_bytes(Family::V4, mask).unwrap())
            .boxed(),
        Family::V6 => any::<u8>().prop_map(Netmask::Prefix).boxed(),
    }
}

pub(crate) fn service_config(family: Family) -> impl Strategy<Value = ServiceConfig> + Clone {
    let seconds = any::<u32>().prop_map(|seconds| Duration::from_secs(seconds.into()));
    let scheduler = "[!-~]{1,15}".prop_map(|name| name.parse().unwrap());
    let flags = any::<u32>().prop_map(ServiceFlags::from_bits);
    let engine = option::of("[!-~]{1,15}".prop_map(|name| name.parse().unwrap()));
    let parts = (
        scheduler,
        flags,
        option::of(seconds),
        netmask(family),
        engine,
    );
    parts.prop_map(
        |(scheduler, flags, persistence, netmask, engine)| ServiceConfig {
            scheduler,
            flags,
            persistence,
            netmask,
            engine,
        },
    )
}

fn tunnel() -> impl Strategy<Value = TunnelKind> + Clone {
    let checksum = prop_oneof![
        Just(Checksum::None),
        Just(Checksum::Udp),
        Just(Checksum::Remote)
    ];
    prop_oneof![
        Just(TunnelKind::Ipip),
        (any::<std::num::NonZeroU16>(), checksum)
            .prop_map(|(port, checksum)| TunnelKind::Gue { port, checksum }),
        any::<bool>().prop_map(|checksum| TunnelKind::Gre { checksum }),
        (3_u8.., any::<u16>(), any::<u16>()).prop_map(|(kind, port, flags)| TunnelKind::Other {
            kind,
            port,
            flags
        }),
    ]
}

fn forward() -> impl Strategy<Value = Forward> + Clone {
    prop_oneof![
        Just(Forward::Masq),
        Just(Forward::Local),
        Just(Forward::Direct),
        tunnel().prop_map(Forward::Tunnel),
        (4_u32..).prop_map(Forward::Other),
    ]
}

pub(crate) fn destination_key() -> impl Strategy<Value = DestinationKey> + Clone {
    family().prop_flat_map(socket).prop_map(DestinationKey)
}

pub(crate) fn destination_config() -> impl Strategy<Value = DestinationConfig> + Clone {
    let parts = (forward(), any::<u32>(), any::<u32>(), any::<u32>());
    parts.prop_map(|(forward, weight, upper, lower)| DestinationConfig {
        forward,
        weight,
        upper_threshold: upper,
        lower_threshold: lower,
    })
}

fn rates() -> impl Strategy<Value = Rates> {
    any::<[u64; 5]>().prop_map(
        |[connections, packets_in, packets_out, bytes_in, bytes_out]| Rates {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        },
    )
}

pub(crate) fn stats() -> impl Strategy<Value = Stats> {
    (any::<[u64; 5]>(), rates()).prop_map(|(counters, rates)| {
        let [connections, packets_in, packets_out, bytes_in, bytes_out] = counters;
        Stats {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            rates,
        }
    })
}

pub(crate) fn service() -> impl Strategy<Value = Service> {
    let keyed = service_key().prop_flat_map(|key| (Just(key), service_config(key.family())));
    (keyed, stats()).prop_map(|((key, config), stats)| Service { key, config, stats })
}

pub(crate) fn destination() -> impl Strategy<Value = Destination> {
    let connections = any::<[u32; 3]>().prop_map(|[active, inactive, persistent]| Connections {
        active,
        inactive,
        persistent,
    });
    let parts = (
        destination_key(),
        destination_config(),
        connections,
        stats(),
    );
    parts.prop_map(|(key, config, connections, stats)| Destination {
        key,
        config,
        connections,
        stats,
    })
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let service = service_key().prop_flat_map(|key| (Just(key), service_config(key.family())));
    let destination = (service_key(), destination_key(), destination_config());
    prop_oneof![
        service
            .clone()
            .prop_map(|(service, config)| Command::AddService { service, config }),
        service.prop_map(|(service, config)| Command::EditService { service, config }),
        destination
            .clone()
            .prop_map(|(service, destination, config)| {
                Command::AddDestination {
                    service,
                    destination,
                    config,
                }
            }),
        destination.prop_map(|(service, destination, config)| Command::EditDestination {
            service,
            destination,
            config,
        }),
        (service_key(), destination_key()).prop_map(|(service, destination)| {
            Command::DeleteDestination {
                service,
                destination,
            }
        }),
        service_key().prop_map(|service| Command::DeleteService { service }),
        service_key().prop_map(|service| Command::ResetCounters { service }),
    ]
}

pub(crate) fn timeouts() -> impl Strategy<Value = Timeouts> {
    any::<[u32; 3]>().prop_map(|seconds| {
        let [tcp, tcp_fin, udp] = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        Timeouts { tcp, tcp_fin, udp }
    })
}
