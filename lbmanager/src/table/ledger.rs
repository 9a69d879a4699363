//! Which virtual services this manager made, and which addresses it added:
//! the kernel does not tell. One file in the state directory; what it says of another boot is of no worth.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::ServiceKey;
use presence::model::{BalancerId, VirtualService};
use presence::process::state_file::{StateError, StateFile};
use serde::{Deserialize, Serialize};

use super::translate;
use crate::host::vips::Bound;

/// Which services are ours.
#[derive(Debug)]
pub struct Ledger {
    file: Option<StateFile<Content>>,
    boot: String,
    services: BTreeMap<ServiceKey, BalancerId>,
    bound: BTreeSet<Bound>,
}

/// The file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    boot: String,
    services: Vec<String>,
    #[serde(default)]
    bound: BTreeSet<Bound>,
}

/// Where the kernel says which boot this is.
pub const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Ledger {
    /// One that goes on from the file, if that is of this boot.
    pub fn open(file: StateFile<Content>, boot: &str) -> Result<Self, StateError> {
        let content = file.read()?.unwrap_or_default();
        let of_this_boot = content.boot == boot;
        let services = content.services.iter().filter(|_| of_this_boot);
        let services = services.filter_map(|id| {
            let id: BalancerId = id.parse().ok()?;
            Some((key_of(&id)?, id))
        });
        let bound = content.bound.iter().filter(|_| of_this_boot);
        Ok(Self {
            services: services.collect(),
            bound: bound.cloned().collect(),
            file: Some(file),
            boot: boot.to_owned(),
        })
    }

    /// One that keeps no file.
    pub fn forgetful() -> Self {
        Self {
            file: None,
            boot: String::new(),
            services: BTreeMap::new(),
            bound: BTreeSet::new(),
        }
    }

    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.bound.is_empty()
    }

    /// Addresses that this manager added.
    pub fn bound(&self) -> &BTreeSet<Bound> {
        &self.bound
    }

    /// These are about to be added, or are there. On disk when this returns.
    pub fn bind(&mut self, bound: BTreeSet<Bound>) -> Result<(), StateError> {
        if self.bound == bound {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.bound, bound);
        let written = self.write();
        if written.is_err() {
            self.bound = before;
        }
        written
    }

    /// Whether this manager made it.
    pub fn has(&self, service: &ServiceKey) -> bool {
        self.services.contains_key(service)
    }

    /// All that it made, with what they are in the tree.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &BalancerId)> {
        self.services.iter()
    }

    /// These are about to be made, or listed from now on, and those are gone.
    /// On disk when this returns.
    pub fn change(
        &mut self,
        more: impl IntoIterator<Item = (ServiceKey, BalancerId)>,
        less: impl IntoIterator<Item = ServiceKey>,
    ) -> Result<(), StateError> {
        let before = self.services.clone();
        for service in less {
            self.services.remove(&service);
        }
        for (service, id) in more {
            self.services.entry(service).or_insert(id);
        }
        if self.services == before {
            return Ok(());
        }
        let written = self.write();
        if written.is_err() {
            self.services = before;
        }
        written
    }

    fn write(&mut self) -> Result<(), StateError> {
        let content = Content {
            boot: self.boot.clone(),
            services: self.services.values().map(ToString::to_string).collect(),
            bound: self.bound.clone(),
        };
        match &mut self.file {
            Some(file) => file.write(&content),
            None => Ok(()),
        }
    }
}

/// What the kernel calls a load balancer of the tree.
pub fn key_of(id: &BalancerId) -> Option<ServiceKey> {
    let service: VirtualService = id.name().parse().ok()?;
    translate::service_key(service)
}
