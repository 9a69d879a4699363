//! The keys below `<prefix>-status`: what the managers of one tree report, and
//! what operators tell them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{KeyError, Tree, segments};
use crate::model::{BalancerId, HostId, InvalidName, Kind};

const EXPECTED: &str = "managers/<host-id>/<role>, written/aws, written/hosts/<host-id>, \
                        frozen/aws, frozen/hosts/<host-id>, lb/<type>/<region>/<name>, \
                        hosts/<host-id>/ipvs/<region>/<name>, release/<type>/<region>/<name> \
                        or release/all below the status prefix";

/// The status keys of one tree. They are beside the tree, not in it: a watch
/// of the tree does not see the managers' own writes. Two trees share no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusTree {
    root: String,
}

/// What a manager is responsible for. A host may run one manager of each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ManagerRole {
    /// The kinds of load balancer that AWS runs.
    Aws,
    /// The virtual services of the local kernel.
    Ipvs,
}

/// Whose writes a marker counts, and whose removals a freeze holds: the
/// managers of AWS take turns, each host's IPVS manager is on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusWriter {
    /// The managers of AWS.
    Aws,
    /// The IPVS manager of this host.
    Host(HostId),
}

/// Which status of a load balancer: for IPVS each host writes one, otherwise
/// there is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BalancerStatusKey {
    balancer: BalancerId,
    host: Option<HostId>,
}

/// What a status key is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusKey {
    /// A manager's claim of its host ID, for one role.
    Manager(HostId, ManagerRole),
    /// A writer's marker, written together with each of its statuses.
    Written(StatusWriter),
    /// Removals are held since a reset of etcd's history.
    Frozen(StatusWriter),
    /// The status of a load balancer.
    Balancer(BalancerStatusKey),
    /// An operator's release of one load balancer.
    Release(BalancerId),
    /// An operator's release of everything, freezes included.
    ReleaseAll,
}

impl ManagerRole {
    /// The role whose managers keep load balancers of this kind.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Elb | Kind::Elbv2 | Kind::Route53 => Self::Aws,
            Kind::Ipvs => Self::Ipvs,
        }
    }

    /// The segment of the key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Ipvs => "ipvs",
        }
    }
}

impl fmt::Display for ManagerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ManagerRole {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text {
            "aws" => Ok(Self::Aws),
            "ipvs" => Ok(Self::Ipvs),
            _ => Err(InvalidName::new(
                "role",
                text,
                "one of aws, ipvs is expected",
            )),
        }
    }
}

impl StatusWriter {
    /// The writer that the manager of this role is on this host.
    pub fn of(role: ManagerRole, host: &HostId) -> Self {
        match role {
            ManagerRole::Aws => Self::Aws,
            ManagerRole::Ipvs => Self::Host(host.clone()),
        }
    }
}

impl BalancerStatusKey {
    /// The status that the manager on this host writes of a load balancer.
    pub fn by(host: &HostId, balancer: &BalancerId) -> Self {
        Self {
            balancer: balancer.clone(),
            host: (balancer.kind() == Kind::Ipvs).then(|| host.clone()),
        }
    }

    /// The load balancer.
    pub fn balancer(&self) -> &BalancerId {
        &self.balancer
    }

    /// The host, for IPVS.
    pub fn host(&self) -> Option<&HostId> {
        self.host.as_ref()
    }
}

impl StatusTree {
    /// The status keys of this tree.
    pub fn of(tree: &Tree) -> Self {
        Self {
            root: format!("{tree}-status"),
        }
    }

    /// What all keys of it begin with.
    pub fn prefix(&self) -> String {
        format!("{}/", self.root)
    }

    /// What to list and watch for the claims of all managers.
    pub fn managers_prefix(&self) -> String {
        format!("{}/managers/", self.root)
    }

    /// What to list for the statuses of load balancers that AWS runs.
    pub fn aws_prefix(&self) -> String {
        format!("{}/lb/", self.root)
    }

    /// What to list for the statuses that every host has written. There may be
    /// very many: for people, never for a daemon.
    pub fn hosts_prefix(&self) -> String {
        format!("{}/hosts/", self.root)
    }

    /// What to list for the statuses that one host has written.
    pub fn host_prefix(&self, host: &HostId) -> String {
        format!("{}/hosts/{host}/", self.root)
    }

    /// What to list for all freezes.
    pub fn frozen_prefix(&self) -> String {
        format!("{}/frozen/", self.root)
    }

    /// What to list and watch for operators' releases.
    pub fn releases_prefix(&self) -> String {
        format!("{}/release/", self.root)
    }

