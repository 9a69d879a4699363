use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use ipvs::{
    Command, Destination, DestinationConfig, DestinationKey, Family, Forward, Ipvs, Scheduler,
    Service, ServiceConfig, ServiceKey, Settings,
};
use testbed::wait;

/// The kernel's table, empty at first: each test has a network of its own.
pub struct World {
    pub ipvs: Ipvs,
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        let ipvs = Ipvs::open_with(settings);
        let ipvs = ipvs.unwrap_or_else(|error| panic!("cannot talk to IPVS: {error}"));
        Self { ipvs }
    }

    /// Carries out commands that must not fail.
    pub fn execute(&mut self, commands: &[Command]) {
        for (command, outcome) in commands.iter().zip(self.ipvs.execute(commands)) {
            outcome.unwrap_or_else(|error| panic!("cannot {command}: {error}"));
        }
    }

    /// The destinations of a service that has some.
    pub fn destinations(&mut self, service: ServiceKey) -> Vec<Destination> {
        self.ipvs.destinations(&service).unwrap()
    }
}

/// Linux has the services of all network namespaces in one table, and loses its
/// place in a dump when any of them changes. A namespace is cleared only later,
/// in the background, when the next test may be reading.
impl Drop for World {
    fn drop(&mut self) {
        let services = self.ipvs.services().unwrap_or_default();
        let delete = |service: &Service| Command::DeleteService {
            service: service.key,
        };
        let deletes: Vec<_> = services.iter().map(delete).collect();
        let _ = self.ipvs.execute(&deletes);
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let is_so = || std::future::ready(is_so());
    let waited = wait::until_true(what, Duration::from_secs(30), is_so).await;
    waited.unwrap();
}

/// Runs a program, and returns what it says.
pub fn run(program: &str, arguments: &str) -> String {
    let output = Process::new(program)
        .args(arguments.split_ascii_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("needs {program}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs ipvsadm.
pub fn ipvsadm(arguments: &str) -> String {
    run("ipvsadm", arguments)
}

/// Has ipvsadm restore a table.
pub fn restore(lines: &str) {
    let mut process = Process::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("needs ipvsadm: {error}"));
    let mut input = process.stdin.take().unwrap();
    writeln!(input, "{lines}").unwrap();
    drop(input);
    assert!(process.wait().unwrap().success());
}

/// The table as ipvsadm would restore it, in order.
pub fn saved() -> Vec<String> {
    let text = ipvsadm("-Sn");
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

/// The fields of the line about this address in a table of ipvsadm's.
pub fn row(table: &str, address: &str) -> Vec<String> {
    let rows = table.lines().map(|line| line.split_ascii_whitespace());
    let mut rows = rows.map(|fields| fields.map(str::to_owned).collect::<Vec<_>>());
    rows.find(|fields| fields.get(1).is_some_and(|field| field == address))
        .unwrap_or_else(|| panic!("no {address} in {table}"))
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn tcp(text: &str) -> ServiceKey {
    ServiceKey::tcp(address(text))
}

pub fn mark(family: Family, mark: u32) -> ServiceKey {
    let mark = NonZeroU32::new(mark).unwrap();
    ServiceKey::Fwmark { family, mark }
}

pub fn to(text: &str) -> DestinationKey {
    DestinationKey(address(text))
}

pub const MASQ: DestinationConfig = DestinationConfig::new(Forward::Masq, 1);

pub fn add(service: ServiceKey) -> Command {
    let config = ServiceConfig::new(service.family(), Scheduler::RR);
    Command::AddService { service, config }
}

pub fn add_to(service: ServiceKey, destination: &str) -> Command {
    add_with(service, destination, MASQ)
}

pub fn add_with(service: ServiceKey, destination: &str, config: DestinationConfig) -> Command {
    Command::AddDestination {
        service,
        destination: to(destination),
        config,
    }
}
