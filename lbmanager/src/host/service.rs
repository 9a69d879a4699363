//! What of a virtual service matters outside the table.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipvs::{DestinationConfig, DestinationKey, Forward, ServiceConfig, ServiceKey};

/// A virtual service that the table has, or is about to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub key: ServiceKey,
    /// Whether clients are remembered.
    pub persistent: bool,
    /// The real servers whose packets are rewritten (`masq`), drained ones
    /// included: they have connections yet.
    pub masqueraded: BTreeSet<IpAddr>,
}

impl Service {
    /// From what the table is to have.
    pub fn new(
        key: ServiceKey,
        config: &ServiceConfig,
        servers: impl IntoIterator<Item = (DestinationKey, DestinationConfig)>,
    ) -> Self {
        let servers = servers.into_iter();
        let masqueraded = servers.filter(|(_, config)| config.forward == Forward::Masq);
        Self {
            key,
            persistent: config.persistence.is_some(),
            masqueraded: masqueraded.map(|(server, _)| server.0.ip()).collect(),
        }
    }
}
