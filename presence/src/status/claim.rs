//! What a manager's claim of its host ID says.

use serde::{Deserialize, Serialize};

use crate::model::{Kind, Region};
use crate::process::VERSION;

/// The value of `…-status/managers/<host-id>/<role>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which machine it is: the kernel's boot ID. Machines that were cloned
    /// have the same `/etc/machine-id`, and most often the same host name.
    pub machine_id: String,
    /// Of lbmanager, with its commit.
    pub version: String,
    /// The kinds of load balancer that it manages.
    pub backends: Vec<String>,
    /// The regions of ipvs that it programs.
    pub regions: Vec<String>,
}

impl Claim {
    /// That of this version on this machine.
    pub fn new(
        machine_id: String,
        backends: impl IntoIterator<Item = Kind>,
        regions: &[Region],
    ) -> Self {
        let backends = backends.into_iter();
        Self {
            machine_id,
            version: VERSION.to_owned(),
            backends: backends.map(|kind| kind.as_str().to_owned()).collect(),
            regions: regions.iter().map(|one| one.as_str().to_owned()).collect(),
        }
    }

    /// As it stands in the key. `None`: it is none.
    pub fn parse(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    /// As it is to stand in the key.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings always can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_later_version_are_no_obstacle() {
        let json = br#"{"machine_id":"a","version":"9","backends":[],"regions":["edge"],"x":1}"#;
        assert_eq!(Claim::parse(json).unwrap().regions, ["edge"]);
    }
}
