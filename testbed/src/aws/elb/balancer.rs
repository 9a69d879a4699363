//! One classic load balancer: its settings, its instances and their health.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::timeline::{Change, Event, Timeline};

/// What DescribeInstanceHealth says of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthState {
    /// `InService`, `OutOfService` or `Unknown`.
    pub state: String,
    /// `ELB`, `Instance` or `N/A`.
    pub reason_code: String,
    /// The text that AWS has for it.
    pub description: String,
}

impl HealthState {
    /// A state of these three words.
    pub fn new(state: &str, reason_code: &str, description: &str) -> Self {
        Self {
            state: state.to_owned(),
            reason_code: reason_code.to_owned(),
            description: description.to_owned(),
        }
    }

    pub(super) fn in_service() -> Self {
        Self::new("InService", "N/A", "N/A")
    }

    pub(super) fn draining() -> Self {
        Self::new(
            "InService",
            "N/A",
            "Instance deregistration currently in progress.",
        )
    }

    pub(super) fn not_registered() -> Self {
        let description = "Instance is not currently registered with the LoadBalancer.";
        Self::new("OutOfService", "Instance", description)
    }

    fn in_progress() -> Self {
        Self::new(
            "OutOfService",
            "ELB",
            "Instance registration is still in progress.",
        )
    }

    fn failing() -> Self {
        let description = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.";
        Self::new("OutOfService", "Instance", description)
    }

    pub(super) fn wrong_zone() -> Self {
        let description = "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to \
                           route traffic to.";
        Self::new("OutOfService", "ELB", description)
    }
}

/// How the health of an instance is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// In service so long after it is registered, or after this is set if that is later.
    After(Duration),
    /// Never in service: it fails its health checks.
    Never,
    /// Never in service, for a reason of your own.
    Fixed(HealthState),
}

/// The health check that a load balancer is set up with; only described, never run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Such as `HTTP:8080/healthz`.
    pub target: String,
    /// Seconds between two checks.
    pub interval: u32,
    /// Seconds after which a check has failed.
    pub timeout: u32,
    /// So many failures in a row are unhealthy.
    pub unhealthy_threshold: u32,
    /// So many successes in a row are healthy.
    pub healthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            target: "TCP:80".to_owned(),
            interval: 30,
            timeout: 5,
            unhealthy_threshold: 2,
            healthy_threshold: 10,
        }
    }
}

#[derive(Debug, Clone)]
struct Registration {
    in_service_from: Option<Instant>,
    otherwise: HealthState,
}

#[derive(Debug, Clone)]
struct Leaving {
    until: Instant,
    registration: Registration,
}

#[derive(Debug, Clone)]
pub(in crate::aws) struct LoadBalancer {
    pub zones: BTreeSet<String>,
    pub health_check: HealthCheck,
    pub health_delay: Duration,
    pub draining: bool,
    pub draining_timeout: Duration,
    pub list_draining: bool,
    pub cross_zone: bool,
    pub created: SystemTime,
    /// Left out by DescribeInstanceHealth when not asked for.
    pub without_health: BTreeSet<String>,
    overrides: BTreeMap<String, Health>,
    registered: BTreeMap<String, Registration>,
    leaving: BTreeMap<String, Leaving>,
}

