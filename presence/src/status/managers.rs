//! The claims of all managers of a tree, as the reflector keeps them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::departure::{Change, Step};
use crate::keys::status::{BalancerStatusKey, ManagerRole, StatusKey, StatusTree};
use crate::mirror::View;
use crate::model::{BalancerId, HostId, Kind, Revision};
use crate::store::Entry;

use super::Claim;

/// Keys of another form that are remembered to be reported.
const MALFORMED: usize = 100;

/// The managers that are alive.
#[derive(Debug, Clone)]
pub struct Managers {
    keys: StatusTree,
    claims: BTreeMap<(HostId, ManagerRole), (Revision, Option<Claim>)>,
    malformed: BTreeSet<String>,
}

impl Managers {
    /// None of this tree is known yet.
    pub fn new(keys: StatusTree) -> Self {
        Self {
            keys,
            claims: BTreeMap::new(),
            malformed: BTreeSet::new(),
        }
    }

    /// When this claim was last written, whatever it says.
    pub fn written(&self, host: &HostId, role: ManagerRole) -> Option<Revision> {
        let claim = self.claims.get(&(host.clone(), role));
        claim.map(|(revision, _)| *revision)
    }

    /// Hosts whose manager programs this region of IPVS.
    pub fn serving<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a HostId> {
        self.of_role(ManagerRole::Ipvs)
            .filter(move |(_, claim)| has(&claim.regions, region))
            .map(|(host, _)| host)
    }

    /// The hosts that have a manager of this role.
    pub fn hosts(&self, role: ManagerRole) -> impl Iterator<Item = &HostId> {
        let claims = self.claims.keys();
        claims
            .filter(move |(_, other)| *other == role)
            .map(|(host, _)| host)
    }

    /// The statuses that live managers write of this load balancer: for IPVS
    /// one of each host that serves the region, otherwise one if any manager
    /// manages this kind.
    pub fn concerned(&self, balancer: &BalancerId) -> BTreeSet<BalancerStatusKey> {
        let kind = balancer.kind();
        let is_concerned = |claim: &Claim| {
            let serves = kind != Kind::Ipvs || has(&claim.regions, balancer.region().as_str());
            has(&claim.backends, kind.as_str()) && serves
        };
        self.of_role(ManagerRole::of(kind))
            .filter(|(_, claim)| is_concerned(claim))
            .map(|(host, _)| BalancerStatusKey::by(host, balancer))
            .collect()
    }

    /// Keys below the managers' prefix that are no claims.
    pub fn malformed(&self) -> &BTreeSet<String> {
        &self.malformed
    }

    fn of_role(&self, role: ManagerRole) -> impl Iterator<Item = (&HostId, &Claim)> {
        self.claims
            .iter()
            .filter(move |((_, other), _)| *other == role)
            .filter_map(|((host, _), (_, claim))| Some((host, claim.as_ref()?)))
    }

    fn set(&mut self, key: &str, entry: Option<&Entry>) {
        let Ok(StatusKey::Manager(host, role)) = self.keys.parse(key) else {
            if self.malformed.len() < MALFORMED {
                self.malformed.insert(key.to_owned());
            }
            return;
        };
        match entry {
            Some(entry) => {
                let claim = Claim::parse(&entry.value);
                self.claims
                    .insert((host, role), (entry.mod_revision, claim));
            }
            None => {
                self.claims.remove(&(host, role));
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

    fn keys() -> StatusTree {
        keys::Tree::new("/lbManager").unwrap().status()
    }

    fn managers(claims: &[(&str, &[Kind], &[&str])]) -> Managers {
        let mut managers = Managers::new(keys());
        for (host, kinds, regions) in claims {
            let regions: Vec<Region> = regions
                .iter()
                .map(|region| Region::parse(Kind::Ipvs, region).unwrap())
                .collect();
            for role in [ManagerRole::Aws, ManagerRole::Ipvs] {
                let kinds = kinds.iter().copied();
                let kinds: Vec<Kind> = kinds
                    .filter(|kind| ManagerRole::of(*kind) == role)
                    .collect();
                if kinds.is_empty() {
                    continue;
                }
                let regions = if role == ManagerRole::Ipvs {
                    &regions[..]
                } else {
                    &[]
                };
                let claim = Claim::new("m".to_owned(), kinds, regions);
                let entry = Entry {
                    value: claim.to_json().into(),
                    create_revision: Revision(1),
                    mod_revision: Revision(1),
                    lease: None,
                };
                managers.list(&keys().manager(&host.parse().unwrap(), role), &entry);
            }
        }
        managers
    }

    fn concerned(managers: &Managers, balancer: &str) -> Vec<String> {
        let statuses = managers.concerned(&balancer.parse().unwrap());
        statuses
            .iter()
            .map(|status| keys().status(status))
            .collect()
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
        let edge = |host| format!("/lbManager-status/hosts/{host}/ipvs/edge/fwmark:1");
        let both = [edge("a"), edge("b")];
        assert_eq!(concerned(&managers, "ipvs/edge/fwmark:1"), both);
        let own = "/lbManager-status/hosts/c/ipvs/c/fwmark:1";
        assert_eq!(concerned(&managers, "ipvs/c/fwmark:1"), [own]);
        assert_eq!(concerned(&managers, "ipvs/d/fwmark:1").len(), 0);
        let other = "elbv2/us-east-1/web";
        assert_eq!(concerned(&managers, other).len(), 0);
    }

    #[test]
    fn the_end_of_one_role_of_a_host_leaves_its_other_role() {
        let mut managers = managers(&[("a", &[Kind::Elb, Kind::Ipvs], &["a"])]);
        let host = "a".parse().unwrap();
        managers.set(&keys().manager(&host, ManagerRole::Aws), None);
        assert_eq!(managers.written(&host, ManagerRole::Aws), None);
        assert_eq!(concerned(&managers, "ipvs/a/fwmark:1").len(), 1);
        assert_eq!(concerned(&managers, "elb/us-east-1/web").len(), 0);
    }

    #[test]
    fn keys_of_another_form_claim_nothing_and_are_remembered() {
        let mut managers = Managers::new(keys());
        let old = "/lbManager-status/managers/a";
        let entry = Entry {
            value: Claim::new("m".to_owned(), [Kind::Elb], &[])
                .to_json()
                .into(),
            create_revision: Revision(1),
            mod_revision: Revision(1),
            lease: None,
        };
        managers.list(old, &entry);
        assert_eq!(concerned(&managers, "elb/us-east-1/web").len(), 0);
        assert!(managers.malformed().contains(old));
    }
}