    /// A manager's claim.
    pub fn manager(&self, host: &HostId, role: ManagerRole) -> String {
        self.key(&StatusKey::Manager(host.clone(), role))
    }

    /// A writer's marker.
    pub fn written(&self, writer: &StatusWriter) -> String {
        self.key(&StatusKey::Written(writer.clone()))
    }

    /// A writer's freeze.
    pub fn frozen(&self, writer: &StatusWriter) -> String {
        self.key(&StatusKey::Frozen(writer.clone()))
    }

    /// Where the manager on this host reports on a load balancer.
    pub fn balancer(&self, host: &HostId, balancer: &BalancerId) -> String {
        self.status(&BalancerStatusKey::by(host, balancer))
    }

    /// The key of this status.
    pub fn status(&self, status: &BalancerStatusKey) -> String {
        let BalancerStatusKey { balancer, host } = status;
        match host {
            None => format!("{}/lb/{balancer}", self.root),
            Some(host) => format!("{}/hosts/{host}/{balancer}", self.root),
        }
    }

    /// An operator's release of one load balancer.
    pub fn release(&self, balancer: &BalancerId) -> String {
        self.key(&StatusKey::Release(balancer.clone()))
    }

    /// An operator's release of everything.
    pub fn release_all(&self) -> String {
        self.key(&StatusKey::ReleaseAll)
    }

    /// The key of what is named.
    pub fn key(&self, what: &StatusKey) -> String {
        let root = &self.root;
        match what {
            StatusKey::Manager(host, role) => format!("{root}/managers/{host}/{role}"),
            StatusKey::Written(writer) => format!("{root}/written/{writer}"),
            StatusKey::Frozen(writer) => format!("{root}/frozen/{writer}"),
            StatusKey::Balancer(status) => self.status(status),
            StatusKey::Release(balancer) => format!("{root}/release/{balancer}"),
            StatusKey::ReleaseAll => format!("{root}/release/all"),
        }
    }

    /// What the key names.
    pub fn parse(&self, key: &str) -> Result<StatusKey, KeyError> {
        let form = || KeyError::form(key, EXPECTED);
        let parsed = match *segments(key, &self.root)?.as_slice() {
            ["managers", host, role] => parse_manager(host, role),
            ["written", ref writer @ ..] => parse_writer(writer)
                .ok_or_else(form)?
                .map(StatusKey::Written),
            ["frozen", ref writer @ ..] => parse_writer(writer)
                .ok_or_else(form)?
                .map(StatusKey::Frozen),
            ["release", "all"] => Ok(StatusKey::ReleaseAll),
            ["release", kind, region, ref name @ ..] if !name.is_empty() => {
                parse_balancer(kind, region, name).map(StatusKey::Release)
            }
            ["lb", "ipvs", ..] => return Err(form()),
            ["lb", kind, region, ref name @ ..] if !name.is_empty() => {
                parse_balancer(kind, region, name).map(|balancer| {
                    StatusKey::Balancer(BalancerStatusKey {
                        balancer,
                        host: None,
                    })
                })
            }
            ["hosts", host, "ipvs", region, name] => parse_host_status(host, region, name),
            _ => return Err(form()),
        };
        parsed.map_err(KeyError::part(key))
    }
}

impl fmt::Display for StatusTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)
    }
}

impl fmt::Display for StatusWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws => f.write_str("aws"),
            Self::Host(host) => write!(f, "hosts/{host}"),
        }
    }
}

fn parse_manager(host: &str, role: &str) -> Result<StatusKey, InvalidName> {
    Ok(StatusKey::Manager(host.parse()?, role.parse()?))
}

/// `None`: another form.
fn parse_writer(segments: &[&str]) -> Option<Result<StatusWriter, InvalidName>> {
    match *segments {
        ["aws"] => Some(Ok(StatusWriter::Aws)),
        ["hosts", host] => Some(host.parse().map(StatusWriter::Host)),
        _ => None,
    }
}

fn parse_balancer(kind: &str, region: &str, name: &[&str]) -> Result<BalancerId, InvalidName> {
    BalancerId::new(kind.parse()?, region, &name.join("/"))
}

