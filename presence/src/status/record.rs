//! The status of one load balancer: what its readers see, and the ledger from
//! which a manager goes on after a restart. One JSON value in etcd.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::departure::Cause;
use crate::model::{Class, MemberId, Revision};

mod packed;

/// How many changes are remembered.
const CHANGES: usize = 20;

/// The status and ledger of one load balancer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The newest change of this load balancer's own keys that was applied.
    pub revision: Revision,
    /// Which manager wrote this.
    pub manager: String,
    /// The class in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The last options that could be read, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Map<String, Value>>,
    /// Everyone who is listed, registered, or was put there.
    #[serde(with = "packed")]
    pub members: LiteMap<MemberId, MemberRecord>,
    /// What was found when the load balancer was first looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// The open incident of expired leases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
    /// The `single` member that was not in service in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// The last release that was taken in, by the mod_revision of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<Revision>,
    /// What is wanted but not done, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<MemberId, Withheld>,
    /// What is wrong with the tree below this load balancer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// The last error, until a pass goes without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
    /// The last changes, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeRecord>,
}

/// What is known of one member.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberRecord {
    /// The mod_revision of its key. `None`: not in the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mod_revision: Option<Revision>,
    /// What the tree wants of it.
    pub wanted: Role,
    /// How it was when last looked at.
    pub state: State,
    /// The load balancer's words for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// This tree put it there, or was about to. Written before it is done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub placed: bool,
    /// Start of its time limit: when it was registered, or first seen
    /// registered and not in service, or when the load balancer began to check
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Timestamp>,
    /// The load balancer reports that registration is in progress: it has not
    /// begun to check it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
    /// Since when it gets no new connections because it leaves: IPVS, where
    /// that is for the manager to see to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiesced_at: Option<Timestamp>,
    /// The last options of its key that could be read, where not the defaults;
    /// boxed, because nearly all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Box<Map<String, Value>>>,
    /// Why it is to leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,
}

/// What the tree wants of a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// To serve.
    Serve,
    /// To stand by: `single`, and another serves.
    StandBy,
    /// To wait until its options can be read.
    Wait,
    /// To be out.
    #[default]
    Out,
}

/// How a member was when last looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In service.
    Serving,
    /// Registered, and still in its time to get in service.
    Registering,
    /// Registered, and not in service.
    OutOfService,
    /// On its way out.
    Draining,
    /// Refused by the load balancer.
    Rejected,
    /// Not there.
    #[default]
    Absent,
}

/// Why a member is to leave, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Why.
    pub reason: Reason,
    /// Since when this is known.
    pub since: Timestamp,
    /// The etcd revision of the change that caused it, or the newest revision
    /// known when its key was found to be missing.
    #[serde(default)]
    pub revision: Revision,
    /// Its lease expired, and since then nothing has reported its health.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unreported_since: Option<Timestamp>,
    /// An operator said to let it go.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub let_go: bool,
}

/// Why a member is to leave. What it does to the manner is one table, in the
/// `plan` of lbmanager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its key was deleted.
    Deleted,
    /// An operator drains it.
    Drain,
    /// Another `single` member serves now.
    Switched,
    /// It was to take over as `single` member, and was not in service in time.
    FailedToServe,
    /// Its key's lease ended.
    LeaseEnded,
    /// Its key vanished while nobody looked.
    Unknown,
    /// Neither listed, nor put there by this tree.
    Stranger,
    /// It says of itself that it is not ready.
    NotReady,
    /// It is listed, but in the class that is not in force.
    OtherClass,
}

impl Reason {
    /// Whether it is an expired lease, or counts as one.
    pub fn is_expiry(self) -> bool {
        matches!(self, Self::LeaseEnded | Self::Unknown)
    }
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Explicit => Self::Deleted,
            Cause::LeaseEnded => Self::LeaseEnded,
            Cause::Unknown => Self::Unknown,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deleted => "its key was deleted",
            Self::Drain => "an operator drains it",
            Self::Switched => "another single member serves now",
            Self::FailedToServe => "it was not in service in time",
            Self::LeaseEnded => "its lease ended",
            Self::Unknown => "its key vanished while nobody looked",
            Self::Stranger => "the tree does not list it, and did not put it there",
            Self::NotReady => "it is not ready",
            Self::OtherClass => "it is listed in the class that is not in force",
        })
    }
}

