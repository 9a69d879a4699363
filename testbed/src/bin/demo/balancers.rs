//! What is done to load balancers in a step, and what is seen of them.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::aws::Calls;
use testbed::{Error, Result, wait};
use tokio::time::Instant;

use crate::scene;
use crate::stage::{Balancer, DEADLINE, Stage};
use crate::{chart, table};

/// A step with load balancers.
pub type Scene<'a> = scene::Scene<'a, Stage>;

impl Scene<'_> {
    pub async fn put(&mut self, balancer: &Balancer, member: &str) -> Result<()> {
        let key = balancer.key(member);
        self.command(&["etcdctl", "put", &key, "''"]);
        self.asked.push((member.to_owned(), Instant::now()));
        self.stage.etcd.put(&key, "").await
    }

    pub async fn put_with_lease(
        &mut self,
        balancer: &Balancer,
        member: &str,
        lease: i64,
    ) -> Result<()> {
        let key = balancer.key(member);
        let flag = format!("--lease={lease:x}");
        self.command(&["etcdctl", "put", &flag, &key, "''"]);
        self.asked.push((member.to_owned(), Instant::now()));
        self.stage.etcd.put_with_lease(&key, "", lease).await
    }

    pub async fn delete(&mut self, balancer: &Balancer, member: &str) -> Result<()> {
        let key = balancer.key(member);
        self.command(&["etcdctl", "del", &key]);
        self.asked.push((member.to_owned(), Instant::now()));
        self.stage.etcd.del(&key).await.map(drop)
    }

    pub async fn delete_all(&mut self, balancer: &Balancer) -> Result<()> {
        let prefix = balancer.prefix();
        self.command(&["etcdctl", "del", "--prefix", &prefix]);
        self.stage.etcd.del_prefix(&prefix).await.map(drop)
    }

    pub async fn grant(&mut self, seconds: u64) -> Result<i64> {
        self.command(&["etcdctl", "lease", "grant", &seconds.to_string()]);
        let lease = self.stage.etcd.lease_grant(seconds).await?;
        self.answer(&format!("lease {lease:x} granted with TTL({seconds}s)"));
        Ok(lease)
    }

    /// Something was done to a member, and not by a command.
    pub fn by_hand(&mut self, member: &str) {
        self.asked.push((member.to_owned(), Instant::now()));
    }

    /// What is looked at begins here, after the preparations.
    pub fn begin_here(&mut self) {
        self.begin = Instant::now();
        self.asked.clear();
    }

    /// Waits until exactly these are in service and nobody else is registered.
    pub async fn wait_for(&self, balancer: &Balancer, members: &[&str]) -> Result<()> {
        let wanted: BTreeSet<String> = members.iter().map(|&member| member.to_owned()).collect();
        let what = format!("only {} to serve at {}", members.join(" "), balancer.name);
        let handle = &balancer.handle;
        let done = |_: &_| handle.in_service() == wanted && handle.registered() == wanted;
        let reached = self.stage.aws.wait_until(&what, done, DEADLINE);
        reached.await.map_err(Error::from)
    }

    /// Waits until the status of a load balancer is as `wanted` says; `None` is no status.
    pub async fn wait_for_status(
        &self,
        what: &str,
        balancer: &Balancer,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Option<Value>> {
        let key = balancer.status_key();
        let reached = wait::until(what, DEADLINE, || async {
            let found = self.stage.etcd.get(&key).await;
            let found = found.map_err(|error| error.to_string())?;
            let status = found.and_then(|text| serde_json::from_str(&text).ok());
            if wanted(status.as_ref()) {
                Ok(status)
            } else {
                Err(status.map(|status| status.to_string()).unwrap_or_default())
            }
        });
        reached.await.map_err(Error::from)
    }

    /// The members that were touched or are there, and the calls it took.
    pub async fn show(&self, balancer: &Balancer) -> Result<()> {
        self.screen.line("");
        table::members(self, balancer).await?;
        table::calls(self);
        Ok(())
    }

    /// Who was in service when, since the step began.
    pub fn chart(&self, balancer: &Balancer) {
        let timeline = balancer.handle.timeline();
        for line in chart::lines(&timeline, self.begin, Instant::now()) {
            self.screen.line(&format!("   {line}"));
        }
        self.screen.line("");
    }

    /// The least number in service since the step began.
    pub fn least(&self, balancer: &Balancer) -> usize {
        let timeline = balancer.handle.timeline();
        timeline.min_in_service_between(self.begin, Instant::now())
    }

    /// The calls to AWS since the step began.
    pub fn calls(&self) -> Calls {
        let calls = self.stage.aws.calls();
        calls.matching(|call| call.arrived >= self.begin)
    }

    /// How many register and deregister calls were made since the step began.
    pub fn writes(&self) -> usize {
        self.calls().writes().len()
    }
}
