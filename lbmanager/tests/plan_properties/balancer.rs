//! A load balancer: who is registered, and how each is doing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lbmanager::observed::{Condition, Observed};
use presence::model::MemberId;

/// Healthy threshold times interval.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// How long a member that was taken out finishes its connections.
const DRAIN: Duration = Duration::from_secs(20);

/// One load balancer, and the machines that may be its members.
pub struct Balancer {
    members: BTreeMap<MemberId, Registration>,
    /// How long each machine takes to be in service; `None`: for ever.
    pub delays: BTreeMap<MemberId, Option<Duration>>,
    /// Machines that fail their health checks for now.
    pub sick: BTreeSet<MemberId>,
    /// Machines of which the load balancer does not know how they are.
    pub vague: BTreeSet<MemberId>,
    /// Machines that the load balancer refuses.
    pub refused: BTreeSet<MemberId>,
    pub readable: bool,
}

#[derive(Clone, Copy)]
struct Registration {
    since: Timestamp,
    leaves_at: Option<Timestamp>,
}

impl Balancer {
    pub fn new(delays: BTreeMap<MemberId, Option<Duration>>) -> Self {
        Self {
            members: BTreeMap::new(),
            delays,
            sick: BTreeSet::new(),
            vague: BTreeSet::new(),
            refused: BTreeSet::new(),
            readable: true,
        }
    }

    /// What was drained for long enough is gone.
    pub fn tick(&mut self, now: Timestamp) {
        self.members
            .retain(|_, registration| registration.leaves_at.is_none_or(|at| at > now));
    }

    pub fn register(&mut self, member: &MemberId, now: Timestamp) {
        let registration = self.members.get(member);
        if registration.is_some_and(|registration| registration.leaves_at.is_none()) {
            return;
        }
        let registration = Registration {
            since: now,
            leaves_at: None,
        };
        self.members.insert(member.clone(), registration);
    }

    pub fn deregister(&mut self, member: &MemberId, now: Timestamp) {
        if let Some(registration) = self.members.get_mut(member) {
            registration.leaves_at.get_or_insert(after(now, DRAIN));
        }
    }

    fn in_service_at(&self, member: &MemberId) -> Option<Timestamp> {
        let registration = self.members.get(member)?;
        let delay = self.delays.get(member).copied().flatten()?;
        let able = registration.leaves_at.is_none()
            && !self.sick.contains(member)
            && !self.vague.contains(member);
        able.then(|| after(registration.since, delay))
    }

    fn condition(&self, member: &MemberId, now: Timestamp) -> Condition {
        if self.members[member].leaves_at.is_some() {
            return Condition::Draining;
        }
        if self.vague.contains(member) {
            return Condition::Unknown("transient error".to_owned());
        }
        match self.in_service_at(member) {
            Some(at) if at <= now => Condition::InService,
            _ => Condition::OutOfService("fails its health check".to_owned()),
        }
    }

    /// Registered and not draining: what a describe tells.
    pub fn registered(&self) -> BTreeSet<MemberId> {
        let members = self.members.iter();
        members
            .filter(|(_, registration)| registration.leaves_at.is_none())
            .map(|(member, _)| member.clone())
            .collect()
    }

    /// Registered or draining.
    pub fn holds(&self, member: &MemberId) -> bool {
        self.members.contains_key(member)
    }

    /// As it is, health included.
    pub fn observe(&self, now: Timestamp) -> Observed {
        if !self.readable {
            let unsaid = |member| (member, Condition::Unknown("not said".to_owned()));
            return Observed {
                members: self.registered().into_iter().map(unsaid).collect(),
                healthy_after: HEALTHY_AFTER,
                unreadable: Some("access denied".to_owned()),
            };
        }
        let members = self.members.keys();
        Observed {
            members: members
                .map(|member| (member.clone(), self.condition(member, now)))
                .collect(),
            healthy_after: HEALTHY_AFTER,
            unreadable: None,
        }
    }

    /// When something changes by itself.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let members = self.members.iter();
        members
            .flat_map(|(member, registration)| [registration.leaves_at, self.in_service_at(member)])
            .flatten()
            .filter(|at| *at > now)
            .min()
    }
}

/// The time that long after `at`.
pub fn after(at: Timestamp, wait: Duration) -> Timestamp {
    at + wait
}
