//! A table that is wanted, and how it looks in the kernel.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use ipvs::{
    Command, DestinationConfig, DestinationKey, Family, Forward, Scheduler, ServiceConfig,
    ServiceKey, proc,
};

/// The region that has the table in the tree.
pub const REGION: &str = "bench";
pub const CONFIG: ServiceConfig = ServiceConfig::new(Family::V4, Scheduler::WLC);
const MASQ: DestinationConfig = DestinationConfig::new(Forward::Masq, 1);

/// Services with their destinations, all different.
pub struct Table(Vec<(ServiceKey, Vec<DestinationKey>)>);

impl Table {
    pub fn new(services: u32, destinations: u32) -> Self {
        let entry = |n| {
            let numbers = n * destinations..(n + 1) * destinations;
            (service(n), numbers.map(server).collect())
        };
        Self((0..services).map(entry).collect())
    }

    /// How many there are.
    pub fn services(&self) -> usize {
        self.0.len()
    }

    /// Its last service, and how many destinations that has.
    pub fn last(&self) -> (&ServiceKey, usize) {
        let (service, destinations) = self.0.last().expect("a table has services");
        (service, destinations.len())
    }

    /// The same as keys of the tree.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|(service, destinations)| {
            let key = move |to| member_key(service, to);
            destinations.iter().map(key)
        })
    }

    pub fn adds(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        for (service, destinations) in &self.0 {
            let service = *service;
            commands.push(Command::AddService {
                service,
                config: CONFIG,
            });
            commands.extend(destinations.iter().map(|to| Command::AddDestination {
                service,
                destination: *to,
                config: MASQ,
            }));
        }
        commands
    }

    pub fn deletes(&self) -> Vec<Command> {
        let services = self.0.iter().map(|(service, _)| *service);
        let delete = |service| Command::DeleteService { service };
        services.map(delete).collect()
    }

    /// The same for `ipvsadm -R`.
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        for (service, destinations) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "-A -t {service} -s {}", CONFIG.scheduler);
            for destination in destinations {
                let _ = writeln!(lines, "-a -t {service} -r {destination} -m -w 1");
            }
        }
        lines
    }
}

/// The service of this number.
pub fn service(number: u32) -> ServiceKey {
    ServiceKey::tcp(at(0x0a00_0000 + number, 80))
}

/// The destination of this number.
pub fn server(number: u32) -> DestinationKey {
    DestinationKey(at(0x0b00_0000 + number, 8080))
}

/// One that no table here has, with a destination.
pub fn foreign() -> (ServiceKey, DestinationKey) {
    (service(u32::MAX >> 8), server(u32::MAX >> 8))
}

fn at(bits: u32, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(bits).into(), port)
}

/// The key of the tree that puts a destination into a service.
pub fn member_key(service: &ServiceKey, server: &DestinationKey) -> String {
    format!("/lbManager/ipvs/{REGION}/{service}/multiple/{server}")
}

type Destination = (DestinationKey, proc::Method, u32);

/// How a table looks in `/proc/net/ip_vs`.
pub struct Looks(BTreeMap<proc::Key, (Scheduler, Vec<Destination>)>);

impl Looks {
    pub fn of(table: &Table) -> Self {
        let look = |to: &DestinationKey| (*to, proc::Method::from(MASQ.forward), MASQ.weight);
        let services = table.0.iter().map(|(service, destinations)| {
            let destinations = destinations.iter().map(look).collect();
            (proc::Key::from(service), (CONFIG.scheduler, destinations))
        });
        Self(services.collect())
    }

    /// How many services of the kernel's table are missing, changed or not
    /// wanted.
    pub fn drifted(&self) -> Result<usize, proc::Error> {
        let (mut same, mut others) = (0, 0);
        for service in proc::Services::open()? {
            let count = if self.has(&service?) {
                &mut same
            } else {
                &mut others
            };
            *count += 1;
        }
        Ok(self.0.len() - same + others)
    }

    fn has(&self, service: &proc::Service) -> bool {
        let look = |d: &proc::Destination| (d.key, d.method, d.weight);
        let mut destinations: Vec<_> = service.destinations.iter().map(look).collect();
        destinations.sort_unstable_by_key(|(key, ..)| *key);
        let wanted = self.0.get(&service.key);
        wanted.is_some_and(|(scheduler, wanted)| {
            (*scheduler, service.persistent) == (service.scheduler, false)
                && *wanted == destinations
        })
    }
}
