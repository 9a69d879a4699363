//! A kernel's table in memory, with what the real one does about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use ipvs::{
    Command, CommandError, Connections, Destination, DestinationConfig, DestinationKey, Entry,
    Refusal, Service, ServiceConfig, ServiceKey, Stats, proc,
};
use lbmanager::table::kernel::{Kernel, KernelError};

/// A table. Clones are the same one.
#[derive(Clone, Default)]
pub struct FakeKernel(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    refused: BTreeSet<DestinationKey>,
    services: BTreeMap<ServiceKey, Held>,
    commands: Vec<Command>,
    /// How many more commands are carried out: the process ends after them.
    left: Option<usize>,
    at_death: Option<Box<dyn FnOnce() + Send>>,
    gaps: Vec<String>,
}

#[derive(Debug)]
struct Held {
    config: ServiceConfig,
    servers: BTreeMap<DestinationKey, (DestinationConfig, u32)>,
}

pub fn service(text: &str) -> ServiceKey {
    ServiceKey::tcp(text.parse().unwrap())
}

pub fn server(text: &str) -> DestinationKey {
    DestinationKey(text.parse::<SocketAddr>().unwrap())
}

impl FakeKernel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Puts a service or a real server there by hand.
    pub fn tamper(&self, command: Command) {
        self.state().apply(&command).unwrap();
    }

    /// Somebody removes everything.
    pub fn clear(&self) {
        self.state().services.clear();
    }

    /// Connections that are established.
    pub fn connect(&self, to: &str, server_: &str, active: u32) {
        let mut state = self.state();
        let held = state.services.get_mut(&service(to)).unwrap();
        held.servers.get_mut(&server(server_)).unwrap().1 = active;
    }

    /// The process ends after so many more commands: what it does after them
    /// does not reach the kernel.
    pub fn die_after(&self, commands: usize, at_death: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        state.left = Some(commands);
        state.at_death = Some(Box::new(at_death));
    }

    /// Whether it did. It lives again from now on.
    pub fn revive(&self) -> bool {
        let mut state = self.state();
        let unused = state.at_death.take();
        state.left.take() == Some(0) && unused.is_none()
    }

    /// The real servers of a service with their weights.
    pub fn weights(&self, of: &str) -> Option<BTreeMap<String, u32>> {
        let state = self.state();
        let held = state.services.get(&service(of))?;
        let servers = held.servers.iter();
        let weights = servers.map(|(key, (config, _))| (key.0.to_string(), config.weight));
        Some(weights.collect())
    }

    /// How a service is set up.
    pub fn config(&self, of: &str) -> Option<ServiceConfig> {
        Some(self.state().services.get(&service(of))?.config)
    }

    pub fn commands(&self) -> Vec<Command> {
        self.state().commands.clone()
    }

    pub fn forget_commands(&self) {
        self.state().commands.clear();
    }

    /// It refuses this real server from now on.
    pub fn refuse(&self, server_: &str) {
        self.state().refused.insert(server(server_));
    }

    /// Moments at which a service lost its last real server that takes new
    /// connections.
    pub fn gaps(&self) -> Vec<String> {
        self.state().gaps.clone()
    }
}

impl State {
    fn able(&self, key: &ServiceKey) -> usize {
        let held = self.services.get(key).into_iter();
        held.flat_map(|held| held.servers.values())
            .filter(|(config, _)| config.weight > 0)
            .count()
    }

    fn execute(&mut self, command: &Command) -> Result<(), CommandError> {
        if self.left == Some(0) {
            if let Some(at_death) = self.at_death.take() {
                at_death();
            }
            return Ok(());
        }
        self.left = self.left.map(|left| left - 1);
        let before = self.able(command.service());
        self.commands.push(*command);
        self.apply(command).map_err(CommandError::Refused)?;
        if before > 0 && self.able(command.service()) == 0 {
            self.gaps.push(command.to_string());
        }
        Ok(())
    }

    fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
        let key = *command.service();
        if let Command::AddService { config, .. } = command {
            if self.services.contains_key(&key) {
                return Err(Refusal::Exists);
            }
            let held = Held {
                config: *config,
                servers: BTreeMap::new(),
            };
            self.services.insert(key, held);
            return Ok(());
        }
        let held = self.services.get_mut(&key).ok_or(Refusal::NoSuchService)?;
        match command {
            Command::EditService { config, .. } => held.config = *config,
            Command::DeleteService { .. } => drop(self.services.remove(&key)),
            Command::AddDestination {
                destination,
                config,
                ..
            } => {
                if self.refused.contains(destination) {
                    return Err(Refusal::OutOfRange);
                }
                if held.servers.contains_key(destination) {
                    return Err(Refusal::Exists);
                }
                held.servers.insert(*destination, (*config, 0));
            }
            Command::EditDestination {
                destination,
                config,
                ..
            } => {
                let server = held.servers.get_mut(destination);
                server.ok_or(Refusal::NoSuchDestination)?.0 = *config;
            }
            Command::DeleteDestination { destination, .. } => {
                let gone = held.servers.remove(destination);
                gone.ok_or(Refusal::NoSuchDestination)?;
            }
            Command::AddService { .. } | Command::ResetCounters { .. } => {}
        }
        Ok(())
    }
}

impl Held {
    fn destinations(&self) -> Vec<Destination> {
        let servers = self.servers.iter();
        let servers = servers.map(|(key, (config, active))| Destination {
            key: *key,
            config: *config,
            connections: Connections {
                active: *active,
                ..Connections::default()
            },
            stats: Stats::default(),
        });
        servers.collect()
    }
}

impl Kernel for FakeKernel {
    fn table(&mut self) -> Result<Vec<Entry>, KernelError> {
        let state = self.state();
        let entries = state.services.iter().map(|(key, held)| Entry {
            service: Service {
                key: *key,
                config: held.config,
                stats: Stats::default(),
            },
            destinations: held.destinations(),
        });
        Ok(entries.collect())
    }

    fn servers(&mut self, service: &ServiceKey) -> Result<Vec<Destination>, KernelError> {
        let state = self.state();
        let held = state.services.get(service);
        Ok(held.map(Held::destinations).unwrap_or_default())
    }

    fn sweep(&mut self) -> Result<Vec<proc::Service>, KernelError> {
        let state = self.state();
        let services = state.services.iter().map(|(key, held)| proc::Service {
            key: key.into(),
            scheduler: held.config.scheduler,
            persistent: held.config.persistence.is_some(),
            one_packet: false,
            destinations: held
                .servers
                .iter()
                .map(|(key, (config, active))| proc::Destination {
                    key: *key,
                    method: config.forward.into(),
                    weight: config.weight,
                    active: *active,
                    inactive: 0,
                })
                .collect(),
        });
        Ok(services.collect())
    }

    fn execute(&mut self, commands: &[Command]) -> Vec<Result<(), CommandError>> {
        let mut state = self.state();
        commands
            .iter()
            .map(|command| state.execute(command))
            .collect()
    }
}
