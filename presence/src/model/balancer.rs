use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::virtual_service::VirtualService;
use super::{HostId, InvalidName, MemberId};

/// The kinds of load balancer that the tree can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A classic AWS load balancer.
    Elb,
    /// An AWS target group (application, network and gateway load balancers).
    Elbv2,
    /// A record set in Amazon Route 53.
    Route53,
    /// A virtual service in the kernels of a group of hosts.
    Ipvs,
}

impl Kind {
    /// Every kind, in the order of their documentation.
    pub const ALL: [Self; 4] = [Self::Elb, Self::Elbv2, Self::Route53, Self::Ipvs];

    /// The segment of the key that names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Elb => "elb",
            Self::Elbv2 => "elbv2",
            Self::Route53 => "route53",
            Self::Ipvs => "ipvs",
        }
    }

    /// How many segments of a key its names take.
    pub fn name_segments(self) -> usize {
        match self {
            Self::Route53 => 2,
            Self::Elb | Self::Elbv2 | Self::Ipvs => 1,
        }
    }

    /// Whether readiness decides who serves unless the tree says otherwise.
    /// ELB and ELBv2 check the health of their members themselves.
    pub fn honors_readiness_by_default(self) -> bool {
        matches!(self, Self::Ipvs | Self::Route53)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                InvalidName::new("type", text, "one of elb, elbv2, route53, ipvs is expected")
            })
    }
}

/// How many of a load balancer's members serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The member of the highest rank serves, the others stand by.
    Single,
    /// All members serve.
    Multiple,
}

impl Class {
    /// The segment of the key that names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Multiple => "multiple",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Class {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text {
            "single" => Ok(Self::Single),
            "multiple" => Ok(Self::Multiple),
            _ => Err(InvalidName::new(
                "class",
                text,
                "single or multiple is expected",
            )),
        }
    }
}

/// Where a load balancer is: an AWS region, or a group of hosts for IPVS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

impl Region {
    /// Parses the region of a load balancer of this kind.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, InvalidName> {
        let valid = match kind {
            Kind::Elb | Kind::Elbv2 => is_aws_region(text),
            Kind::Route53 => text == "global" || is_aws_region(text),
            Kind::Ipvs => text.parse::<HostId>().is_ok(),
        };
        if valid {
            return Ok(Self(text.into()));
        }
        Err(InvalidName::new(
            "region",
            text,
            match kind {
                Kind::Elb | Kind::Elbv2 => "an AWS region such as us-east-1 is expected",
                Kind::Route53 => "an AWS region such as us-east-1, or global, is expected",
                Kind::Ipvs => {
                    "a host ID or the name of a group of hosts is expected: \
                     1 to 128 of A-Z a-z 0-9 . _ -"
                }
            },
        ))
    }

    /// The segment of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `us-east-1`, `us-gov-west-1`, `ap-southeast-2`: words, then a number. AWS
/// opens new regions too often for a list.
fn is_aws_region(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = words.split_last() else {
        return false;
    };
    words.len() >= 2
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
}

/// Which load balancer: its kind, region and canonical name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BalancerId {
    kind: Kind,
    region: Region,
    name: Arc<str>,
}

impl BalancerId {
    /// Checks the parts and puts them together.
    pub fn new(kind: Kind, region: &str, name: &str) -> Result<Self, InvalidName> {
        let region = Region::parse(kind, region)?;
        check_name(kind, name)?;
        Ok(Self {
            kind,
            region,
            name: name.into(),
        })
    }

    /// The one of this name in another region for its kind.
    #[must_use]
    pub fn in_region(&self, region: &Region) -> Self {
        Self {
            region: region.clone(),
            ..self.clone()
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its region.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Its name within kind and region; for Route 53 `<zone-id>/<fqdn>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parses a member of this load balancer.
    pub fn member(&self, text: &str) -> Result<MemberId, InvalidName> {
        MemberId::parse(self.kind, text)
    }
}

/// `<type>/<region>/<name>`, as in the keys.
impl fmt::Display for BalancerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.region, self.name)
    }
}

impl FromStr for BalancerId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(region), Some(name)) => Self::new(kind.parse()?, region, name),
            _ => Err(InvalidName::new(
                "load balancer",
                text,
                "TYPE/REGION/NAME is expected, such as elb/us-east-1/web",
            )),
        }
    }
}

fn check_name(kind: Kind, name: &str) -> Result<(), InvalidName> {
    match kind {
        // 1 to 32 letters, digits and hyphens, not at either end: CreateLoadBalancer
        // and CreateTargetGroup of the AWS API reference.
        Kind::Elb | Kind::Elbv2 => {
            let valid = (1..=32).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !name.starts_with('-')
                && !name.ends_with('-');
            valid.then_some(()).ok_or_else(|| {
                let allowed = "1 to 32 letters, digits and hyphens are expected, \
                               with no hyphen at either end";
                InvalidName::new("name", name, allowed)
            })
        }
        Kind::Route53 => check_record_name(name),
        Kind::Ipvs => name.parse::<VirtualService>().map(|_| ()),
    }
}

fn check_record_name(name: &str) -> Result<(), InvalidName> {
    let invalid = |allowed: &str| Err(InvalidName::new("name", name, allowed));
    let Some((zone, fqdn)) = name.split_once('/') else {
        return invalid("<zone-id>/<fqdn> is expected, such as Z123EXAMPLE/www.example.com");
    };
    if !(1..=32).contains(&zone.len()) || !zone.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return invalid("the zone ID is 1 to 32 letters and digits, without /hostedzone/");
    }
    let canonical = fqdn.strip_suffix('.').unwrap_or(fqdn).to_ascii_lowercase();
    if !is_domain_name(&canonical) {
        return invalid("a domain name of labels of 1 to 63 of a-z 0-9 - _ * is expected");
    }
    if canonical != fqdn {
        let canonical = format!("{zone}/{canonical}");
        return Err(InvalidName::spelling("name", name, &canonical));
    }
    Ok(())
}

fn is_domain_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_*".contains(&b))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
