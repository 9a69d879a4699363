//! What an existing claim of a host ID means. Pure.
//!
//! Status records of virtual services and a host's own region go by the host
//! ID, so two machines with the same would undo each other's work.

use presence::model::{HostId, LeaseId};
use presence::status::Claim;
use presence::store::{Condition, Entry};

/// The host ID is another machine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host ID {host} is claimed by another machine (machine_id {other}, this one has {own}; \
     etcd key {key}): give each machine a host name or a --host-id of its own; if that machine no \
     longer exists, delete the key with `etcdctl del {key}`"
)]
pub struct Taken {
    /// The host ID.
    pub host: HostId,
    /// The key of the claim.
    pub key: String,
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

/// What is found in the key means this, for a process with this claim, on
/// this lease. One that has just started takes over from another process of
/// its machine, which is most often its own predecessor.
pub fn judge(own: &Claim, found: Option<&Entry>, lease: Option<LeaseId>, starts: bool) -> Verdict {
    let Some(entry) = found else {
        return Verdict::Free(Condition::Absent);
    };
    let unchanged = Condition::ModRevision(entry.mod_revision);
    match Claim::parse(&entry.value) {
        // What is no claim claims nothing.
        None => Verdict::Free(unchanged),
        Some(other) if other.machine_id != own.machine_id => Verdict::Others(other.machine_id),
        Some(other) if lease.is_some() && entry.lease == lease => {
            if other == *own {
                Verdict::Ours
            } else {
                Verdict::Free(unchanged)
            }
        }
        Some(_) if starts => Verdict::Free(unchanged),
        Some(_) => Verdict::Neighbours,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use presence::model::{Kind, Revision};

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
            assert_eq!(judge(&own, None, lease, starts), absent);
            let ours = entry(&own, 1);
            assert_eq!(judge(&own, Some(&ours), lease, starts), Verdict::Ours);
            let theirs = entry(&other, 2);
            let verdict = judge(&own, Some(&theirs), lease, starts);
            assert_eq!(verdict, Verdict::Others("b".to_owned()));
            let garbage = Entry {
                value: b"true".as_slice().into(),
                ..entry(&own, 2)
            };
            assert_eq!(judge(&own, Some(&garbage), lease, starts), unchanged);
        }
        let neighbours = entry(&own, 2);
        assert_eq!(judge(&own, Some(&neighbours), lease, true), unchanged);
        assert_eq!(judge(&own, Some(&neighbours), None, true), unchanged);
        let verdict = judge(&own, Some(&neighbours), lease, false);
        assert_eq!(verdict, Verdict::Neighbours);
        // Somebody wrote something else on our lease.
        let changed = entry(&Claim::new("a".to_owned(), [], &[]), 1);
        assert_eq!(judge(&own, Some(&changed), lease, false), unchanged);
    }
}
