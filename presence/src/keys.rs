//! Every key of the scheme, parsed and encoded. Nothing else in the three
//! binaries puts a key together from pieces.

use std::fmt;

use crate::model::{BalancerId, Class, InvalidName, Kind, MemberKey};

/// The default of `--prefix`.
pub const DEFAULT_PREFIX: &str = "/lbManager";

/// Where the managers report. Not below the tree, so that a watch of the tree
/// does not see its own echo.
pub const STATUS_ROOT: &str = "/lbManager-status";

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

/// A key below the prefix that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form.
    #[error(
        "key {key:?} has {found} segments below the prefix; \
         <type>/<region>/<name>/<class>/<member> or <type>/<region>/<name>/config is expected{hint}"
    )]
    Depth {
        /// The key as it is.
        key: String,
        /// How many it has.
        found: usize,
        /// What is special about this kind of load balancer, or nothing.
        hint: &'static str,
    },
    /// Of the form, but a part of it is not valid.
    #[error("key {key:?}: {source}")]
    Part {
        /// The key as it is.
        key: String,
        /// Which part, and what is allowed.
        source: InvalidName,
    },
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
        if root == STATUS_ROOT {
            let allowed = "this is where the managers report; the tree must be elsewhere";
            return Err(InvalidName::new("prefix", prefix, allowed));
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// What to list and to watch.
    pub fn prefix(&self) -> String {
        format!("{}/", self.root)
    }

    /// What to list for the config and the members of one load balancer.
    pub fn below(&self, id: &BalancerId) -> String {
        format!("{}/{id}/", self.root)
    }

    /// A load balancer by what a person writes: its key, or that without the
    /// prefix.
    pub fn balancer(&self, text: &str) -> Result<BalancerId, InvalidName> {
        text.strip_prefix(&self.prefix()).unwrap_or(text).parse()
    }

    /// The key of what is named.
    pub fn key(&self, what: &TreeKey) -> String {
        match what {
            TreeKey::Config => format!("{}/config", self.root),
            TreeKey::BalancerConfig(id) => format!("{}/{id}/config", self.root),
            TreeKey::Member(member) => format!("{}/{member}", self.root),
        }
    }

    /// What the key names. The prefix may be missing.
    pub fn parse(&self, key: &str) -> Result<TreeKey, KeyError> {
        let below = key
            .strip_prefix(&self.root)
            .and_then(|rest| rest.strip_prefix('/'));
        let segments: Vec<&str> = below.unwrap_or(key).split('/').collect();
        if below.is_some() && segments == ["config"] {
            return Ok(TreeKey::Config);
        }
        let part = |source| KeyError::Part {
            key: key.to_owned(),
            source,
        };
        let depth = |kind: Option<Kind>| KeyError::Depth {
            key: key.to_owned(),
            found: segments.len(),
            hint: match kind {
                Some(Kind::Route53) => "; the name of a route53 one is <zone-id>/<fqdn>",
                _ => "",
            },
        };
        let (Some(kind), Some(region)) = (segments.first(), segments.get(1)) else {
            return Err(depth(None));
        };
        let kind: Kind = kind.parse().map_err(part)?;
        let rest = &segments[2..];
        let names = kind.name_segments();
        let last = match rest.len().checked_sub(names) {
            Some(1 | 2) => &rest[names..],
            _ => return Err(depth(Some(kind))),
        };
        let balancer = BalancerId::new(kind, region, &rest[..names].join("/")).map_err(part)?;
        match *last {
            ["config"] => Ok(TreeKey::BalancerConfig(balancer)),
            [class, member] => {
                let class: Class = class.parse().map_err(part)?;
                let member = balancer.member(member).map_err(part)?;
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

/// Keys below [`STATUS_ROOT`].
pub mod status {
    use super::{BalancerId, STATUS_ROOT};

    /// What to list and to watch for the status of all load balancers.
    pub fn balancers_prefix() -> String {
        format!("{STATUS_ROOT}/lb/")
    }

    /// The status of a load balancer that is the same for every host.
    pub fn balancer(id: &BalancerId) -> String {
        format!("{STATUS_ROOT}/lb/{id}")
    }

    /// The load balancer that a status key is about.
    pub fn parse_balancer(key: &str) -> Option<BalancerId> {
        key.strip_prefix(&balancers_prefix())?.parse().ok()
    }

    /// What to list and to watch for operators' releases.
    pub fn releases_prefix() -> String {
        format!("{STATUS_ROOT}/release/")
    }

    /// An operator's "let it go" for one load balancer.
    pub fn release(id: &BalancerId) -> String {
        format!("{STATUS_ROOT}/release/{id}")
    }

    /// An operator's "let it go" for everything, replaced history included.
    pub fn release_all() -> String {
        format!("{STATUS_ROOT}/release/all")
    }

    /// The presence of a manager.
    pub fn manager(host_id: &str) -> String {
        format!("{STATUS_ROOT}/managers/{host_id}")
    }
}
