//! What others have written is read, whatever it is.

use std::time::Duration;

use ipvs::{
    Checksum, Command, Family, Forward, Ipvs, Netmask, Scheduler, ServiceConfig, ServiceFlags,
    TunnelKind, proc,
};

use crate::world::{World, add, add_to, restore, saved, tcp, to};

const TABLE: &[&str] = &[
    "-A -t 10.0.0.1:80 -s sh -b sh-fallback",
    "-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 3 -x 10 -y 5",
    "-a -t 10.0.0.1:80 -r 10.0.1.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
    "-a -t 10.0.0.1:80 -r [2001:db8::3]:80 -i -w 1 --tun-type gre --tun-nocsum",
    "-A -u [2001:db8::1]:53 -s wrr -o -p 300 -M 64",
    "-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -g -w 65535",
    "-A -f 7 -6 -s wlc",
    "-A -t 10.0.0.2:0 -s rr -p 60 -M 255.0.255.0",
    "-a -t 10.0.0.2:0 -r 10.0.1.9:0 -m -w 100000",
];

pub async fn a_table_of_ipvsadm() {
    let mut world = World::new();
    restore(&TABLE.join("\n"));
    let mut table = world.ipvs.table().unwrap();
    table.sort_by_key(|entry| entry.service.key);
    let keys: Vec<_> = table
        .iter()
        .map(|entry| entry.service.key.to_string())
        .collect();
    assert_eq!(
        keys,
        [
            "10.0.0.1:80",
            "10.0.0.2:0",
            "udp:[2001:db8::1]:53",
            "fwmark6:7"
        ]
    );
    let configs: Vec<_> = table.iter().map(|entry| entry.service.config).collect();
    assert_eq!(configs[0].flags, ServiceFlags::FALLBACK);
    assert_eq!(configs[1].netmask.to_string(), "255.0.255.0");
    assert_eq!(configs[2].flags, ServiceFlags::ONE_PACKET);
    assert_eq!(configs[2].persistence, Some(Duration::from_mins(5)));
    assert_eq!(configs[2].netmask, Netmask::Prefix(64));
    assert_eq!(configs[3], ServiceConfig::new(Family::V6, Scheduler::WLC));
    let heavy = &table[1].destinations[0];
    assert_eq!((heavy.config.weight, heavy.key.port()), (100_000, 0));
    table[0]
        .destinations
        .sort_by_key(|destination| destination.key);
    let first = &table[0].destinations[0].config;
    assert_eq!((first.upper_threshold, first.lower_threshold), (10, 5));
    let kinds: Vec<_> = table[0]
        .destinations
        .iter()
        .map(|d| d.config.forward)
        .collect();
    let gue = TunnelKind::Gue {
        port: 6080.try_into().unwrap(),
        checksum: Checksum::Udp,
    };
    let gre = TunnelKind::Gre { checksum: false };
    assert_eq!(
        kinds,
        [Forward::Masq, Forward::Tunnel(gue), Forward::Tunnel(gre)]
    );
}

/// What was read, removed and written again is the same to ipvsadm.
pub async fn a_table_is_put_back() {
    let mut world = World::new();
    restore(&TABLE[..7].join("\n"));
    let before = saved();
    let table = world.ipvs.table().unwrap();
    let services = table.iter().map(|entry| entry.service.key);
    let deletes: Vec<_> = services
        .map(|service| Command::DeleteService { service })
        .collect();
    world.execute(&deletes);
    assert_eq!(saved(), [""; 0]);
    for entry in &table {
        let service = entry.service.key;
        let config = entry.service.config;
        world.execute(&[Command::AddService { service, config }]);
        let adds = entry
            .destinations
            .iter()
            .map(|destination| Command::AddDestination {
                service,
                destination: destination.key,
                config: destination.config,
            });
        world.execute(&adds.collect::<Vec<_>>());
    }
    assert_eq!(saved(), before);
}

pub async fn the_text_says_the_same() {
    let mut world = World::new();
    restore(&TABLE.join("\n"));
    let mut table = world.ipvs.table().unwrap();
    let mut text = proc::read().unwrap();
    table.sort_by_key(|entry| proc::Key::from(&entry.service.key));
    text.sort_by_key(|service| service.key);
    assert_eq!(table.len(), text.len());
    for (entry, service) in table.iter_mut().zip(&mut text) {
        let config = &entry.service.config;
        assert_eq!(service.key, proc::Key::from(&entry.service.key));
        assert_eq!(service.scheduler, config.scheduler);
        assert_eq!(service.persistent, config.persistence.is_some());
        let theirs = service.destinations.iter();
        let theirs: Vec<_> = theirs.map(|d| (d.key, d.method, d.weight)).collect();
        let ours = entry.destinations.iter();
        let method = |forward| proc::Method::from(forward);
        let ours = ours.map(|d| (d.key, method(d.config.forward), d.config.weight));
        assert_eq!(theirs, ours.collect::<Vec<_>>());
    }
}

/// The dump of a service has several parts from some hundred destinations on.
pub async fn a_service_with_many_destinations() {
    let mut world = World::new();
    let service = tcp("10.0.0.1:80");
    world.execute(&[add(service)]);
    let texts: Vec<_> = (0..2000)
        .map(|n| format!("10.1.{}.{}:80", n / 250, n % 250))
        .collect();
    let adds: Vec<_> = texts.iter().map(|text| add_to(service, text)).collect();
    world.execute(&adds);
    let mut read: Vec<_> = world.destinations(service).iter().map(|d| d.key).collect();
    let mut written: Vec<_> = texts.iter().map(|text| to(text)).collect();
    read.sort_unstable();
    written.sort_unstable();
    assert_eq!(read, written);
}

/// It may have more or less, but no read fails.
pub async fn a_table_that_changes_is_read() {
    let mut world = World::new();
    let services: Vec<_> = (0..100).map(|n| tcp(&format!("10.0.0.{n}:80"))).collect();
    let adds: Vec<_> = services
        .iter()
        .flat_map(|service| [add(*service), add_to(*service, "10.0.1.7:80")])
        .collect();
    let deletes = services
        .iter()
        .map(|service| Command::DeleteService { service: *service });
    let deletes: Vec<_> = deletes.collect();
    world.execute(&adds);
    // A thread is born into the network namespace of the one that starts it.
    let changing = std::thread::spawn(move || {
        let mut other = Ipvs::open().unwrap();
        for _ in 0..20 {
            let outcomes = [other.execute(&deletes), other.execute(&adds)].concat();
            assert!(outcomes.iter().all(Result::is_ok));
        }
    });
    while !changing.is_finished() {
        world.ipvs.table().unwrap();
        proc::read().unwrap();
    }
    changing.join().unwrap();
    assert_eq!(world.ipvs.table().unwrap().len(), 100);
}

pub async fn what_is_not_there_is_empty() {
    let mut world = World::new();
    assert_eq!(world.ipvs.table(), Ok(vec![]));
    assert_eq!(world.ipvs.destinations(&tcp("10.0.0.1:80")), Ok(vec![]));
    assert_eq!(proc::read().unwrap(), []);
    let info = world.ipvs.info().unwrap();
    assert_eq!(info.version.to_string(), "1.2.1");
    assert!(info.connection_table.is_power_of_two());
}
