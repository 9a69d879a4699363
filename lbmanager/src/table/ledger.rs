//! Which virtual services were created or taken over here, and by which
//! identity: the kernel does not tell. One file in the state directory for all
//! identities of this kernel; what another boot wrote is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipvs::ServiceKey;
use presence::model::{BalancerId, VirtualService};
use presence::process::state_file::{StateError, StateFile};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::retry::{Retry, Unwritten};
use super::translate;
use crate::identity::Identity;

/// Which services this identity created or took over, and which other
/// identities did.
#[derive(Debug)]
pub struct Ledger {
    file: Option<StateFile<Content>>,
    boot: String,
    /// `None`: not known yet, or nothing is stored.
    identity: Option<Identity>,
    services: BTreeMap<ServiceKey, Kept>,
    others: BTreeMap<ServiceKey, Other>,
    is_dirty: bool,
    retry: Retry,
}

/// A service of this identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is in the tree.
    pub id: BalancerId,
    /// Another program created it, and the tree listed it then.
    pub is_adopted: bool,
}

/// A service of another identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// The identity that created it or took it over.
    pub identity: Arc<Identity>,
    /// The service, as that identity keeps it.
    pub kept: Kept,
}

/// The file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    boot: String,
    sections: Vec<Section>,
}

/// The services of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Section {
    identity: Identity,
    services: BTreeSet<String>,
    /// The services that were taken over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    adopted: BTreeSet<String>,
}

fn entry(name: &str, is_adopted: bool) -> Option<(ServiceKey, Kept)> {
    let id: BalancerId = name.parse().ok()?;
    Some((key_of(&id)?, Kept { id, is_adopted }))
}

impl Ledger {
    /// Reads the file; its content counts if this boot wrote it. Until
    /// [`Ledger::run_as`] all services are those of other identities.
    pub fn open(file: StateFile<Content>, boot: &str) -> Result<Self, StateError> {
        let content = file.read()?.filter(|content| content.boot == boot);
        let mut ledger = Self {
            file: Some(file),
            boot: boot.to_owned(),
            ..Self::forgetful()
        };
        for section in content.unwrap_or_default().sections {
            let identity = Arc::new(section.identity);
            let entries = section.services.iter().filter_map(|name| {
                let (key, kept) = entry(name, section.adopted.contains(name))?;
                let identity = Arc::clone(&identity);
                Some((key, Other { identity, kept }))
            });
            ledger.others.extend(entries);
        }
        Ok(ledger)
    }

    /// The identity that runs is known now.
    pub fn run_as(&mut self, identity: Identity) {
        let own = self
            .others
            .extract_if(.., |_, other| *other.identity == identity);
        self.services
            .extend(own.map(|(key, other)| (key, other.kept)));
        self.identity = Some(identity);
    }

    /// An empty ledger without a file.
    pub fn forgetful() -> Self {
        Self {
            file: None,
            boot: String::new(),
            identity: None,
            services: BTreeMap::new(),
            others: BTreeMap::new(),
            is_dirty: false,
            retry: Retry::default(),
        }
    }

    /// A ledger of these services, without a file.
    pub fn with(services: impl IntoIterator<Item = (ServiceKey, Kept)>) -> Self {
        Self {
            services: services.into_iter().collect(),
            ..Self::forgetful()
        }
    }

