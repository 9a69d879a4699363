//! Which virtual services this manager made or took over, and which addresses
//! it added: the kernel does not tell. One file in the state directory; what it
//! says of another boot is of no worth.

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
    services: BTreeMap<ServiceKey, Kept>,
    bound: BTreeSet<Bound>,
}

/// A service that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is in the tree.
    pub id: BalancerId,
    /// Somebody else made it, and the tree listed it then.
    pub is_adopted: bool,
}

/// The file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    boot: String,
    services: BTreeSet<String>,
    /// Of these, which were taken over.
    #[serde(default)]
    adopted: BTreeSet<String>,
    #[serde(default)]
    bound: BTreeSet<Bound>,
}

impl Ledger {
    /// One that goes on from the file, if that is of this boot.
    pub fn open(file: StateFile<Content>, boot: &str) -> Result<Self, StateError> {
        let content = file.read()?.unwrap_or_default();
        let of_this_boot = content.boot == boot;
        let services = content.services.iter().filter(|_| of_this_boot);
        let services = services.filter_map(|name| {
            let id: BalancerId = name.parse().ok()?;
            let is_adopted = content.adopted.contains(name);
            Some((key_of(&id)?, Kept { id, is_adopted }))
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

    /// The same, with these to start from.
    pub fn of(services: impl IntoIterator<Item = (ServiceKey, Kept)>) -> Self {
        Self {
            services: services.into_iter().collect(),
            ..Self::forgetful()
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

    /// Whether it is ours.
    pub fn has(&self, service: &ServiceKey) -> bool {
        self.services.contains_key(service)
    }

    /// Whether this manager made it.
    pub fn made(&self, service: &ServiceKey) -> bool {
        let kept = self.services.get(service);
        kept.is_some_and(|kept| !kept.is_adopted)
    }

    /// All that are ours, with what they are in the tree.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &BalancerId)> {
        let services = self.services.iter();
        services.map(|(key, kept)| (key, &kept.id))
    }

    /// These are about to be made, or are taken over. On disk when this
    /// returns.
    pub fn add(
        &mut self,
        more: impl IntoIterator<Item = (ServiceKey, Kept)>,
    ) -> Result<(), StateError> {
        let more = more.into_iter();
        let more: Vec<_> = more.filter(|(service, _)| !self.has(service)).collect();
        if more.is_empty() {
            return Ok(());
        }
        let keys: Vec<ServiceKey> = more.iter().map(|(service, _)| *service).collect();
        self.services.extend(more);
        let written = self.write();
        if written.is_err() {
            self.services.retain(|service, _| !keys.contains(service));
        }
        written
    }

    /// They are gone, or left alone.
    pub fn remove<'a>(
        &mut self,
        services: impl Iterator<Item = &'a ServiceKey>,
    ) -> Result<(), StateError> {
        let removed = services.filter_map(|service| self.services.remove_entry(service));
        let removed: Vec<_> = removed.collect();
        if removed.is_empty() {
            return Ok(());
        }
        let written = self.write();
        if written.is_err() {
            self.services.extend(removed);
        }
        written
    }

    fn write(&mut self) -> Result<(), StateError> {
        let content = Content {
            boot: self.boot.clone(),
            services: names(self.services.values()),
            adopted: names(self.services.values().filter(|kept| kept.is_adopted)),
            bound: self.bound.clone(),
        };
        match &mut self.file {
            Some(file) => file.write(&content),
            None => Ok(()),
        }
    }
}

fn names<'a>(services: impl Iterator<Item = &'a Kept>) -> BTreeSet<String> {
    services.map(|kept| kept.id.to_string()).collect()
}

/// What the kernel calls a load balancer of the tree.
pub fn key_of(id: &BalancerId) -> Option<ServiceKey> {
    let service: VirtualService = id.name().parse().ok()?;
    translate::service_key(service)
}
