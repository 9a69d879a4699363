//! What the crate writes is what ipvsadm reads, and the crate as well.

use std::num::NonZeroU16;
use std::time::Duration;

use ipvs::{
    Checksum, Command, CommandError, DestinationConfig, Engine, Family, Forward, MAX_PERSISTENCE,
    MAX_WEIGHT, Netmask, Refusal, Scheduler, ServiceConfig, ServiceFlags, ServiceKey, Timeouts,
    TunnelKind,
};

use crate::world::{MASQ, World, add, add_with, address, ipvsadm, mark, row, saved, tcp, to};

fn config(family: Family, change: impl FnOnce(&mut ServiceConfig)) -> ServiceConfig {
    let mut config = ServiceConfig::new(family, Scheduler::WLC);
    change(&mut config);
    config
}

/// Each with the line that ipvsadm makes of it.
fn services() -> Vec<(ServiceKey, ServiceConfig, &'static str)> {
    use Family::{V4, V6};
    let udp = |text| ServiceKey::udp(address(text));
    let minutes = |minutes| Some(Duration::from_mins(minutes));
    let both = ServiceFlags::FALLBACK | ServiceFlags::PORT;
    let all = both | ServiceFlags::SCHEDULER_3;
    vec![
        (
            tcp("10.0.0.1:80"),
            config(V4, |_| ()),
            "-A -t 10.0.0.1:80 -s wlc",
        ),
        (
            tcp("[2001:db8::1]:443"),
            config(V6, |_| ()),
            "-A -t [2001:db8::1]:443 -s wlc",
        ),
        (
            udp("10.0.0.1:53"),
            config(V4, |c| c.flags = ServiceFlags::ONE_PACKET),
            "-A -u 10.0.0.1:53 -s wlc -o",
        ),
        (
            ServiceKey::sctp(address("10.0.0.1:36412")),
            config(V4, |c| c.persistence = minutes(5)),
            "-A --sctp-service 10.0.0.1:36412 -s wlc -p 300",
        ),
        (
            tcp("10.0.0.2:0"),
            config(V4, |c| {
                c.persistence = minutes(1);
                c.netmask = Netmask::Prefix(20);
            }),
            "-A -t 10.0.0.2:0 -s wlc -p 60 -M 255.255.240.0",
        ),
        (
            udp("[2001:db8::1]:53"),
            config(V6, |c| {
                c.persistence = Some(MAX_PERSISTENCE);
                c.netmask = Netmask::Prefix(56);
            }),
            "-A -u [2001:db8::1]:53 -s wlc -p 2678400 -M 56",
        ),
        (
            tcp("10.0.0.3:80"),
            config(V4, |c| (c.scheduler, c.flags) = (Scheduler::SH, both)),
            "-A -t 10.0.0.3:80 -s sh -b sh-fallback,sh-port",
        ),
        (
            tcp("10.0.0.4:80"),
            config(V4, |c| (c.scheduler, c.flags) = (Scheduler::MH, both)),
            "-A -t 10.0.0.4:80 -s mh -b mh-fallback,mh-port",
        ),
        (
            tcp("10.0.0.5:80"),
            config(V4, |c| c.flags = all),
            "-A -t 10.0.0.5:80 -s wlc -b flag-1,flag-2,flag-3",
        ),
        (
            udp("10.0.0.6:5060"),
            config(V4, |c| {
                (c.persistence, c.engine) = (minutes(1), Some(Engine::SIP));
            }),
            "-A -u 10.0.0.6:5060 -s wlc -p 60 --pe sip",
        ),
        (mark(V4, 7), config(V4, |_| ()), "-A -f 7 -s wlc"),
        (mark(V6, 7), config(V6, |_| ()), "-A -f 7 -6 -s wlc"),
        (
            mark(V4, u32::MAX),
            config(V4, |_| ()),
            // ipvsadm takes marks for signed.
            "-A -f -1 -s wlc",
        ),
    ]
}

pub async fn services_of_every_kind() {
    let mut world = World::new();
    let services = services();
    let adds: Vec<_> = services
        .iter()
        .map(|(service, config, _)| Command::AddService {
            service: *service,
            config: *config,
        })
        .collect();
    world.execute(&adds);
    let mut expected: Vec<_> = services.iter().map(|(.., line)| *line).collect();
    expected.sort_unstable();
    assert_eq!(saved(), expected);
    let mut read = world.ipvs.services().unwrap();
    read.sort_by_key(|service| service.key);
    let mut services = services;
    services.sort_by_key(|(key, ..)| *key);
    let read: Vec<_> = read
        .iter()
        .map(|service| (service.key, service.config))
        .collect();
    let written: Vec<_> = services
        .iter()
        .map(|(key, config, _)| (*key, *config))
        .collect();
    assert_eq!(read, written);
    let deletes = services
        .iter()
        .map(|(key, ..)| Command::DeleteService { service: *key });
    world.execute(&deletes.collect::<Vec<_>>());
    assert_eq!(saved(), [""; 0]);
}

