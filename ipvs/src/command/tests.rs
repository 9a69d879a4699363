use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use proptest::prelude::*;

use super::{Command, Reason};
use crate::arbitrary;
use crate::model::*;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn web() -> ServiceKey {
    ServiceKey::tcp(address("10.0.0.1:80"))
}

fn marked() -> ServiceKey {
    ServiceKey::fwmark(NonZeroU32::MIN)
}

fn service(service: ServiceKey, change: impl FnOnce(&mut ServiceConfig)) -> Option<Reason> {
    let mut config = ServiceConfig::new(service.family(), Scheduler::WLC);
    change(&mut config);
    let add = Command::AddService { service, config };
    let edit = Command::EditService { service, config };
    assert_eq!(add.validate(), edit.validate());
    add.validate().err().map(|invalid| invalid.reason)
}

fn destination(service: ServiceKey, to: &str, config: DestinationConfig) -> Option<Reason> {
    let destination = DestinationKey(address(to));
    let add = Command::AddDestination {
        service,
        destination,
        config,
    };
    let edit = Command::EditDestination {
        service,
        destination,
        config,
    };
    assert_eq!(add.validate(), edit.validate());
    add.validate().err().map(|invalid| invalid.reason)
}

const MASQ: DestinationConfig = DestinationConfig::new(Forward::Masq, 1);
const DIRECT: DestinationConfig = DestinationConfig::new(Forward::Direct, 1);
const TUNNEL: DestinationConfig = DestinationConfig::new(Forward::Tunnel(TunnelKind::Ipip), 1);

#[test]
fn what_the_kernel_can_do_is_valid() {
    assert_eq!(service(web(), |_| ()), None);
    let minute = Some(Duration::from_mins(1));
    let every_port = ServiceKey::tcp(address("10.0.0.1:0"));
    assert_eq!(service(every_port, |c| c.persistence = minute), None);
    let dns = ServiceKey::udp(address("[2001:db8::1]:53"));
    assert_eq!(service(dns, |c| c.flags = ServiceFlags::ONE_PACKET), None);
    assert_eq!(
        service(marked(), |c| c.flags = ServiceFlags::ONE_PACKET),
        None
    );
    let sip = |c: &mut ServiceConfig| (c.persistence, c.engine) = (minute, Some(Engine::SIP));
    assert_eq!(service(dns, sip), None);
    let heaviest = DestinationConfig::new(Forward::Masq, MAX_WEIGHT);
    assert_eq!(destination(web(), "10.0.1.7:8080", heaviest), None);
    assert_eq!(destination(web(), "[2001:db8::7]:80", TUNNEL), None);
    assert_eq!(destination(marked(), "10.0.1.7:0", DIRECT), None);
    assert_eq!(destination(marked(), "10.0.1.7:8080", DIRECT), None);
    assert_eq!(destination(every_port, "10.0.1.7:0", MASQ), None);
}

#[test]
fn services_that_would_not_serve_are_refused() {
    let icmp = ServiceKey::Address {
        protocol: Protocol::Other(1),
        address: address("10.0.0.1:80"),
    };
    assert_eq!(service(icmp, |_| ()), Some(Reason::Protocol(1)));
    let every_port = ServiceKey::tcp(address("10.0.0.1:0"));
    assert_eq!(service(every_port, |_| ()), Some(Reason::ServicePort));
    let scoped = ServiceKey::tcp(address("[fe80::1%3]:80"));
    assert_eq!(service(scoped, |_| ()), Some(Reason::Scope));
    let ops = |c: &mut ServiceConfig| c.flags = ServiceFlags::ONE_PACKET;
    assert_eq!(service(web(), ops), Some(Reason::OnePacket));
    let engine = |c: &mut ServiceConfig| c.engine = Some(Engine::SIP);
    assert_eq!(service(web(), engine), Some(Reason::Engine(Engine::SIP)));
}

#[test]
fn persistence_is_whole_seconds_up_to_a_month() {
    for (duration, allowed) in [
        (Duration::ZERO, false),
        (Duration::from_millis(1500), false),
        (Duration::from_secs(1), true),
        (MAX_PERSISTENCE, true),
        (MAX_PERSISTENCE + Duration::from_secs(1), false),
    ] {
        let reason = service(web(), |c| c.persistence = Some(duration));
        assert_eq!(reason, (!allowed).then_some(Reason::Persistence(duration)));
    }
}

