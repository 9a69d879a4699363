//! What the managers report: keys below [`STATUS_ROOT`].

use std::fmt;
use std::str::FromStr;

use super::semaphore::{Semaphore, SemaphoreKey};
use super::{KeyError, segments};
use crate::model::{BalancerId, HostId, InvalidName, Kind};

/// Where the managers report. Not below the tree, so that a watch of the tree
/// does not see its own echo.
pub const STATUS_ROOT: &str = "/lbManager-status";

const EXPECTED: &str = "managers/<host-id>, leader/…, lb/<type>/<region>/<name> \
                        (for ipvs with /<host-id>), release/<type>/<region>/<name> or \
                        release/all below /lbManager-status";

/// What a key below [`STATUS_ROOT`] is about. Displayed and parsed as the whole
/// key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusKey {
    /// The presence of the manager of this host.
    Manager(HostId),
    /// The managers' election.
    Leader(SemaphoreKey),
    /// The status of a load balancer.
    Balancer(Report),
    /// An operator's "let it go" for one load balancer.
    Release(BalancerId),
    /// An operator's "let it go" for everything, replaced history included.
    ReleaseAll,
}

/// Whose report on which load balancer: for IPVS each host's own, else that of
/// whichever manager writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Report {
    balancer: BalancerId,
    host: Option<HostId>,
}

impl Report {
    /// The report that the manager of this host gives on a load balancer.
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

/// What to list and to watch for the presence of managers.
pub fn managers_prefix() -> String {
    format!("{STATUS_ROOT}/managers/")
}

/// The presence of the manager of this host.
pub fn manager(host: &HostId) -> String {
    StatusKey::Manager(host.clone()).to_string()
}

/// What to list and to watch for the status of all load balancers.
pub fn balancers_prefix() -> String {
    format!("{STATUS_ROOT}/lb/")
}

/// Where the manager of this host reports on a load balancer.
pub fn balancer(host: &HostId, balancer: &BalancerId) -> String {
    StatusKey::Balancer(Report::by(host, balancer)).to_string()
}

/// How the keys of all reports on a load balancer begin. Those on another may
/// begin so too, as those on `lb10` begin like that on `lb1`: see whose a key
/// is.
pub fn reports_on(balancer: &BalancerId) -> String {
    format!("{STATUS_ROOT}/lb/{balancer}")
}

/// What to list and to watch for operators' releases.
pub fn releases_prefix() -> String {
    format!("{STATUS_ROOT}/release/")
}

/// An operator's "let it go" for one load balancer.
pub fn release(balancer: &BalancerId) -> String {
    StatusKey::Release(balancer.clone()).to_string()
}

/// An operator's "let it go" for everything.
pub fn release_all() -> String {
    StatusKey::ReleaseAll.to_string()
}

/// The managers' election for writing to AWS.
pub fn leader() -> Semaphore {
    Semaphore::at(format!("{STATUS_ROOT}/leader"))
}

impl fmt::Display for StatusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(host) => write!(f, "{STATUS_ROOT}/managers/{host}"),
            Self::Leader(what) => f.write_str(&leader().key(what)),
            Self::Balancer(Report {
                balancer,
                host: None,
            }) => write!(f, "{STATUS_ROOT}/lb/{balancer}"),
            Self::Balancer(Report {
                balancer,
                host: Some(host),
            }) => write!(f, "{STATUS_ROOT}/lb/{balancer}/{host}"),
            Self::Release(balancer) => write!(f, "{STATUS_ROOT}/release/{balancer}"),
            Self::ReleaseAll => write!(f, "{STATUS_ROOT}/release/all"),
        }
    }
}

impl FromStr for StatusKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, KeyError> {
        let form = || KeyError::form(key, EXPECTED);
        let parsed = match *segments(key, STATUS_ROOT)?.as_slice() {
            ["managers", host] => host.parse().map(Self::Manager),
            ["leader", ..] => return leader().parse(key).map(Self::Leader),
            ["release", "all"] => Ok(Self::ReleaseAll),
            ["release", kind, region, ref name @ ..] if !name.is_empty() => {
                parse_balancer(kind, region, name).map(Self::Release)
            }
            ["lb", kind, region, ref rest @ ..] if !rest.is_empty() => {
                parse_report(kind, region, rest)
                    .ok_or_else(form)?
                    .map(Self::Balancer)
            }
            _ => return Err(form()),
        };
        parsed.map_err(KeyError::part(key))
    }
}

