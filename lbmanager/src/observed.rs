//! What a load balancer says of itself.

use std::collections::BTreeSet;
use std::time::Duration;

use litemap::LiteMap;
use presence::model::MemberId;

/// What one describe tells: who is registered, and the settings that say how
/// long a new member takes. Nothing of health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Who is registered.
    pub registered: BTreeSet<MemberId>,
    /// How long a healthy member takes to be in service: healthy threshold
    /// times interval.
    pub healthy_after: Duration,
}

/// What the load balancer says of the health of who is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As it says.
    Read(LiteMap<MemberId, Condition>),
    /// It does not say: access denied, for one.
    Unreadable(String),
}

/// How a registered member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It gets traffic.
    InService,
    /// It does not, and why, in the load balancer's words.
    OutOfService(String),
    /// It was registered, and the load balancer has not begun to check it, in
    /// its words.
    Registering(String),
    /// It was deregistered, and finishes the connections that it has.
    Draining,
    /// The load balancer does not know, in its words.
    Unknown(String),
    /// Its health could not be read.
    Unread,
}

/// What is known of a load balancer when a plan is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Everyone who is registered or draining.
    pub members: LiteMap<MemberId, Condition>,
    /// See [`Described::healthy_after`].
    pub healthy_after: Duration,
    /// Why health could not be read, if so. The condition of those that are
    /// [`Condition::Unread`] is then assumed.
    pub unreadable: Option<String>,
}

impl Observed {
    /// Members that get traffic.
    pub fn serving(&self) -> BTreeSet<MemberId> {
        let members = self.members.iter();
        members
            .filter(|(_, condition)| **condition == Condition::InService)
            .map(|(member, _)| member.clone())
            .collect()
    }

    /// Members that get traffic, or may: the load balancer does not know.
    pub fn may_serve(&self) -> BTreeSet<MemberId> {
        let members = self.members.iter();
        members
            .filter(|(_, is)| {
                matches!(
                    is,
                    Condition::InService | Condition::Unknown(_) | Condition::Unread
                )
            })
            .map(|(member, _)| member.clone())
            .collect()
    }

    /// Members whose loss would be felt: those that serve, and where none does,
    /// all. A load balancer may be starting, or send traffic to all then.
    pub fn relied_on(&self) -> BTreeSet<MemberId> {
        let serving = self.serving();
        if serving.is_empty() {
            let all = self.members.keys();
            return all.filter(|id| self.registered(id)).cloned().collect();
        }
        serving
    }

    /// Whether it gets traffic.
    pub fn serves(&self, member: &MemberId) -> bool {
        self.members.get(member) == Some(&Condition::InService)
    }

    /// Whether it is registered and not on its way out.
    pub fn registered(&self, member: &MemberId) -> bool {
        !matches!(self.members.get(member), None | Some(Condition::Draining))
    }

    /// How long a new member may take to be in service: what the health check
    /// needs, plus half.
    pub fn patience(&self) -> Duration {
        self.healthy_after.mul_f64(1.5)
    }
}
