//! Tables as large as they get. How long it takes is printed, not judged; what
//! is to be reached is measured by `make bench`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use ipvs::{Command, DestinationKey, Family, Scheduler, ServiceConfig, ServiceKey, proc};

use crate::world::{MASQ, World, ipvsadm, saved};

fn table(services: u32, destinations: u32) -> Vec<Command> {
    let at = |bits, port| SocketAddr::new(Ipv4Addr::from_bits(bits).into(), port);
    let mut commands = Vec::new();
    for n in 0..services {
        let service = ServiceKey::tcp(at(0x0a00_0000 + n, 80));
        let config = ServiceConfig::new(Family::V4, Scheduler::WLC);
        commands.push(Command::AddService { service, config });
        commands.extend((0..destinations).map(|d| Command::AddDestination {
            service,
            destination: DestinationKey(at(0x0b00_0000 + n * destinations + d, 8080)),
            config: MASQ,
        }));
    }
    commands
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {:.3} s", start.elapsed().as_secs_f64());
    result
}

pub async fn sixty_thousand_commands() {
    let mut world = World::new();
    let commands = table(10_000, 5);
    timed("60,000 commands", || world.execute(&commands));
    let read = timed("/proc/net/ip_vs", || proc::read().unwrap());
    assert_eq!(read.len(), 10_000);
    assert!(read.iter().all(|service| service.destinations.len() == 5));
    let witness = timed("ipvsadm -Sn", saved);
    assert_eq!(witness.len(), commands.len());
}

pub async fn a_table_of_five_thousand_times_four() {
    let mut world = World::new();
    world.execute(&table(5000, 4));
    for _ in 0..3 {
        let services = timed("5,000 services", || world.ipvs.services().unwrap());
        assert_eq!(services.len(), 5000);
        let table = timed("5,000 x 4 by dumps", || world.ipvs.table().unwrap());
        assert!(table.iter().all(|entry| entry.destinations.len() == 4));
        let text = timed("5,000 x 4 by /proc/net/ip_vs", || proc::read().unwrap());
        assert_eq!(text.len(), 5000);
    }
    timed("5,000 x 4 by ipvsadm -Ln", || ipvsadm("-Ln"));
}