    /// Whether it names no service of any identity.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.others.is_empty()
    }

    /// Whether the service is this identity's.
    pub fn has(&self, service: &ServiceKey) -> bool {
        self.services.contains_key(service)
    }

    /// Whether the service is any identity's.
    pub fn knows(&self, service: &ServiceKey) -> bool {
        self.has(service) || self.others.contains_key(service)
    }

    /// Whether this identity created the service.
    pub fn made(&self, service: &ServiceKey) -> bool {
        let kept = self.services.get(service);
        kept.is_some_and(|kept| !kept.is_adopted)
    }

    /// This identity's services, each with its name in the tree.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &BalancerId)> {
        let services = self.services.iter();
        services.map(|(key, kept)| (key, &kept.id))
    }

    /// The services of other identities.
    pub fn others(&self) -> &BTreeMap<ServiceKey, Other> {
        &self.others
    }

    /// Adds services that are about to be created or taken over. On disk when
    /// this returns. A service of another identity is this identity's from now
    /// on.
    pub fn add(
        &mut self,
        more: impl IntoIterator<Item = (ServiceKey, Kept)>,
    ) -> Result<(), Unwritten> {
        let more = more.into_iter();
        let more: Vec<_> = more.filter(|(service, _)| !self.has(service)).collect();
        if more.is_empty() {
            return Ok(());
        }
        let mut before = Vec::with_capacity(more.len());
        for (service, kept) in more {
            before.push((service, self.others.remove(&service)));
            self.services.insert(service, kept);
        }
        let written = self.write();
        if written.is_err() {
            for (service, other) in before {
                self.services.remove(&service);
                self.others.extend(other.map(|other| (service, other)));
            }
        }
        written
    }

    /// Removes services of this identity that no longer exist or are no longer
    /// managed. [`Ledger::save`] writes it.
    pub fn remove<'a>(&mut self, services: impl IntoIterator<Item = &'a ServiceKey>) {
        for service in services {
            self.is_dirty |= self.services.remove(service).is_some();
        }
    }

    /// Removes services of other identities, except these. [`Ledger::save`]
    /// writes it.
    pub fn retain_others(&mut self, is_present: impl Fn(&ServiceKey) -> bool) {
        let before = self.others.len();
        self.others.retain(|key, _| is_present(key));
        self.is_dirty |= self.others.len() < before;
    }

    /// Makes services of other identities this identity's, as created or
    /// adopted as they were. [`Ledger::save`] writes it.
    pub fn take_over(&mut self, services: &BTreeSet<ServiceKey>) {
        let taken = self.others.extract_if(.., |key, _| services.contains(key));
        let taken: Vec<_> = taken.map(|(key, other)| (key, other.kept)).collect();
        self.is_dirty |= !taken.is_empty();
        self.services.extend(taken);
    }

    /// Writes what is not on disk yet.
    pub fn save(&mut self) -> Result<(), Unwritten> {
        if self.is_dirty { self.write() } else { Ok(()) }
    }

    /// When a write that failed is tried again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry.at()
    }

    fn write(&mut self) -> Result<(), Unwritten> {
        let content = self.content();
        let Some(file) = &mut self.file else {
            self.is_dirty = false;
            return Ok(());
        };
        let written = self.retry.attempt(|| file.write(&content));
        self.is_dirty = written.is_err();
        written
    }

    fn content(&self) -> Content {
        let mut sections: BTreeMap<&Identity, Vec<&Kept>> = BTreeMap::new();
        if let Some(identity) = &self.identity {
            let own = sections.entry(identity).or_default();
            own.extend(self.services.values());
        }
        for other in self.others.values() {
            let section = sections.entry(&*other.identity).or_default();
            section.push(&other.kept);
        }
        let sections = sections.into_iter().filter(|(_, kept)| !kept.is_empty());
        let sections = sections.map(|(identity, kept)| Section {
            identity: identity.clone(),
            services: names(kept.iter().copied()),
            adopted: names(kept.iter().copied().filter(|kept| kept.is_adopted)),
        });
        Content {
            boot: self.boot.clone(),
            sections: sections.collect(),
        }
    }
}

fn names<'a>(services: impl Iterator<Item = &'a Kept>) -> BTreeSet<String> {
    services.map(|kept| kept.id.to_string()).collect()
}

/// The kernel's name of a virtual service of the tree.
pub fn key_of(id: &BalancerId) -> Option<ServiceKey> {
    let service: VirtualService = id.name().parse().ok()?;
    translate::service_key(service)
}
