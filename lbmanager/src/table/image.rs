//! The kernel's table as it was last known. Pure.

use std::collections::BTreeMap;

use ipvs::{Command, DestinationConfig, DestinationKey, Entry, ServiceConfig, ServiceKey, proc};
use litemap::LiteMap;

/// The kernel's table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    services: BTreeMap<ServiceKey, Present>,
}

/// A virtual service that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// How it is set up.
    pub config: ServiceConfig,
    /// Its real servers.
    pub servers: LiteMap<DestinationKey, Server>,
}

/// A real server that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// How it is used.
    pub config: DestinationConfig,
    /// Connections that are established, when last looked at.
    pub active: u32,
}

impl Image {
    /// As it was dumped.
    pub fn new(entries: Vec<Entry>) -> Self {
        let services = entries.into_iter().map(|entry| {
            let servers = entry.destinations.into_iter();
            let servers = servers.map(|server| {
                let active = server.connections.active;
                let config = server.config;
                (server.key, Server { config, active })
            });
            let present = Present {
                config: entry.service.config,
                servers: servers.collect(),
            };
            (entry.service.key, present)
        });
        Self {
            services: services.collect(),
        }
    }

    /// One of its services.
    pub fn get(&self, key: &ServiceKey) -> Option<&Present> {
        self.services.get(key)
    }

    /// All of its services.
    pub fn keys(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys()
    }

    /// What a command that was carried out has made of it.
    pub fn apply(&mut self, command: &Command) {
        match command {
            Command::AddService { service, config } => {
                let present = Present {
                    config: *config,
                    servers: LiteMap::new(),
                };
                self.services.insert(*service, present);
            }
            Command::EditService { service, config } => {
                if let Some(present) = self.services.get_mut(service) {
                    present.config = *config;
                }
            }
            Command::DeleteService { service } => {
                self.services.remove(service);
            }
            Command::AddDestination {
                service,
                destination,
                config,
            }
            | Command::EditDestination {
                service,
                destination,
                config,
            } => {
                if let Some(present) = self.services.get_mut(service) {
                    let server = present.servers.entry(*destination);
                    let server = server.or_insert(Server {
                        config: *config,
                        active: 0,
                    });
                    server.config = *config;
                }
            }
            Command::DeleteDestination {
                service,
                destination,
            } => {
                if let Some(present) = self.services.get_mut(service) {
                    present.servers.remove(destination);
                }
            }
            Command::ResetCounters { .. } => {}
        }
    }

    /// Takes in how many connections are established.
    pub fn count(&mut self, key: &ServiceKey, active: &BTreeMap<DestinationKey, u32>) {
        if let Some(present) = self.services.get_mut(key) {
            for (server, active) in active {
                if let Some(server) = present.servers.get_mut(server) {
                    server.active = *active;
                }
            }
        }
    }

    /// Whether the text shows anything else. It does not show all that there
    /// is: thresholds, netmasks and times of persistence, for some.
    pub fn differs(&self, text: &[proc::Service]) -> bool {
        text.len() != self.services.len() || {
            let shown: BTreeMap<proc::Key, Shown> =
                text.iter().map(|one| (one.key, Shown::text(one))).collect();
            self.services
                .iter()
                .any(|(key, present)| shown.get(&key.into()) != Some(&Shown::present(present)))
        }
    }
}

/// What the text shows of a service, beside numbers of connections.
#[derive(PartialEq, Eq)]
struct Shown {
    scheduler: ipvs::Scheduler,
    persistent: bool,
    servers: Vec<(DestinationKey, proc::Method, u32)>,
}

impl Shown {
    fn text(service: &proc::Service) -> Self {
        let servers = service.destinations.iter();
        let servers = servers.map(|server| (server.key, server.method, server.weight));
        let mut servers: Vec<_> = servers.collect();
        servers.sort_unstable();
        Self {
            scheduler: service.scheduler,
            persistent: service.persistent,
            servers,
        }
    }

    fn present(present: &Present) -> Self {
        let servers = present.servers.iter();
        let servers =
            servers.map(|(key, server)| (*key, server.config.forward.into(), server.config.weight));
        Self {
            scheduler: present.config.scheduler,
            persistent: present.config.persistence.is_some(),
            servers: servers.collect(),
        }
    }
}
