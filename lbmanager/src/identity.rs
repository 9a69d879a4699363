//! What the state directory's content belongs to. Pure.

use std::fmt;

use presence::keys::Tree;
pub use presence::keys::status::ManagerRole as Role;
use presence::model::HostId;
use serde::{Deserialize, Serialize};

/// The owner of what a manager remembers, and of the virtual services that it
/// created. If any part differs, the memory is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// etcd's cluster ID.
    pub cluster: u64,
    /// The tree's prefix, without a slash at its end.
    pub prefix: String,
    /// The host ID.
    pub host: HostId,
    /// What the manager does.
    pub role: Role,
}

impl Identity {
    /// The identity of a manager of this tree.
    pub fn new(cluster: u64, tree: &Tree, host: &HostId, role: Role) -> Self {
        Self {
            cluster,
            prefix: tree.to_string(),
            host: host.clone(),
            role,
        }
    }
}

/// For messages, the part that is mistyped most often first.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            prefix,
            host,
            role,
        } = self;
        write!(
            f,
            "prefix {prefix}, host ID {host}, role {role}, etcd cluster {cluster:x}"
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let identity = Identity {
            cluster: u64::MAX,
            prefix: "/lbManager".to_owned(),
            host: "host-1".parse().unwrap(),
            role: Role::Ipvs,
        };
        let json = serde_json::to_string(&identity).unwrap();
        let expected = r#"{"cluster":18446744073709551615,"prefix":"/lbManager","host":"host-1","role":"ipvs"}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity);
        let shown = "prefix /lbManager, host ID host-1, role ipvs, etcd cluster ffffffffffffffff";
        assert_eq!(identity.to_string(), shown);
    }
}
