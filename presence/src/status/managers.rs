//! All claims of host IDs, as the mirror keeps them. Pure.

use std::collections::BTreeMap;

use crate::departure::{Change, Step};
use crate::keys::status::StatusKey;
use crate::mirror::View;
use crate::model::{HostId, Kind, Revision};
use crate::store::Entry;

use super::Claim;

/// The managers that are alive.
#[derive(Debug, Clone, Default)]
pub struct Managers(BTreeMap<HostId, (Revision, Option<Claim>)>);

impl Managers {
    /// When the claim of this host was last written, whatever it says.
    pub fn written(&self, host: &HostId) -> Option<Revision> {
        self.0.get(host).map(|(revision, _)| *revision)
    }

    /// Who programs this region of ipvs.
    pub fn serving<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a HostId> {
        let serves = move |claim: &Claim| claim.regions.iter().any(|one| one == region);
        let claims = self.0.iter();
        claims
            .filter(move |(_, (_, claim))| claim.as_ref().is_some_and(serves))
            .map(|(host, _)| host)
    }

    /// Whether anybody manages load balancers of this kind.
    pub fn manage(&self, kind: Kind) -> bool {
        let manages = |claim: &Claim| claim.backends.iter().any(|one| one == kind.as_str());
        let mut claims = self.0.values();
        claims.any(|(_, claim)| claim.as_ref().is_some_and(manages))
    }

    fn set(&mut self, key: &str, entry: Option<&Entry>) {
        let Ok(StatusKey::Manager(host)) = key.parse() else {
            return;
        };
        match entry {
            Some(entry) => {
                let claim = Claim::parse(&entry.value);
                self.0.insert(host, (entry.mod_revision, claim));
            }
            None => {
                self.0.remove(&host);
            }
        }
    }
}

impl View for Managers {
    fn list(&mut self, key: &str, entry: &Entry) {
        self.set(key, Some(entry));
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.set(&key, Some(&entry)),
                Change::Gone { key, .. } => self.set(&key, None),
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}
