use std::fmt;
use std::str::FromStr;

use super::status::StatusTree;
use super::{KeyError, launcher, segments, service_monitor};
use crate::model::{BalancerId, Class, InvalidName, Kind, MemberKey, Region, excerpt};

/// The default of `--prefix`.
pub const DEFAULT_PREFIX: &str = "/lbManager";

/// What a key below the prefix of the tree says something about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TreeKey {
    /// Options for everything.
    Config,
    /// Options of one load balancer.
    BalancerConfig(BalancerId),
    /// A member.
    Member(MemberKey),
}

/// The root of a tree of load balancers: the prefix, without the slash that
/// every list and watch of it ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    root: String,
}

impl Tree {
    /// A tree below this prefix. A slash at its end does not matter; one at
    /// its start is needed.
    pub fn new(prefix: &str) -> Result<Self, InvalidName> {
        let root = prefix.trim_end_matches('/');
        let valid = root.len() > 1
            && root.starts_with('/')
            && !root.contains("//")
            && !root.bytes().any(|b| b.is_ascii_control());
        if !valid {
            let allowed = "a path such as /lbManager is expected";
            return Err(InvalidName::new("prefix", prefix, allowed));
        }
        if root.split('/').any(|segment| segment.ends_with("-status")) {
            let allowed = "a path without a segment that ends in -status is expected: managers \
                           report below the path of their tree with -status after it";
            return Err(InvalidName::new("prefix", prefix, allowed));
        }
        let taken = [service_monitor::ROOT, launcher::ROOT];
        if let Some(taken) = taken.into_iter().find(|taken| is_within(root, taken)) {
            let allowed = format!("{taken}/ holds other keys of the scheme; choose another");
            return Err(InvalidName::new("prefix", prefix, allowed));
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The keys where the managers of this tree report.
    pub fn status(&self) -> StatusTree {
        StatusTree::of(self)
    }

    /// What to list and to watch.
    pub fn prefix(&self) -> String {
        format!("{}/", self.root)
    }

    /// What to list for the config and the members of one load balancer.
    pub fn below(&self, id: &BalancerId) -> String {
        format!("{}/{id}/", self.root)
    }

    /// What to list for all load balancers of one region.
    pub fn below_region(&self, kind: Kind, region: &Region) -> String {
        format!("{}/{kind}/{region}/", self.root)
    }

    /// The load balancer that a person names: `<type>/<region>/<name>`, with or
    /// without the prefix.
    pub fn balancer(&self, text: &str) -> Result<BalancerId, InvalidName> {
        text.strip_prefix(&self.prefix()).unwrap_or(text).parse()
    }

    /// The key that a person names, with or without the prefix.
    pub fn complete(&self, text: &str) -> String {
        if text.starts_with('/') {
            return text.to_owned();
        }
        format!("{}/{text}", self.root)
    }

    /// The key of what is named.
    pub fn key(&self, what: &TreeKey) -> String {
        match what {
            TreeKey::Config => format!("{}/config", self.root),
            TreeKey::BalancerConfig(id) => format!("{}/{id}/config", self.root),
            TreeKey::Member(member) => format!("{}/{member}", self.root),
        }
    }

    /// What the key names.
    pub fn parse(&self, key: &str) -> Result<TreeKey, KeyError> {
        TreeKey::read(key, &segments(key, &self.root)?)
    }
}

/// The part of a key below the prefix, as `elb/us-east-1/web/config`.
impl FromStr for TreeKey {
    type Err = KeyError;

    fn from_str(below: &str) -> Result<Self, KeyError> {
        Self::read(below, &below.split('/').collect::<Vec<_>>())
    }
}

impl TreeKey {
    /// From the segments below the prefix; errors name `key`.
    fn read(key: &str, segments: &[&str]) -> Result<Self, KeyError> {
        if segments == ["config"] {
            return Ok(TreeKey::Config);
        }
        let part = KeyError::part(key);
        let depth = |kind: Option<Kind>| KeyError::Depth {
            key: excerpt(key),
            found: segments.len(),
            hint: match kind {
                Some(Kind::Route53) => "; the name of a route53 one is <zone-id>/<fqdn>",
                _ => "",
            },
        };
        let (Some(kind), Some(region)) = (segments.first(), segments.get(1)) else {
            return Err(depth(None));
        };
        let kind: Kind = kind.parse().map_err(&part)?;
        let rest = &segments[2..];
        let names = kind.name_segments();
        let last = match rest.len().checked_sub(names) {
            Some(1 | 2) => &rest[names..],
            _ => return Err(depth(Some(kind))),
        };
        let balancer = BalancerId::new(kind, region, &rest[..names].join("/")).map_err(&part)?;
        match *last {
            ["config"] => Ok(TreeKey::BalancerConfig(balancer)),
            [class, member] => {
                let class: Class = class.parse().map_err(&part)?;
                let member = balancer.member(member).map_err(&part)?;
                Ok(TreeKey::Member(MemberKey {
                    balancer,
                    class,
                    member,
                }))
            }
            _ => Err(depth(Some(kind))),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)
    }
}

fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::new(DEFAULT_PREFIX).unwrap()
    }