pub async fn every_scheduler() {
    let mut world = World::new();
    let service = tcp("10.0.0.1:80");
    world.execute(&[add(service)]);
    for scheduler in Scheduler::KNOWN {
        let config = ServiceConfig::new(Family::V4, scheduler);
        let outcome = &world
            .ipvs
            .execute(&[Command::EditService { service, config }])[0];
        // Not every kernel is built with every one of them.
        if outcome == &Err(CommandError::Refused(Refusal::NoSuchScheduler)) {
            println!("this kernel has no {scheduler}");
            assert_eq!(scheduler, Scheduler::TWOS);
            continue;
        }
        assert_eq!(outcome, &Ok(()));
        assert_eq!(saved(), [format!("-A -t 10.0.0.1:80 -s {scheduler}")]);
    }
}

fn destinations() -> Vec<(&'static str, DestinationConfig, &'static str)> {
    let with = |forward| DestinationConfig::new(forward, 1);
    let tunnel = |kind| with(Forward::Tunnel(kind));
    let gue = |checksum| {
        let port = NonZeroU16::new(6080).unwrap();
        tunnel(TunnelKind::Gue { port, checksum })
    };
    vec![
        ("10.0.1.1:8080", MASQ, "10.0.1.1:8080 -m -w 1"),
        ("10.0.1.2:80", with(Forward::Direct), "10.0.1.2:80 -g -w 1"),
        (
            "10.0.1.3:80",
            tunnel(TunnelKind::Ipip),
            "10.0.1.3:80 -i -w 1 --tun-type ipip",
        ),
        (
            "10.0.1.4:80",
            gue(Checksum::None),
            "10.0.1.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        ),
        (
            "10.0.1.5:80",
            gue(Checksum::Udp),
            "10.0.1.5:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
        ),
        (
            "10.0.1.6:80",
            gue(Checksum::Remote),
            "10.0.1.6:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        ),
        (
            "10.0.1.7:80",
            tunnel(TunnelKind::Gre { checksum: false }),
            "10.0.1.7:80 -i -w 1 --tun-type gre --tun-nocsum",
        ),
        (
            "10.0.1.8:80",
            tunnel(TunnelKind::Gre { checksum: true }),
            "10.0.1.8:80 -i -w 1 --tun-type gre --tun-csum",
        ),
        (
            "10.0.1.9:80",
            DestinationConfig {
                weight: MAX_WEIGHT,
                upper_threshold: 1000,
                lower_threshold: 900,
                ..MASQ
            },
            "10.0.1.9:80 -m -w 65535",
        ),
        (
            "[2001:db8::7]:80",
            tunnel(TunnelKind::Ipip),
            "[2001:db8::7]:80 -i -w 1 --tun-type ipip",
        ),
        (
            "10.0.1.10:80",
            DestinationConfig { weight: 0, ..MASQ },
            "10.0.1.10:80 -m -w 0",
        ),
    ]
}

pub async fn destinations_of_every_kind() {
    let mut world = World::new();
    let service = tcp("10.0.0.1:80");
    let mut destinations = destinations();
    let adds = destinations
        .iter()
        .map(|(to, config, _)| add_with(service, to, *config));
    world.execute(&[add(service)].into_iter().chain(adds).collect::<Vec<_>>());
    let lines = destinations
        .iter()
        .map(|(.., line)| format!("-a -t 10.0.0.1:80 -r {line}"));
    let mut expected: Vec<_> = lines.collect();
    expected.push("-A -t 10.0.0.1:80 -s rr".to_owned());
    expected.sort();
    assert_eq!(saved(), expected);
    // Saved lines have no thresholds.
    let thresholds = ipvsadm("-Ln --thresholds");
    assert_eq!(row(&thresholds, "10.0.1.9:80")[2..4], ["1000", "900"]);
    let mut read = world.destinations(service);
    read.sort_by_key(|destination| destination.key);
    destinations.sort_by_key(|(text, ..)| to(text));
    let read: Vec<_> = read.iter().map(|d| (d.key, d.config)).collect();
    let written: Vec<_> = destinations
        .iter()
        .map(|(text, c, _)| (to(text), *c))
        .collect();
    assert_eq!(read, written);
}

pub async fn timeouts() {
    let mut world = World::new();
    let timeouts = Timeouts {
        tcp: Duration::from_secs(901),
        tcp_fin: Duration::from_secs(121),
        udp: Duration::from_secs(301),
    };
    world.ipvs.set_timeouts(&timeouts).unwrap();
    assert_eq!(world.ipvs.timeouts(), Ok(timeouts));
    let witness = ipvsadm("-L --timeout");
    assert_eq!(witness.trim(), "Timeout (tcp tcpfin udp): 901 121 301");
}
