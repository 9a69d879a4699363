//! What tests do to load balancers and instances from outside, as if by another hand.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Aws;
use super::elb::{Ec2Instance, Health, HealthCheck, Key, LoadBalancer, Log, Timeline};

/// One load balancer of the simulator. Nothing done here counts as a call.
#[derive(Debug, Clone)]
pub struct LbHandle {
    aws: Aws,
    key: Key,
}

#[allow(
    clippy::return_self_not_must_use,
    reason = "what they set is set at once"
)]
impl LbHandle {
    pub(super) fn new(aws: Aws, region: &str, name: &str) -> Self {
        Self {
            aws,
            key: (region.to_owned(), name.to_owned()),
        }
    }

    /// Makes it anew; one of the name that is there goes, its timeline stays.
    pub(super) fn create(self) -> Self {
        self.aws.shared.write(|world| {
            let now = Instant::now();
            world.elb.delete(&self.key, now, None);
            let zone = format!("{}a", self.key.0);
            world.elb.slot(&self.key.0, &self.key.1).balancer = Some(LoadBalancer::new([zone]));
        });
        self
    }

    /// Its availability zones; at first the one that ends in `a`.
    pub fn zones(self, zones: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.set(|lb| lb.zones = zones.into_iter().map(Into::into).collect())
    }

    /// How long from being registered to being in service, for those registered from now on; at
    /// first no time at all.
    pub fn health_delay(self, delay: Duration) -> Self {
        self.set(|lb| lb.health_delay = delay)
    }

    /// Switches connection draining on; at first it is off.
    pub fn draining(self, timeout: Duration) -> Self {
        self.set(|lb| (lb.draining, lb.draining_timeout) = (true, timeout))
    }

    /// Switches connection draining off.
    pub fn no_draining(self) -> Self {
        self.set(|lb| lb.draining = false)
    }

    /// Whether DescribeLoadBalancers still lists those that are draining; at first not.
    pub fn list_draining(self, list: bool) -> Self {
        self.set(|lb| lb.list_draining = list)
    }

    /// Instances that DescribeInstanceHealth leaves out when not asked for them; at first none.
    pub fn without_health(self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.set(|lb| lb.without_health = ids.into_iter().map(Into::into).collect())
    }

    /// Whether balancing is across zones; at first not.
    pub fn cross_zone(self, cross_zone: bool) -> Self {
        self.set(|lb| lb.cross_zone = cross_zone)
    }

    /// The health check it says it has.
    pub fn health_check(self, check: HealthCheck) -> Self {
        self.set(|lb| lb.health_check = check)
    }

    /// Registers instances that are in service at once, as if they had been there for long.
    pub fn instances(self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let ids: Vec<String> = ids.into_iter().map(Into::into).collect();
        let delay = self.look(|lb| lb.health_delay);
        let this = self.health_delay(Duration::ZERO);
        this.register(&ids);
        this.health_delay(delay)
    }

    /// Registers an instance by hand.
    pub fn tamper_register(&self, id: &str) {
        self.register(&[id.to_owned()]);
    }

    /// Deregisters an instance by hand.
    pub fn tamper_deregister(&self, id: &str) {
        self.change(|lb, log| lb.deregister(id, log));
    }

    /// Sets how the health of an instance is to be, registered already or not yet.
    pub fn set_health(&self, id: &str, health: Health) {
        self.change(|lb, log| lb.set_health(id, health, log));
    }

    /// Ends the draining of an instance before its time.
    pub fn end_draining(&self, id: &str) {
        self.change(|lb, log| lb.settle(Some(id), log));
    }

    /// Deletes it.
    pub fn delete(&self) {
        self.aws
            .shared
            .write(|world| world.elb.delete(&self.key, Instant::now(), None));
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.aws
            .shared
            .read(|world| world.elb.get(&self.key.0, &self.key.1).is_some())
    }

    /// Those registered, without those draining; none if it is not there.
    pub fn registered(&self) -> BTreeSet<String> {
        self.set_of(|lb, _| lb.registered())
    }

    /// Those registered and in service now; none if it is not there.
    pub fn in_service(&self) -> BTreeSet<String> {
        self.set_of(LoadBalancer::in_service)
    }

    /// Those deregistered and draining; none if it is not there.
    pub fn leaving(&self) -> BTreeSet<String> {
        self.set_of(|lb, _| lb.leaving())
    }

    /// All that happened to it so far.
    pub fn timeline(&self) -> Timeline {
        let timeline = self.aws.shared.read(|world| {
            world
                .elb
                .slots
                .get(&self.key)
                .map(|slot| slot.timeline.clone())
        });
        timeline.unwrap_or_default()
    }

    fn register(&self, ids: &[String]) {
        self.change(|_, _| {});
        self.aws
            .shared
            .write(|world| world.elb.register(&self.key, ids, Instant::now(), None));
    }

    fn set(self, change: impl FnOnce(&mut LoadBalancer)) -> Self {
        self.change(|lb, _| change(lb));
        self
    }

    fn set_of(
        &self,
        look: impl FnOnce(&LoadBalancer, Instant) -> BTreeSet<String>,
    ) -> BTreeSet<String> {
        let (region, name) = &self.key;
        self.aws.shared.read(|world| {
            let balancer = world.elb.get(region, name);
            balancer
                .map(|lb| look(lb, Instant::now()))
                .unwrap_or_default()
        })
    }

    fn look<T>(&self, look: impl FnOnce(&LoadBalancer) -> T) -> T {
        self.change(|lb, _| look(lb))
    }

    /// Panics if it is not there: the test is wrong.
    fn change<T>(&self, change: impl FnOnce(&mut LoadBalancer, &mut Log<'_>) -> T) -> T {
        let (region, name) = &self.key;
        let slot = |world: &mut super::shared::World| {
            world
                .elb
                .slot(region, name)
                .change(Instant::now(), None, change)
        };
        let Some(result) = self.aws.shared.write(slot) else {
            panic!("there is no load balancer {name} in {region}: create it first");
        };
        result
    }
}

/// The instances that EC2 has, of all regions.
#[derive(Debug)]
pub struct Instances<'a>(pub(super) &'a Aws);

impl Instances<'_> {
    /// Whether registering an instance that was not added here, or does not run, fails the call; at
    /// first not.
    pub fn strict(&self, strict: bool) -> &Self {
        self.0
            .shared
            .write(|world| world.elb.strict_instances = strict);
        self
    }

    /// Adds a running instance in every zone at once.
    pub fn add(&self, id: &str) -> &Self {
        self.insert(id, None)
    }

    /// Adds a running instance; in service only with load balancers that have its zone.
    pub fn add_in_zone(&self, id: &str, zone: &str) -> &Self {
        self.insert(id, Some(zone.to_owned()))
    }

    /// Starts or stops an instance. Its registrations stay.
    pub fn set_running(&self, id: &str, running: bool) -> &Self {
        self.0.shared.write(|world| {
            if let Some(instance) = world.elb.instances.get_mut(id) {
                instance.running = running;
            }
        });
        self
    }

    /// Takes an instance away. Its registrations stay.
    pub fn remove(&self, id: &str) -> &Self {
        self.0.shared.write(|world| world.elb.instances.remove(id));
        self
    }

    fn insert(&self, id: &str, zone: Option<String>) -> &Self {
        let instance = Ec2Instance {
            zone,
            running: true,
        };
        self.0
            .shared
            .write(|world| world.elb.instances.insert(id.to_owned(), instance));
        self
    }
}
