//! What is on the host, and what Docker does with it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::FutureExt as _;
use jiff::Timestamp;

use super::{Program, Registry, address};
use crate::runtime::spec::{ContainerSpec, NetworkMode, OwnCheck};
use crate::runtime::{Container, Executed, Frame, Image, Ours, RuntimeError, State};

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
    pub program: Option<Program>,
    made: u8,
}

/// What there is to read.
pub(super) enum Written {
    Frame(Frame),
    /// Nothing yet.
    Later,
    /// Nothing more.
    End,
    /// There is no such container.
    Gone,
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
        let Some(image) = self.images.get(&spec.image) else {
            return Err(RuntimeError::NoSuchImage {
                image: spec.image.clone(),
                answer: "No such image".to_owned(),
            });
        };
        let has_healthcheck = image.has_healthcheck && spec.health != OwnCheck::Off;
        self.made += 1;
        let id = format!("{:064x}", self.made);
        let ours = Ours::new(&id, &name);
        let networks = match &spec.network.mode {
            NetworkMode::Bridge => vec![spec.network.mode.to_string()],
            NetworkMode::Named(named) => named.iter().map(|joined| joined.name.clone()).collect(),
            _ => Vec::new(),
        };
        let number = self.made;
        self.containers.push(Container {
            id,
            name,
            labels: spec.all_labels(),
            has_healthcheck,
            stop_signal: spec.process.stop_signal.clone(),
            network_mode: spec.network.mode.to_string(),
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
        let state = self.by_id(ours).map(|container| container.is_up());
        for frame in self.output.get(ours.id()).into_iter().flatten().skip(*next) {
            *next += 1;
            if frame.time.as_second() >= since {
                return Written::Frame(frame.clone());
            }
        }
        match state {
            Some(true) => Written::Later,
            None if *next == 0 => Written::Gone,
            _ => Written::End,
        }
    }

    /// What becomes of commands in it, if it can be given one.
    pub fn program(&mut self, ours: &Ours) -> Result<Program, RuntimeError> {
        match self.by_id(ours).map(|container| &container.state) {
            None => {
                let container = ours.to_string();
                return Err(RuntimeError::Gone { container });
            }
            Some(State::Running) => {}
            Some(state) => {
                return Err(RuntimeError::Refused {
                    doing: format!("run a command in {}", ours.name()),
                    answer: format!("it is {state:?}"),
                });
            }
        }
        let done = Executed {
            code: 0,
            output: String::new(),
        };
        let nothing = || -> Program { Arc::new(move |_| ready(Ok(done.clone())).boxed()) };
        Ok(self.program.clone().unwrap_or_else(nothing))
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
        let ip = mapping.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let address = mapping.published.map(|port| SocketAddr::new(ip, port.0));
        ports.entry(mapping.inside()).or_default().extend(address);
    }
    ports
}
