//! All claims of host IDs, as the mirror keeps them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::departure::{Change, Step};
use crate::keys::status::{Report, StatusKey};
use crate::mirror::View;
use crate::model::{BalancerId, HostId, Kind, Revision};
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
        let serves = move |claim: &Claim| has(&claim.regions, region);
        let claims = self.0.iter();
        claims
            .filter(move |(_, (_, claim))| claim.as_ref().is_some_and(serves))
            .map(|(host, _)| host)
    }

    /// Whose reports on this load balancer are to be heard: for IPVS those of
    /// each host that serves the region, else the one of whoever writes, if
    /// anybody manages this kind at all.
    pub fn concerned(&self, balancer: &BalancerId) -> BTreeSet<Report> {
        let kind = balancer.kind();
        let is_concerned = |claim: &Claim| {
            let regions = &claim.regions;
            let serves = kind != Kind::Ipvs || has(regions, balancer.region().as_str());
            has(&claim.backends, kind.as_str()) && serves
        };
        let claims = self.0.iter();
        claims
            .filter(|(_, (_, claim))| claim.as_ref().is_some_and(is_concerned))
            .map(|(host, _)| Report::by(host, balancer))
            .collect()
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

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|one| one == name)
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

#[cfg(test)]
mod tests {
    use crate::keys;
    use crate::model::Region;

    use super::*;

    fn managers(claims: &[(&str, &[Kind], &[&str])]) -> Managers {
        let mut managers = Managers::default();
        for (host, kinds, regions) in claims {
            let regions: Vec<Region> = regions
                .iter()
                .map(|region| Region::parse(Kind::Ipvs, region).unwrap())
                .collect();
            let claim = Claim::new("m".to_owned(), kinds.iter().copied(), &regions);
            let entry = Entry {
                value: claim.to_json().into(),
                create_revision: Revision(1),
                mod_revision: Revision(1),
                lease: None,
            };
            managers.list(&keys::status::manager(&host.parse().unwrap()), &entry);
        }
        managers
    }

    fn concerned(managers: &Managers, balancer: &str) -> Vec<String> {
        let reports = managers.concerned(&balancer.parse().unwrap());
        let keys = reports.into_iter().map(StatusKey::Balancer);
        keys.map(|key| key.to_string()).collect()
    }

    #[test]
    fn each_host_reports_on_its_virtual_services_and_one_on_what_all_share() {
        let all = [Kind::Elb, Kind::Ipvs];
        let managers = managers(&[
            ("a", &all, &["a", "edge"]),
            ("b", &all, &["b", "edge"]),
            ("c", &[Kind::Ipvs], &["c"]),
        ]);
        let elb = "/lbManager-status/lb/elb/us-east-1/web";
        assert_eq!(concerned(&managers, "elb/us-east-1/web"), [elb]);
        let edge = "/lbManager-status/lb/ipvs/edge/fwmark:1";
        let both = [format!("{edge}/a"), format!("{edge}/b")];
        assert_eq!(concerned(&managers, "ipvs/edge/fwmark:1"), both);
        let own = "/lbManager-status/lb/ipvs/c/fwmark:1/c";
        assert_eq!(concerned(&managers, "ipvs/c/fwmark:1"), [own]);
        assert_eq!(concerned(&managers, "ipvs/d/fwmark:1").len(), 0);
        let other = "elbv2/us-east-1/web";
        assert_eq!(concerned(&managers, other).len(), 0);
    }
}
