//! Edits change what they say, and nothing else stays behind.

use std::num::NonZeroU16;
use std::time::Duration;

use ipvs::{
    Checksum, Command, DestinationConfig, Engine, Family, Forward, Netmask, Scheduler,
    ServiceConfig, ServiceFlags, ServiceKey, TunnelKind,
};

use crate::world::{World, add, add_to, address, saved, tcp, to};

pub async fn a_service_gets_and_loses_every_property() {
    let mut world = World::new();
    let service = ServiceKey::udp(address("10.0.0.1:53"));
    let plain = ServiceConfig::new(Family::V4, Scheduler::RR);
    let full = ServiceConfig {
        scheduler: Scheduler::MH,
        flags: ServiceFlags::ONE_PACKET | ServiceFlags::FALLBACK,
        persistence: Some(Duration::from_secs(77)),
        netmask: Netmask::Prefix(8),
        engine: Some(Engine::SIP),
    };
    world.execute(&[add(service), add_to(service, "10.0.1.7:53")]);
    for config in [full, plain, full, plain] {
        world.execute(&[Command::EditService { service, config }]);
        assert_eq!(world.ipvs.services().unwrap()[0].config, config);
    }
    let lines = [
        "-A -u 10.0.0.1:53 -s rr",
        "-a -u 10.0.0.1:53 -r 10.0.1.7:53 -m -w 1",
    ];
    assert_eq!(saved(), lines);
}

pub async fn a_destination_gets_and_loses_every_property() {
    let mut world = World::new();
    let service = tcp("10.0.0.1:80");
    let destination = to("10.0.1.7:80");
    world.execute(&[add(service), add_to(service, "10.0.1.7:80")]);
    let port = NonZeroU16::new(6080).unwrap();
    let checksum = Checksum::Udp;
    for kind in [
        Forward::Tunnel(TunnelKind::Gue { port, checksum }),
        Forward::Tunnel(TunnelKind::Ipip),
        Forward::Tunnel(TunnelKind::Gre { checksum: true }),
        Forward::Direct,
        Forward::Local,
        Forward::Masq,
    ] {
        for upper_threshold in [5, 0] {
            let config = DestinationConfig {
                upper_threshold,
                lower_threshold: upper_threshold / 2,
                ..DestinationConfig::new(kind, upper_threshold * 10)
            };
            world.execute(&[Command::EditDestination {
                service,
                destination,
                config,
            }]);
            assert_eq!(world.destinations(service)[0].config, config);
        }
    }
}
