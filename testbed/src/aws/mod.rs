//! A simulator of the AWS operations that are used, with what other stand-ins leave out: health that
//! takes its time, draining, throttling, faults of every kind, and a log of every call.
//!
//! In process, on loopback. All times are of tokio's clock, so they can be paused and advanced.

mod calls;
mod control;
mod elb;
mod faults;
mod imds;
mod listener;
mod reply;
mod request;
mod server;
mod shared;
mod throttle;
mod xml;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub use self::calls::{Call, Calls, Outcome};
pub use self::control::{Instances, LbHandle};
pub use self::elb::{Change, Event, Health, HealthCheck, HealthState, Timeline};
pub use self::faults::{Effect, Fault, FaultId, Faults};
pub use self::imds::Imds;
use self::server::Server;
use self::shared::Shared;
pub use self::throttle::{Bucket, Class};
use crate::error::Result;
use crate::wait::TimedOut;

/// How many calls an error quotes.
const QUOTED: usize = 10;

/// A running simulator and the control of it; stops when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Aws {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

impl Aws {
    /// Starts one with nothing in it.
    pub async fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let server = Arc::new(Server::start(Arc::clone(&shared)).await?);
        Ok(Self { shared, server })
    }

    /// Where it answers, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        self.server.listener.url()
    }

    /// Makes a classic load balancer, to be set up with the methods of the handle.
    pub fn create(&self, region: &str, name: &str) -> LbHandle {
        LbHandle::new(self.clone(), region, name).create()
    }

    /// A classic load balancer, there or not.
    pub fn load_balancer(&self, region: &str, name: &str) -> LbHandle {
        LbHandle::new(self.clone(), region, name)
    }

    /// As [`LbHandle::registered`].
    pub fn registered(&self, region: &str, name: &str) -> BTreeSet<String> {
        self.load_balancer(region, name).registered()
    }

    /// As [`LbHandle::in_service`].
    pub fn in_service(&self, region: &str, name: &str) -> BTreeSet<String> {
        self.load_balancer(region, name).in_service()
    }

    /// As [`LbHandle::set_health`].
    pub fn set_health(&self, region: &str, name: &str, instance: &str, health: Health) {
        self.load_balancer(region, name)
            .set_health(instance, health);
    }

    /// As [`LbHandle::tamper_register`].
    pub fn tamper_register(&self, region: &str, name: &str, instance: &str) {
        self.load_balancer(region, name).tamper_register(instance);
    }

    /// As [`LbHandle::tamper_deregister`].
    pub fn tamper_deregister(&self, region: &str, name: &str, instance: &str) {
        self.load_balancer(region, name).tamper_deregister(instance);
    }

    /// As [`LbHandle::timeline`].
    pub fn timeline(&self, region: &str, name: &str) -> Timeline {
        self.load_balancer(region, name).timeline()
    }

    /// The instances that EC2 has.
    pub fn instances(&self) -> Instances<'_> {
        Instances(self)
    }

    /// What is to go wrong.
    pub fn faults(&self) -> Faults<'_> {
        Faults(&self.shared)
    }

    /// Gives each region a token bucket for a class of operations, or takes it away.
    pub fn throttle(&self, class: Class, bucket: Option<Bucket>) {
        self.shared
            .write(|world| world.throttles.set(class, bucket));
    }

    /// Accepts only these access keys; at first it accepts all.
    pub fn accept_only(&self, access_keys: impl IntoIterator<Item = impl Into<String>>) {
        let keys = access_keys.into_iter().map(Into::into).collect();
        self.shared.write(|world| world.access_keys = Some(keys));
    }

    /// All calls so far, in the order of their arrival.
    pub fn calls(&self) -> Calls {
        self.shared.read(|world| Calls(world.calls.clone()))
    }

    /// Empties the log of calls.
    pub fn clear_calls(&self) {
        self.shared.write(|world| world.calls.clear());
    }

    /// Waits for a call that `wanted` is true of, and gives the first; one in the log counts. A call
    /// is looked at when it arrives and again when it is answered.
    pub async fn wait_for_call(
        &self,
        mut wanted: impl FnMut(&Call) -> bool,
        deadline: Duration,
    ) -> Result<Call, TimedOut> {
        let look = || {
            self.shared
                .read(|world| world.calls.iter().find(|call| wanted(call)).cloned())
        };
        let found = timeout(deadline, self.shared.wait_for(look)).await;
        found.map_err(|_| self.timed_out("a call", deadline))
    }

    /// Waits until `condition` is true. It is looked at after each call and each change, also those
    /// that come by the clock alone.
    pub async fn wait_until(
        &self,
        what: &str,
        mut condition: impl FnMut(&Self) -> bool,
        deadline: Duration,
    ) -> Result<(), TimedOut> {
        let look = || condition(self).then_some(());
        let reached = timeout(deadline, self.shared.wait_for(look)).await;
        reached.map_err(|_| self.timed_out(what, deadline))
    }

    fn timed_out(&self, what: &str, deadline: Duration) -> TimedOut {
        let last = self.shared.read(|world| {
            let calls = &world.calls[world.calls.len().saturating_sub(QUOTED)..];
            let calls: Vec<String> = calls
                .iter()
                .map(|call| {
                    format!(
                        "{} {:?} {:?}: {:?}",
                        call.operation, call.load_balancers, call.instances, call.outcome
                    )
                })
                .collect();
            format!(
                "{}; last calls: {}",
                world.elb.summary(Instant::now()),
                calls.join(", ")
            )
        });
        TimedOut {
            what: what.to_owned(),
            deadline,
            last,
        }
    }
}