fn parse_host_status(host: &str, region: &str, name: &str) -> Result<StatusKey, InvalidName> {
    Ok(StatusKey::Balancer(BalancerStatusKey {
        balancer: BalancerId::new(Kind::Ipvs, region, name)?,
        host: Some(host.parse()?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> StatusTree {
        Tree::new("/lbManager").unwrap().status()
    }

    fn refused(key: &str) -> String {
        status().parse(key).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_spelled_as_documented() {
        let status = status();
        let host: HostId = "lb-1".parse().unwrap();
        let elb: BalancerId = "elb/us-east-1/web".parse().unwrap();
        let ipvs: BalancerId = "ipvs/edge/10.0.0.1:80".parse().unwrap();
        let ours = StatusWriter::of(ManagerRole::Ipvs, &host);
        let aws = StatusWriter::of(ManagerRole::Aws, &host);
        for (key, expected) in [
            (status.manager(&host, ManagerRole::Aws), "managers/lb-1/aws"),
            (
                status.manager(&host, ManagerRole::Ipvs),
                "managers/lb-1/ipvs",
            ),
            (status.written(&aws), "written/aws"),
            (status.written(&ours), "written/hosts/lb-1"),
            (status.frozen(&aws), "frozen/aws"),
            (status.frozen(&ours), "frozen/hosts/lb-1"),
            (status.balancer(&host, &elb), "lb/elb/us-east-1/web"),
            (
                status.balancer(&host, &ipvs),
                "hosts/lb-1/ipvs/edge/10.0.0.1:80",
            ),
            (status.release(&ipvs), "release/ipvs/edge/10.0.0.1:80"),
            (status.release_all(), "release/all"),
        ] {
            assert_eq!(key, format!("/lbManager-status/{expected}"));
            assert_eq!(status.key(&status.parse(&key).unwrap()), key);
        }
        for (prefix, expected) in [
            (status.prefix(), ""),
            (status.managers_prefix(), "managers/"),
            (status.aws_prefix(), "lb/"),
            (status.hosts_prefix(), "hosts/"),
            (status.host_prefix(&host), "hosts/lb-1/"),
            (status.frozen_prefix(), "frozen/"),
            (status.releases_prefix(), "release/"),
        ] {
            assert_eq!(prefix, format!("/lbManager-status/{expected}"));
        }
    }

    #[test]
    fn two_trees_share_no_key() {
        let other = Tree::new("/lbmanager/").unwrap().status();
        assert_eq!(other.release_all(), "/lbmanager-status/release/all");
        assert!(status().parse(&other.release_all()).is_err());
    }

    #[test]
    fn each_host_has_a_status_of_an_ipvs_service_and_all_share_one_of_the_rest() {
        let host: HostId = "lb-1".parse().unwrap();
        let elb = BalancerStatusKey::by(&host, &"elb/us-east-1/web".parse().unwrap());
        assert_eq!((elb.host(), elb.balancer().name()), (None, "web"));
        let ipvs = BalancerStatusKey::by(&host, &"ipvs/all/fwmark:7".parse().unwrap());
        let expected = (Some(&host), "fwmark:7");
        assert_eq!((ipvs.host(), ipvs.balancer().name()), expected);
    }

    #[test]
    fn keys_of_another_form_are_refused_with_the_forms() {
        for key in [
            "",
            "managers",
            "managers/a",
            "managers/a/aws/x",
            "written/hosts",
            "written/aws/x",
            "frozen/a",
            "lb/elb/us-east-1",
            "lb/ipvs/all/fwmark:7/lb-1",
            "hosts/lb-1/ipvs/all",
            "hosts/lb-1/elb/us-east-1/web",
            "release/elb/us-east-1",
            "other/thing",
        ] {
            let key = format!("/lbManager-status/{key}");
            assert_eq!(
                refused(&key),
                format!("key {key:?} is not of the scheme; {EXPECTED} is expected")
            );
        }
    }

    #[test]
    fn parts_that_are_not_valid_are_named() {
        for (key, message) in [
            (
                "/lbManager-status/managers//aws",
                "host ID \"\" is not valid: 1 to 128 of A-Z a-z 0-9 . _ - are expected",
            ),
            (
                "/lbManager-status/managers/a/elb",
                "role \"elb\" is not valid: one of aws, ipvs is expected",
            ),
            (
                "/lbManager-status/hosts/a:b/ipvs/all/fwmark:7",
                "host ID \"a:b\" is not valid: 1 to 128 of A-Z a-z 0-9 . _ - are expected",
            ),
            (
                "/lbManager-status/lb/alb/us-east-1/web",
                "type \"alb\" is not valid: one of elb, elbv2, route53, ipvs is expected",
            ),
            (
                "/lbManager-status/release/ipvs/all/fwmark:07",
                "virtual service \"fwmark:07\" is not valid: \
                 only the canonical spelling names it: write \"fwmark:7\"",
            ),
        ] {
            assert_eq!(refused(key), format!("key {key:?}: {message}"));
        }
        assert_eq!(
            refused("/lbManager-statusx/managers/a"),
            "key \"/lbManager-statusx/managers/a\" is not below \"/lbManager-status/\""
        );
    }
}