    fn refused(key: &str) -> String {
        tree().parse(key).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_spelled_as_documented() {
        for key in [
            "/lbManager/config",
            "/lbManager/elb/us-east-1/web/config",
            "/lbManager/elb/us-east-1/web/multiple/i-0123abcd",
            "/lbManager/elb/us-east-1/config/single/i-0123456789abcdef0",
            "/lbManager/elbv2/us-gov-west-1/web-targets/multiple/i-0123abcd:8080",
            "/lbManager/elbv2/eu-west-1/web/multiple/10.0.0.7",
            "/lbManager/elbv2/eu-west-1/web/multiple/[2001:db8::7]:80",
            "/lbManager/elbv2/eu-west-1/web/multiple/2001:db8::7",
            "/lbManager/route53/global/Z123EXAMPLE/www.example.com/config",
            "/lbManager/route53/us-east-1/Z123EXAMPLE/*.example.com/single/192.0.2.1",
            "/lbManager/ipvs/lb-1/10.0.0.1:80/config",
            "/lbManager/ipvs/edge/udp:[2001:db8::1]:53/multiple/[2001:db8::2]:53",
            "/lbManager/ipvs/edge/sctp:10.0.0.1:5000/single/10.0.0.2:5000",
            "/lbManager/ipvs/edge/fwmark6:7/multiple/[2001:db8::2]:53",
        ] {
            let parsed = tree().parse(key).unwrap();
            assert_eq!(tree().key(&parsed), key, "{parsed:?}");
        }
        assert_eq!(tree().prefix(), "/lbManager/");
    }

    #[test]
    fn keys_of_the_wrong_depth_say_how_deep() {
        for (below, found, hint) in [
            ("", 1, ""),
            ("elb", 1, ""),
            ("elb/us-east-1", 2, ""),
            ("elb/us-east-1/web", 3, ""),
            ("elb/us-east-1/web/multiple", 4, ""),
            ("elb/us-east-1/web/multiple/i-0123abcd/x", 6, ""),
            ("ipvs/lb-1/10.0.0.1:80/single/10.0.0.2:80/x", 6, ""),
            (
                "route53/global/Z1/multiple/192.0.2.1",
                5,
                "; the name of a route53 one is <zone-id>/<fqdn>",
            ),
            (
                "route53/global/Z1/www.example.com",
                4,
                "; the name of a route53 one is <zone-id>/<fqdn>",
            ),
        ] {
            assert_eq!(
                refused(&format!("/lbManager/{below}")),
                format!(
                    "key \"/lbManager/{below}\" has {found} segments below the prefix; \
                     <type>/<region>/<name>/<class>/<member> or <type>/<region>/<name>/config \
                     is expected{hint}"
                )
            );
        }
    }

    #[test]
    fn parts_that_are_not_valid_are_named() {
        for (below, message) in [
            (
                "alb/us-east-1/web/config",
                "type \"alb\" is not valid: one of elb, elbv2, route53, ipvs is expected",
            ),
            (
                "elb/global/web/config",
                "region \"global\" is not valid: an AWS region such as us-east-1 is expected",
            ),
            (
                "route53/here/Z1/a.example/config",
                "region \"here\" is not valid: \
                 an AWS region such as us-east-1, or global, is expected",
            ),
            (
                "ipvs/a:b/fwmark:1/config",
                "region \"a:b\" is not valid: a host ID or the name of a group of hosts is \
                 expected: 1 to 128 of A-Z a-z 0-9 . _ -",
            ),
            (
                "elbv2/us-east-1/-web/config",
                "name \"-web\" is not valid: 1 to 32 letters, digits and hyphens are expected, \
                 with no hyphen at either end",
            ),
            (
                "elb/us-east-1/web/both/i-0123abcd",
                "class \"both\" is not valid: single or multiple is expected",
            ),
            (
                "elb/us-east-1/web/single/",
                "member \"\" is not valid: \
                 an EC2 instance ID is expected: i- and 8 to 17 hexadecimal digits",
            ),
            (
                "elbv2/us-east-1/web/single/i-0123abcd:0",
                "member \"i-0123abcd:0\" is not valid: the port is a number from 1 to 65535",
            ),
            (
                "elbv2/us-east-1/web/single/web-1",
                "member \"web-1\" is not valid: an instance ID (i- and 8 to 17 hexadecimal \
                 digits) or an address is expected, each with an optional :port from 1 to \
                 65535, and IPv6 addresses with a port in brackets",
            ),
            (
                "route53/global/Z1/a.example/single/192.0.2.1:80",
                "member \"192.0.2.1:80\" is not valid: an IPv4 or IPv6 address is expected",
            ),
            (
                "route53/global/Z-1/www.example.com/config",
                "name \"Z-1/www.example.com\" is not valid: \
                 the zone ID is 1 to 32 letters and digits, without /hostedzone/",
            ),
            (
                "route53/global/Z1/www..com/config",
                "name \"Z1/www..com\" is not valid: \
                 a domain name of labels of 1 to 63 of a-z 0-9 - _ * is expected",
            ),
            (
                "ipvs/lb-1/10.0.0.1/config",
                "virtual service \"10.0.0.1\" is not valid: IP:PORT, udp:IP:PORT, sctp:IP:PORT, \
                 fwmark:N or fwmark6:N is expected, with IPv6 addresses in brackets and numbers \
                 above 0",
            ),
            (
                "ipvs/lb-1/fwmark:1/single/[fe80::1%2]:80",
                "member \"[fe80::1%2]:80\" is not valid: IP:PORT is expected, with IPv6 \
                 addresses in brackets and a port above 0",
            ),
        ] {
            let key = format!("/lbManager/{below}");
            assert_eq!(refused(&key), format!("key {key:?}: {message}"));
        }
    }

    #[test]
    fn other_spellings_are_refused_with_the_canonical_one() {
        for (above, what, value, canonical, below) in [
            (
                "elb/us-east-1/web/single/",
                "member",
                "I-0123ABCD",
                "i-0123abcd",
                "",
            ),
            (
                "elbv2/us-east-1/web/single/",
                "member",
                "I-0123ABCD:080",
                "i-0123abcd:80",
                "",
            ),
            (
                "elbv2/us-east-1/web/single/",
                "member",
                "2001:DB8::7",
                "2001:db8::7",
                "",
            ),
            (
                "elbv2/us-east-1/web/single/",
                "member",
                "[2001:db8::0:7]:80",
                "[2001:db8::7]:80",
                "",
            ),
            (
                "route53/global/",
                "name",
                "Z1/WWW.example.com.",
                "Z1/www.example.com",
                "/config",
            ),
            (
                "ipvs/lb-1/",
                "virtual service",
                "[::ffff:10.0.0.1]:80",
                "10.0.0.1:80",
                "/config",
            ),
            (
                "ipvs/lb-1/10.0.0.1:80/multiple/",
                "member",
                "[::ffff:a00:1]:80",
                "10.0.0.1:80",
                "",
            ),
            (
                "elbv2/us-east-1/web/single/",
                "member",
                "::ffff:10.0.0.7",
                "10.0.0.7",
                "",
            ),
            (
                "route53/global/Z1/www.example.com/single/",
                "member",
                "::ffff:10.0.0.7",
                "10.0.0.7",
                "",
            ),
            (
                "ipvs/lb-1/",
                "virtual service",
                "tcp:10.0.0.1:80",
                "10.0.0.1:80",
                "/config",
            ),
        ] {
            let key = format!("/lbManager/{above}{value}{below}");
            assert_eq!(
                refused(&key),
                format!(
                    "key {key:?}: {what} {value:?} is not valid: \
                     only the canonical spelling names it: write {canonical:?}"
                )
            );
            let key = format!("/lbManager/{above}{canonical}{below}");
            assert!(tree().parse(&key).is_ok(), "{key}");
        }
    }

    #[test]
    fn people_may_leave_the_prefix_out() {
        let tree = tree();
        let key = "/lbManager/elb/us-east-1/web/multiple/i-0123abcd";
        for text in [key, "elb/us-east-1/web/multiple/i-0123abcd"] {
            assert_eq!(tree.complete(text), key);
        }
        for text in ["/lbManager/elb/us-east-1/web", "elb/us-east-1/web"] {
            let id = tree.balancer(text).unwrap();
            assert_eq!(tree.below(&id), "/lbManager/elb/us-east-1/web/");
        }
        assert!(tree.balancer("/other/elb/us-east-1/web").is_err());
    }

    #[test]
    fn a_key_without_its_prefix_names_the_same() {
        for below in [
            "config",
            "elb/us-east-1/web/config",
            "ipvs/lb-1/10.0.0.1:80/single/10.0.0.2:80",
        ] {
            let key = tree().complete(below);
            assert_eq!(below.parse(), tree().parse(&key));
        }
        let error = "elb/us-east-1/web".parse::<TreeKey>().unwrap_err();
        let expected = "key \"elb/us-east-1/web\" has 3 segments below the prefix; ";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn keys_elsewhere_are_not_of_this_tree() {
        for key in ["/lbManager", "/lbManager2/config", "config", ""] {
            assert_eq!(
                refused(key),
                format!("key {key:?} is not below \"/lbManager/\"")
            );
        }
    }

    #[test]
    fn a_prefix_is_a_path_that_nothing_else_lives_below() {
        for prefix in ["/lbManager", "/lbManager/", "/prod/lb//"] {
            let tree = Tree::new(prefix).unwrap();
            assert_eq!(tree.to_string(), prefix.trim_end_matches('/'));
        }
        for prefix in ["", "/", "lbManager", "/a//b", "/a\nb"] {
            assert_eq!(
                Tree::new(prefix).unwrap_err().to_string(),
                format!("prefix {prefix:?} is not valid: a path such as /lbManager is expected")
            );
        }
        for prefix in ["/lbManager-status/", "/lbManager-status/lb", "/a-status/b"] {
            let error = Tree::new(prefix).unwrap_err().to_string();
            assert!(error.contains("ends in -status"), "{error}");
        }
        for (prefix, taken) in [
            ("/launcher", "/launcher"),
            ("/service-monitor/x", "/service-monitor"),
        ] {
            assert_eq!(
                Tree::new(prefix).unwrap_err().to_string(),
                format!(
                    "prefix {prefix:?} is not valid: \
                     {taken}/ holds other keys of the scheme; choose another"
                )
            );
        }
        assert!(Tree::new("/launcher2").is_ok());
        for prefix in ["/two-status", "/two-status//", "/a/b-status"] {
            assert_eq!(
                Tree::new(prefix).unwrap_err().to_string(),
                format!(
                    "prefix {prefix:?} is not valid: a path without a segment that ends in \
                     -status is expected: managers report below the path of their tree with \
                     -status after it"
                )
            );
        }
    }
}