/// What was found at first contact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// When.
    pub at: Timestamp,
    /// How many served; where none did, how many were there.
    pub serving: usize,
    /// Who was there.
    pub found: BTreeSet<MemberId>,
    /// Who of them is counted in `serving`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub served: BTreeSet<MemberId>,
}

/// Expired leases of members of one load balancer that are close enough in time
/// to have one cause. It limits how many members may be removed for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The revision of the first expiry.
    pub revision: Revision,
    /// When the first expiry was seen.
    pub since: Timestamp,
    /// When the last expiry was seen.
    pub last: Timestamp,
    /// How many members served when it began. Members added later do not raise
    /// it.
    pub serving: usize,
    /// Members removed in it. A member whose key returns stays in here.
    pub removed: BTreeSet<MemberId>,
}

/// A `single` member that was not in service in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Who.
    pub member: MemberId,
    /// The mod_revision of its key then: writing the key again is another try.
    pub mod_revision: Revision,
}

/// Something that is wanted but not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Why it is wanted.
    pub reason: Reason,
    /// Why it is not done.
    pub why: String,
    /// When it will be done if nothing else happens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// An error and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// When it was first seen.
    pub at: Timestamp,
    /// In words.
    pub what: String,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub action: Action,
    /// How many members.
    pub count: usize,
    /// The first few of them.
    pub members: Vec<MemberId>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
}

/// What can be done to members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Put in.
    Register,
    /// Taken out.
    Deregister,
}

impl Record {
    /// Whether nothing was ever written into it.
    pub fn is_new(&self) -> bool {
        self.revision == Revision::default()
    }

    /// What the tree wants of this member.
    pub fn role(&self, member: &MemberId) -> Role {
        self.members
            .get(member)
            .map_or(Role::Out, |known| known.wanted)
    }

    /// Notes a change, and forgets the oldest. A repetition of the last one
    /// only updates its time.
    pub fn changed(
        &mut self,
        at: Timestamp,
        action: Action,
        who: &[MemberId],
        why: Option<Reason>,
    ) {
        let members: Vec<MemberId> = who.iter().take(10).cloned().collect();
        if let Some(last) = self.changes.last_mut()
            && (last.action, last.count, last.reason) == (action, who.len(), why)
            && last.members == members
        {
            last.at = at;
            return;
        }
        // Of many load balancers most have one.
        self.changes.reserve_exact(1);
        self.changes.push(ChangeRecord {
            at,
            action,
            count: who.len(),
            members,
            reason: why,
        });
        let surplus = self.changes.len().saturating_sub(CHANGES);
        self.changes.drain(..surplus);
    }

    /// Notes an error; one that was noted already keeps its time, so that a
    /// status that did not change is not written.
    pub fn failed_with(&mut self, at: Timestamp, what: String) {
        if self.error.as_ref().is_none_or(|error| error.what != what) {
            self.error = Some(ErrorRecord { at, what });
        }
    }

    /// Moves times that lie in the future to `now`: they are from another
    /// clock, or from before a clock was set back.
    pub fn clamp_times(&mut self, now: Timestamp) {
        let clamp = |time: &mut Timestamp| *time = now.min(*time);
        for (_, known) in self.members.iter_mut() {
            known.registered_at.iter_mut().for_each(clamp);
            known.quiesced_at.iter_mut().for_each(clamp);
            if let Some(removal) = &mut known.removal {
                clamp(&mut removal.since);
                removal.unreported_since.iter_mut().for_each(clamp);
            }
        }
        if let Some(incident) = &mut self.incident {
            clamp(&mut incident.since);
            clamp(&mut incident.last);
        }
        if let Some(contact) = &mut self.contact {
            clamp(&mut contact.at);
        }
    }

    /// As it is written to etcd.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and numbers always make JSON")
    }

    /// As it was written to etcd.
    pub fn from_json(value: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }
}

impl MemberRecord {
    /// Its key is gone.
    pub fn leaves(&mut self, reason: Reason, revision: Revision, now: Timestamp) {
        self.mod_revision = None;
        self.wanted = Role::Out;
        self.options = None;
        self.is_to_leave(reason, revision, now);
    }

    /// It is to leave for this reason, because of the change at that revision;
    /// if that is no news, since it was.
    pub fn is_to_leave(&mut self, reason: Reason, revision: Revision, now: Timestamp) {
        if self.removal.is_none_or(|before| before.reason != reason) {
            self.removal = Some(Removal {
                reason,
                since: now,
                revision,
                unreported_since: None,
                let_go: false,
            });
        }
    }
}
