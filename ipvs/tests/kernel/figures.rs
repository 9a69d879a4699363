//! How long it takes. Printed, not judged: `--include-ignored --nocapture`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ipvs::*;

use crate::world::*;

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

fn lines(commands: &[Command]) -> String {
    let line = |command: &Command| match command {
        Command::AddService { service, config } => {
            format!("-A -t {service} -s {}\n", config.scheduler)
        }
        Command::AddDestination {
            service,
            destination,
            ..
        } => format!("-a -t {service} -r {destination} -m -w 1\n"),
        _ => unreachable!("only adds"),
    };
    commands.iter().map(line).collect()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {:.3} s", start.elapsed().as_secs_f64());
    result
}

/// The module of the scheduler is loaded when it is first wanted: not to be
/// timed.
fn warm(world: &mut World) {
    let service = tcp("10.255.255.255:80");
    let config = ServiceConfig::new(Family::V4, Scheduler::WLC);
    world.execute(&[
        Command::AddService { service, config },
        Command::DeleteService { service },
    ]);
}

#[test]
#[ignore = "soak"]
fn sixty_thousand_commands() {
    let commands = table(10_000, 5);
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let mut world = World::enter();
        warm(&mut world);
        let start = Instant::now();
        world.execute(&commands);
        fastest = fastest.min(start.elapsed());
    }
    println!(
        "60,000 commands, fastest of 3: {:.3} s",
        fastest.as_secs_f64()
    );
    let _world = World::enter();
    let text = lines(&commands);
    timed("the same by ipvsadm -R", || restore(&text));
    timed("ipvsadm -Ln", || ipvsadm("-Ln"));
    let read = timed("/proc/net/ip_vs", || proc::read().unwrap());
    assert_eq!(read.len(), 10_000);
}

#[test]
#[ignore = "soak"]
fn a_table_of_five_thousand_times_four() {
    let mut world = World::enter();
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