impl LoadBalancer {
    pub(in crate::aws) fn new(zones: impl IntoIterator<Item = String>) -> Self {
        Self {
            zones: zones.into_iter().collect(),
            health_check: HealthCheck::default(),
            health_delay: Duration::ZERO,
            draining: false,
            draining_timeout: Duration::from_mins(5),
            list_draining: false,
            cross_zone: false,
            created: SystemTime::now(),
            without_health: BTreeSet::new(),
            overrides: BTreeMap::new(),
            registered: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    pub(in crate::aws) fn registered(&self) -> BTreeSet<String> {
        self.registered.keys().cloned().collect()
    }

    pub(in crate::aws) fn leaving(&self) -> BTreeSet<String> {
        self.leaving.keys().cloned().collect()
    }

    pub(in crate::aws) fn in_service(&self, now: Instant) -> BTreeSet<String> {
        let registered = self.registered.iter();
        registered
            .filter(|(_, r)| r.in_service_from.is_some_and(|from| from <= now))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// What DescribeLoadBalancers lists.
    pub(super) fn listed(&self) -> BTreeSet<String> {
        let mut listed = self.registered();
        if self.list_draining {
            listed.extend(self.leaving());
        }
        listed
    }

    /// What DescribeInstanceHealth lists when not asked for some.
    pub(super) fn known(&self) -> BTreeSet<String> {
        let mut known = self.registered();
        known.extend(self.leaving());
        known.retain(|id| !self.without_health.contains(id));
        known
    }

    /// `None` for an instance that is neither registered nor draining.
    pub(super) fn state(&self, id: &str, now: Instant) -> Option<HealthState> {
        let Some(registration) = self.registered.get(id) else {
            return self.leaving.contains_key(id).then(HealthState::draining);
        };
        let in_service = registration.in_service_from.is_some_and(|from| from <= now);
        Some(if in_service {
            HealthState::in_service()
        } else {
            registration.otherwise.clone()
        })
    }

    /// `wrong_zone`: whether the instance is in a zone that is not served.
    pub(super) fn register(&mut self, id: &str, wrong_zone: bool, log: &mut Log<'_>) {
        if self.registered.contains_key(id) {
            return;
        }
        let (change, registration) = match self.leaving.remove(id) {
            Some(leaving) => (Change::Revived, leaving.registration),
            None => (Change::Registered, self.health_of(id, wrong_zone, log.now)),
        };
        log.push(id, change, registration.in_service_from);
        self.registered.insert(id.to_owned(), registration);
    }

    pub(in crate::aws) fn deregister(&mut self, id: &str, log: &mut Log<'_>) {
        let Some(registration) = self.registered.remove(id) else {
            return;
        };
        log.push(id, Change::Deregistered, None);
        // Without requests there is nothing to drain.
        let serves = registration
            .in_service_from
            .is_some_and(|from| from <= log.now);
        if self.draining && serves {
            let until = log.now + self.draining_timeout;
            self.leaving.insert(
                id.to_owned(),
                Leaving {
                    until,
                    registration,
                },
            );
        }
    }

    pub(in crate::aws) fn set_health(&mut self, id: &str, health: Health, log: &mut Log<'_>) {
        self.overrides.insert(id.to_owned(), health);
        if self.registered.contains_key(id) {
            let registration = self.health_of(id, false, log.now);
            log.push(id, Change::HealthSet, registration.in_service_from);
            self.registered.insert(id.to_owned(), registration);
        }
    }

    /// Ends the draining of those whose time is over, or of one before its time.
    pub(in crate::aws) fn settle(&mut self, early: Option<&str>, log: &mut Log<'_>) {
        let now = log.now;
        let over = |id: &str, leaving: &Leaving| leaving.until <= now || early == Some(id);
        let done = self.leaving.extract_if(.., |id, leaving| over(id, leaving));
        let mut done: Vec<(Instant, String)> = done
            .map(|(id, leaving)| (leaving.until.min(now), id))
            .collect();
        done.sort_unstable();
        for (at, id) in done {
            log.now = at;
            log.push(&id, Change::Drained, None);
        }
        log.now = now;
    }

    /// When something changes next by the clock alone.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let healthy = self
            .registered
            .values()
            .filter_map(|registration| registration.in_service_from);
        let drained = self.leaving.values().map(|leaving| leaving.until);
        healthy.chain(drained).filter(|due| *due > now).min()
    }

    fn health_of(&self, id: &str, wrong_zone: bool, now: Instant) -> Registration {
        let after = |delay| Registration {
            in_service_from: Some(now + delay),
            otherwise: HealthState::in_progress(),
        };
        let never = |otherwise| Registration {
            in_service_from: None,
            otherwise,
        };
        match self.overrides.get(id) {
            Some(Health::Fixed(state)) => never(state.clone()),
            Some(Health::Never) => never(HealthState::failing()),
            _ if wrong_zone => never(HealthState::wrong_zone()),
            Some(Health::After(delay)) => after(*delay),
            None => after(self.health_delay),
        }
    }
}

/// Where changes of one load balancer are written, with what they have in common.
pub(in crate::aws) struct Log<'a> {
    pub timeline: &'a mut Timeline,
    pub now: Instant,
    pub call: Option<u64>,
}

impl Log<'_> {
    fn push(&mut self, id: &str, change: Change, in_service_from: Option<Instant>) {
        self.timeline.events.push(Event {
            at: self.now,
            wall: SystemTime::now(),
            instance: id.to_owned(),
            change,
            in_service_from,
            call: self.call,
        });
    }
}