fn parse_balancer(kind: &str, region: &str, name: &[&str]) -> Result<BalancerId, InvalidName> {
    BalancerId::new(kind.parse()?, region, &name.join("/"))
}

/// `None` if there are too few or too many segments.
fn parse_report(kind: &str, region: &str, rest: &[&str]) -> Option<Result<Report, InvalidName>> {
    let parse = |name: &[&str], host: Option<&str>| {
        Ok(Report {
            balancer: parse_balancer(kind, region, name)?,
            host: host.map(str::parse).transpose()?,
        })
    };
    match (kind, rest) {
        ("ipvs", [name, host]) => Some(parse(&[name], Some(host))),
        ("ipvs", _) => None,
        _ => Some(parse(rest, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: &str) -> String {
        key.parse::<StatusKey>().unwrap_err().to_string()
    }

    #[test]
    fn keys_are_spelled_as_documented() {
        let host: HostId = "lb-1".parse().unwrap();
        let elb: BalancerId = "elb/us-east-1/web".parse().unwrap();
        let ipvs: BalancerId = "ipvs/lb-1/10.0.0.1:80".parse().unwrap();
        for (key, expected) in [
            (manager(&host), "/lbManager-status/managers/lb-1"),
            (
                balancer(&host, &elb),
                "/lbManager-status/lb/elb/us-east-1/web",
            ),
            (
                balancer(&host, &ipvs),
                "/lbManager-status/lb/ipvs/lb-1/10.0.0.1:80/lb-1",
            ),
            (
                release(&ipvs),
                "/lbManager-status/release/ipvs/lb-1/10.0.0.1:80",
            ),
            (release_all(), "/lbManager-status/release/all"),
            (leader().slots(), "/lbManager-status/leader/slots"),
            (
                leader().entry(&(&host).into()),
                "/lbManager-status/leader/queue/lb-1",
            ),
        ] {
            assert_eq!(key, expected);
            assert_eq!(key.parse::<StatusKey>().unwrap().to_string(), key);
        }
        let prefixes = [managers_prefix(), balancers_prefix(), releases_prefix()];
        for (prefix, expected) in prefixes.iter().zip(["managers", "lb", "release"]) {
            assert_eq!(*prefix, format!("/lbManager-status/{expected}/"));
        }
    }

    #[test]
    fn a_report_on_ipvs_is_of_one_host_and_others_are_of_none() {
        let host: HostId = "lb-1".parse().unwrap();
        let elb = Report::by(&host, &"elb/us-east-1/web".parse().unwrap());
        assert_eq!((elb.host(), elb.balancer().name()), (None, "web"));
        let ipvs = Report::by(&host, &"ipvs/all/fwmark:7".parse().unwrap());
        assert_eq!(
            (ipvs.host(), ipvs.balancer().name()),
            (Some(&host), "fwmark:7")
        );
    }

    #[test]
    fn keys_of_another_form_are_refused_with_the_forms() {
        for key in [
            "/lbManager-status/",
            "/lbManager-status/managers",
            "/lbManager-status/managers/a/b",
            "/lbManager-status/lb/elb/us-east-1",
            "/lbManager-status/lb/ipvs/all/fwmark:7",
            "/lbManager-status/lb/ipvs/all/fwmark:7/lb-1/x",
            "/lbManager-status/release/elb/us-east-1",
            "/lbManager-status/other/thing",
        ] {
            assert_eq!(
                refused(key),
                format!(
                    "key {key:?} is not of the scheme; managers/<host-id>, leader/…, \
                     lb/<type>/<region>/<name> (for ipvs with /<host-id>), \
                     release/<type>/<region>/<name> or release/all below /lbManager-status \
                     is expected"
                )
            );
        }
    }

    #[test]
    fn parts_that_are_not_valid_are_named() {
        for (key, message) in [
            (
                "/lbManager-status/managers/",
                "host ID \"\" is not valid: 1 to 128 of A-Z a-z 0-9 . _ - are expected",
            ),
            (
                "/lbManager-status/lb/ipvs/all/fwmark:7/a:b",
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
        assert_eq!(
            refused("/lbManager-status/leader/x"),
            "key \"/lbManager-status/leader/x\" is not of the scheme; \
             slots or queue/<service-id> below the semaphore is expected"
        );
    }
}
