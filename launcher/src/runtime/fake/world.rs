//! What is on the host, and what Docker does with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;

use super::{Registry, address};
use crate::runtime::spec::{ContainerSpec, NetworkMode};
use crate::runtime::{Container, Frame, Image, Ours, RuntimeError, State};

#[derive(Default)]
pub(super) struct World {
    pub images: BTreeMap<String, Image>,
    pub registry: BTreeMap<String, Registry>,
    pub networks: BTreeSet<String>,
    pub taken_ports: BTreeSet<u16>,
    pub containers: Vec<Container>,
    /// By the ID of who wrote it.
    pub output: BTreeMap<String, Vec<Frame>>,
    pub is_down: bool,
    pub ignores_signals: bool,
    pub crash_at: Option<usize>,
    made: u8,
}

/// What there is to read.
pub(super) enum Written {
    Frame(Frame),
    /// Nothing yet.
    Later,
    /// Nothing more.
    End,
}

impl World {
    pub fn by_name(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|one| one.name == name)
    }

    pub fn by_id(&mut self, ours: &Ours) -> Option<&mut Container> {
        self.containers.iter_mut().find(|one| one.id == ours.id())
    }

    pub fn create(&mut self, spec: &ContainerSpec) -> Result<Ours, RuntimeError> {
        let name = spec.name();
        if let Some(other) = self.by_name(&name) {
            let answer = format!("it is {}", other.id);
            return Err(RuntimeError::NameTaken { name, answer });
        }
        if !self.images.contains_key(&spec.image) {
            return Err(RuntimeError::NoSuchImage {
                image: spec.image.clone(),
                answer: "No such image".to_owned(),
            });
        }
        self.made += 1;
        let id = format!("{:064x}", self.made);
        let ours = Ours::new(&id, &name);
        let networks = match &spec.network.mode {
            NetworkMode::Bridge => vec!["bridge".to_owned()],
            NetworkMode::Named(named) => named.iter().map(|(name, _)| name.clone()).collect(),
            _ => Vec::new(),
        };
        let number = self.made;
        self.containers.push(Container {
            id,
            name,
            labels: spec.all_labels(),
            stop_signal: spec.process.stop_signal.clone(),
            addresses: networks
                .into_iter()
                .map(|name| (name, address(number)))
                .collect(),
            ports: ports(spec),
            ..Container::new(State::Created)
        });
        Ok(ours)
    }

    pub fn start(&mut self, ours: &Ours) -> Result<(), RuntimeError> {
        let Some(container) = self.by_id(ours).cloned() else {
            let container = ours.to_string();
            return Err(RuntimeError::Gone { container });
        };
        if container.is_up() {
            return Ok(());
        }
        let missing = |network: &&String| *network != "bridge" && !self.networks.contains(*network);
        if let Some(network) = container.addresses.keys().find(missing) {
            return Err(RuntimeError::NoSuchNetwork {
                container: container.name,
                answer: format!("network {network} not found"),
            });
        }
        let mut wanted = container.ports.values().flatten().map(SocketAddr::port);
        if let Some(port) = wanted.find(|port| self.is_taken(*port, &container)) {
            return Err(RuntimeError::PortTaken {
                container: container.name,
                answer: format!("port {port} is already allocated"),
            });
        }
        if let Some(container) = self.by_id(ours) {
            container.state = State::Running;
            container.started = Some(Timestamp::UNIX_EPOCH);
        }
        Ok(())
    }

    /// The next frame that is not older.
    pub fn written(&mut self, ours: &Ours, since: i64, next: &mut usize) -> Written {
        for frame in self.output.get(ours.id()).into_iter().flatten().skip(*next) {
            *next += 1;
            if frame.time.as_second() >= since {
                return Written::Frame(frame.clone());
            }
        }
        match self.by_id(ours) {
            Some(container) if container.is_up() => Written::Later,
            _ => Written::End,
        }
    }

    fn is_taken(&self, port: u16, by: &Container) -> bool {
        let others = self
            .containers
            .iter()
            .filter(|one| one.is_up() && one.id != by.id);
        let mut used = others.flat_map(|one| one.ports.values().flatten());
        self.taken_ports.contains(&port) || used.any(|address| address.port() == port)
    }
}

/// Only those that are named: the fake gives none of its own.
fn ports(spec: &ContainerSpec) -> BTreeMap<String, Vec<SocketAddr>> {
    let mut ports: BTreeMap<String, Vec<SocketAddr>> = BTreeMap::new();
    for mapping in &spec.network.ports {
        let ip = mapping.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let address = mapping.host.map(|port| SocketAddr::new(ip, port));
        ports
            .entry(mapping.container.clone())
            .or_default()
            .extend(address);
    }
    ports
}
