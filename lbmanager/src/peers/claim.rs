//! What a claim of a host ID says, and what an existing one means. Pure.
//!
//! Status records of virtual services and a host's own region go by the host
//! ID, so two machines with the same would undo each other's work.

use presence::keys;
use presence::model::{HostId, Kind, LeaseId, Region};
use presence::process::VERSION;
use presence::store::{Condition, Entry};
use serde::{Deserialize, Serialize};

/// The value of `/lbManager-status/managers/<host-id>`.
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

/// The host ID is another machine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host ID {host} is taken by another machine (machine_id {other}, this one has {own}; \
     etcd key {key}): give each machine a host name or a --host-id of its own; if there is no \
     such machine any more, delete the key with `etcdctl del {key}`",
    key = keys::status::manager(host)
)]
pub struct Taken {
    /// The host ID.
    pub host: HostId,
    /// The machine that has it.
    pub other: String,
    /// This machine.
    pub own: String,
}

/// What an existing claim means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is this process's.
    Ours,
    /// It may be written on this condition.
    Free(Condition),
    /// Another process of this machine has it; when it ends, it is free.
    Neighbours,
    /// Another machine has it: this one.
    Others(String),
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

    /// What is found in the key means this, for a process whose claim is on
    /// this lease. One that has just started takes over from another process of
    /// its machine, which is most often its own predecessor.
    pub fn judge(&self, found: Option<&Entry>, lease: Option<LeaseId>, starts: bool) -> Verdict {
        let Some(entry) = found else {
            return Verdict::Free(Condition::Absent);
        };
        let unchanged = Condition::ModRevision(entry.mod_revision);
        match Self::parse(&entry.value) {
            // What is no claim claims nothing.
            None => Verdict::Free(unchanged),
            Some(other) if other.machine_id != self.machine_id => Verdict::Others(other.machine_id),
            Some(other) if lease.is_some() && entry.lease == lease => {
                if other == *self {
                    Verdict::Ours
                } else {
                    Verdict::Free(unchanged)
                }
            }
            Some(_) if starts => Verdict::Free(unchanged),
            Some(_) => Verdict::Neighbours,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use presence::model::Revision;

    use super::*;

    fn claim(machine: &str) -> Claim {
        Claim::new(machine.to_owned(), [Kind::Ipvs], &[])
    }

    fn entry(claim: &Claim, lease: i64) -> Entry {
        Entry {
            value: claim.to_json().into(),
            create_revision: Revision(3),
            mod_revision: Revision(7),
            lease: Some(LeaseId(lease)),
        }
    }

    #[test]
    fn a_claim_belongs_to_who_wrote_it() {
        let (own, other) = (claim("a"), claim("b"));
        let lease = Some(LeaseId(1));
        let unchanged = Verdict::Free(Condition::ModRevision(Revision(7)));
        let absent = Verdict::Free(Condition::Absent);
        for starts in [true, false] {
            assert_eq!(own.judge(None, lease, starts), absent);
            let ours = entry(&own, 1);
            assert_eq!(own.judge(Some(&ours), lease, starts), Verdict::Ours);
            let theirs = entry(&other, 2);
            let verdict = own.judge(Some(&theirs), lease, starts);
            assert_eq!(verdict, Verdict::Others("b".to_owned()));
            let garbage = Entry {
                value: b"true".as_slice().into(),
                ..entry(&own, 2)
            };
            assert_eq!(own.judge(Some(&garbage), lease, starts), unchanged);
        }
        let neighbours = entry(&own, 2);
        assert_eq!(own.judge(Some(&neighbours), lease, true), unchanged);
        assert_eq!(own.judge(Some(&neighbours), None, true), unchanged);
        let verdict = own.judge(Some(&neighbours), lease, false);
        assert_eq!(verdict, Verdict::Neighbours);
        // Somebody wrote something else on our lease.
        let changed = entry(&Claim::new("a".to_owned(), [], &[]), 1);
        assert_eq!(own.judge(Some(&changed), lease, false), unchanged);
    }

    #[test]
    fn fields_of_a_later_version_are_no_obstacle() {
        let json = br#"{"machine_id":"a","version":"9","backends":[],"regions":["edge"],"x":1}"#;
        assert_eq!(Claim::parse(json).unwrap().regions, ["edge"]);
    }
}
