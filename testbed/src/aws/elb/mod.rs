//! Classic load balancers: the state of all regions.

mod balancer;
mod operations;
mod render;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

pub use self::balancer::{Health, HealthCheck, HealthState};
pub(super) use self::balancer::{LoadBalancer, Log};
pub(super) use self::operations::{NAMESPACE, VERSION, call, page_of};
pub use self::timeline::{Change, Event, Timeline};

/// Region and name.
pub(super) type Key = (String, String);

/// A name's load balancer, and what happened to it and those that had the name before.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub balancer: Option<LoadBalancer>,
    pub timeline: Timeline,
}

impl Slot {
    /// Runs `change` on the load balancer, if there is one.
    pub(super) fn change<T>(
        &mut self,
        now: Instant,
        call: Option<u64>,
        change: impl FnOnce(&mut LoadBalancer, &mut Log<'_>) -> T,
    ) -> Option<T> {
        let log = &mut Log {
            timeline: &mut self.timeline,
            now,
            call,
        };
        self.balancer.as_mut().map(|balancer| change(balancer, log))
    }
}

/// An instance as EC2 knows it.
#[derive(Debug, Clone)]
pub(super) struct Ec2Instance {
    pub zone: Option<String>,
    pub running: bool,
}

/// All load balancers, and the instances there are.
#[derive(Debug, Default)]
pub(super) struct Elb {
    pub slots: BTreeMap<Key, Slot>,
    pub strict_instances: bool,
    pub instances: BTreeMap<String, Ec2Instance>,
}

impl Elb {
    pub(super) fn get(&self, region: &str, name: &str) -> Option<&LoadBalancer> {
        self.slots
            .get(&(region.to_owned(), name.to_owned()))?
            .balancer
            .as_ref()
    }

    pub(super) fn slot(&mut self, region: &str, name: &str) -> &mut Slot {
        self.slots
            .entry((region.to_owned(), name.to_owned()))
            .or_default()
    }

    /// Load balancers of one region, by name.
    pub(super) fn of_region<'a>(
        &'a self,
        region: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a LoadBalancer)> {
        let first = (region.to_owned(), String::new());
        let slots = self
            .slots
            .range(first..)
            .take_while(move |((of, _), _)| of == region);
        slots.filter_map(|((_, name), slot)| Some((name.as_str(), slot.balancer.as_ref()?)))
    }

    /// Whether an instance exists, as far as that is looked at.
    pub(super) fn exists(&self, id: &str) -> bool {
        !self.strict_instances || self.instances.contains_key(id)
    }

    /// Whether an instance may be registered.
    pub(super) fn is_running(&self, id: &str) -> bool {
        !self.strict_instances
            || self
                .instances
                .get(id)
                .is_some_and(|instance| instance.running)
    }

    pub(super) fn register(&mut self, key: &Key, ids: &[String], now: Instant, call: Option<u64>) {
        let zone_of = |id: &String| {
            self.instances
                .get(id)
                .and_then(|instance| instance.zone.clone())
        };
        let zones: Vec<Option<String>> = ids.iter().map(zone_of).collect();
        self.slot(&key.0, &key.1)
            .change(now, call, |balancer, log| {
                for (id, zone) in ids.iter().zip(zones) {
                    let wrong_zone = zone.is_some_and(|zone| !balancer.zones.contains(&zone));
                    balancer.register(id, wrong_zone, log);
                }
            });
    }

    pub(super) fn deregister(
        &mut self,
        key: &Key,
        ids: &[String],
        now: Instant,
        call: Option<u64>,
    ) {
        self.slot(&key.0, &key.1)
            .change(now, call, |balancer, log| {
                for id in ids {
                    balancer.deregister(id, log);
                }
            });
    }

    /// Deletes a load balancer, and with it what is registered.
    pub(super) fn delete(&mut self, key: &Key, now: Instant, call: Option<u64>) {
        let slot = self.slot(&key.0, &key.1);
        slot.change(now, call, |balancer, log| {
            balancer.draining = false;
            for id in balancer.registered() {
                balancer.deregister(&id, log);
            }
        });
        slot.balancer = None;
    }

    /// Ends all draining whose time is over.
    pub(super) fn settle(&mut self, now: Instant) {
        for slot in self.slots.values_mut() {
            slot.change(now, None, |balancer, log| balancer.settle(None, log));
        }
    }

    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.slots
            .values()
            .filter_map(|slot| slot.balancer.as_ref()?.next_due(now))
            .min()
    }

    /// For the reader of a failed test: what each load balancer has.
    pub(super) fn summary(&self, now: Instant) -> String {
        let present = self
            .slots
            .iter()
            .filter_map(|(key, slot)| Some((key, slot.balancer.as_ref()?)));
        let lines = present.map(|((region, name), balancer)| {
            let (registered, serving) = (balancer.registered(), balancer.in_service(now));
            format!("{region}/{name}: registered {registered:?}, in service {serving:?}")
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    fn unknown(&self, ids: &[String], known: impl Fn(&Self, &str) -> bool) -> BTreeSet<String> {
        ids.iter().filter(|id| !known(self, id)).cloned().collect()
    }
}