#[test]
fn netmasks_fit_the_family() {
    let six = ServiceKey::fwmark6(NonZeroU32::MIN);
    for (key, mask, allowed) in [
        (web(), Netmask::Prefix(0), true),
        (web(), Netmask::Prefix(33), false),
        (web(), Netmask::Scattered([255, 0, 255, 0].into()), false),
        (six, Netmask::Prefix(0), false),
        (six, Netmask::Prefix(128), true),
        (six, Netmask::Prefix(129), false),
    ] {
        let reason = service(key, |c| c.netmask = mask);
        assert_eq!(reason, (!allowed).then_some(Reason::Netmask { mask }));
    }
}

#[test]
fn destinations_that_would_not_be_reached_are_refused() {
    let zero = destination(web(), "10.0.1.7:0", MASQ);
    assert_eq!(zero, Some(Reason::DestinationPort));
    let (port, expected) = (8080, 80);
    for config in [DIRECT, TUNNEL] {
        let other = destination(web(), "10.0.1.7:8080", config);
        assert_eq!(other, Some(Reason::OtherPort { port, expected }));
    }
    let mixed = Reason::MixedFamilies {
        service: Family::V4,
        destination: Family::V6,
    };
    assert_eq!(destination(web(), "[2001:db8::7]:80", MASQ), Some(mixed));
    assert_eq!(destination(web(), "[2001:db8::7]:80", DIRECT), Some(mixed));
    let unknown = DestinationConfig::new(Forward::Other(4), 1);
    assert_eq!(
        destination(web(), "10.0.1.7:80", unknown),
        Some(Reason::Forward(4))
    );
    let kind = TunnelKind::Other {
        kind: 9,
        port: 0,
        flags: 0,
    };
    let tunnel = DestinationConfig::new(Forward::Tunnel(kind), 1);
    let reason = Reason::Tunnel { kind: 9, flags: 0 };
    assert_eq!(destination(web(), "10.0.1.7:80", tunnel), Some(reason));
}

#[test]
fn weights_and_thresholds_are_bounded() {
    let heavy = DestinationConfig::new(Forward::Masq, 65536);
    assert_eq!(
        destination(web(), "10.0.1.7:80", heavy),
        Some(Reason::Weight(65536))
    );
    let (lower, upper) = (11, 10);
    let crossed = DestinationConfig {
        lower_threshold: lower,
        upper_threshold: upper,
        ..MASQ
    };
    let reason = Reason::Thresholds { lower, upper };
    assert_eq!(destination(web(), "10.0.1.7:80", crossed), Some(reason));
}

#[test]
fn whatever_is_there_can_be_removed() {
    let service = ServiceKey::Address {
        protocol: Protocol::Other(1),
        address: address("10.0.0.1:0"),
    };
    let destination = DestinationKey(address("[2001:db8::7]:0"));
    let delete = Command::DeleteDestination {
        service,
        destination,
    };
    assert_eq!(delete.validate(), Ok(()));
    assert_eq!(Command::DeleteService { service }.validate(), Ok(()));
}

#[test]
fn errors_say_where_and_what() {
    let gue = TunnelKind::Gue {
        port: NonZeroU16::MIN,
        checksum: Checksum::None,
    };
    let command = Command::AddDestination {
        service: web(),
        destination: DestinationKey(address("10.0.1.7:8080")),
        config: DestinationConfig::new(Forward::Tunnel(gue), 1),
    };
    assert_eq!(
        command.to_string(),
        "add destination 10.0.1.7:8080 to service 10.0.0.1:80"
    );
    assert_eq!(
        command.validate().unwrap_err().to_string(),
        "destination 10.0.1.7:8080 of service 10.0.0.1:80: port 8080 differs from the service's \
         port 80, and only masquerading changes ports"
    );
}

proptest! {
    #[test]
    fn errors_name_the_service(command in arbitrary::command()) {
        if let Err(error) = command.validate() {
            let text = error.to_string();
            prop_assert!(text.contains(&command.service().to_string()), "{text}");
        }
    }
}
