//! Many load balancers that are as the tree says, with the records that lbmanager would have
//! written of them.

use std::time::Duration;

use serde_json::Value;
use testbed::aws::{Aws, LbHandle};
use testbed::etcd::Etcd;
use testbed::lbmanager::{Launch, LbManager};
use testbed::process::Running;
use testbed::{Error, Result};

pub const REGION: &str = "us-east-1";
pub const DEADLINE: Duration = Duration::from_mins(3);
/// etcd takes 1.5 MiB in one request; the record of 100 members is 20 KB.
const AT_ONCE: usize = 32;
const IN_SYNC: &str = r#"lbmanager_balancers{state="in_sync"}"#;

/// etcd and simulated AWS with nothing to do.
#[derive(Debug)]
pub struct Fleet {
    pub etcd: Etcd,
    pub aws: Aws,
    pub balancers: usize,
    pub members: usize,
}

/// A manager of a fleet.
#[derive(Debug)]
pub struct Managing(LbManager);

impl Fleet {
    /// So many load balancers of so many members each, all in service.
    pub async fn set_up(balancers: usize, members: usize) -> Result<Self> {
        let (etcd, aws) = tokio::try_join!(Etcd::start(), Aws::start())?;
        let fleet = Self {
            etcd,
            aws,
            balancers,
            members,
        };
        let template = fleet.template().await?;
        let all = || (1..balancers).flat_map(|lb| (0..members).map(move |member| (lb, member)));
        let keys = all().map(|(lb, member)| (fleet.key(lb, member), ""));
        let revisions = fleet.etcd.put_many(keys).await?;
        let records = revisions.chunks(members).zip(1..).map(|(revisions, lb)| {
            let record = fleet.record(&template, lb, revisions);
            (status_key(lb), record.to_string())
        });
        // Few enough for what etcd takes in one request.
        let records: Vec<(String, String)> = records.collect();
        for some in records.chunks(AT_ONCE) {
            let some = some.iter().map(|(key, record)| (key, record));
            fleet.etcd.put_many(some).await?;
        }
        for lb in 1..balancers {
            let ids = (0..members).map(|member| fleet.member(lb, member));
            fleet.aws.create(REGION, &name(lb)).instances(ids);
        }
        Ok(fleet)
    }

    /// The record of the first load balancer, as lbmanager itself wrote it when it had put all
    /// members in.
    async fn template(&self) -> Result<Value> {
        self.aws.create(REGION, &name(0));
        let keys = (0..self.members).map(|member| (self.key(0, member), ""));
        self.etcd.put_many(keys).await?;
        let manager = Launch::new(&self.etcd, &self.aws)?.start().await?;
        manager.wait_for_metric(IN_SYNC, 1.0, DEADLINE).await?;
        Managing(manager).end().await?;
        let record = self.etcd.get(&status_key(0)).await?.unwrap_or_default();
        serde_json::from_str(&record).map_err(|error| Error::Answer {
            from: "lbmanager".to_owned(),
            detail: format!("{error} in the record {record}"),
        })
    }

    /// The template with another load balancer's members and revisions.
    fn record(&self, template: &Value, lb: usize, revisions: &[i64]) -> Value {
        let mut record = template.clone();
        record["revision"] = revisions.iter().max().copied().unwrap_or_default().into();
        let changed = record["members"].as_object_mut().map(std::mem::take);
        let members = changed.into_iter().flatten().zip(revisions);
        let members = members
            .enumerate()
            .map(|(member, ((_, mut known), revision))| {
                known["mod_revision"] = (*revision).into();
                (self.member(lb, member), known)
            });
        record["members"] = Value::Object(members.collect());
        record
    }

    /// Starts `lbmanager run` and waits until everything is in sync.
    pub async fn manage(&self, args: &[&str]) -> Result<Managing> {
        let launch = Launch::new(&self.etcd, &self.aws)?.args(args.iter().copied());
        let managing = Managing(launch.start().await?);
        managing.wait_in_sync(self).await?;
        Ok(managing)
    }

    /// A member that is not there yet, and its key; of several, the one of this number.
    pub fn newcomer(&self, lb: usize, number: usize) -> (String, String) {
        let member = format!(
            "i-{:08x}",
            self.balancers * self.members * (number + 1) + lb
        );
        let key = format!("{}{member}", prefix(lb));
        (member, key)
    }

    /// Of all load balancers different, so that records cannot be mixed up.
    fn member(&self, lb: usize, member: usize) -> String {
        format!("i-{:08x}", lb * self.members + member)
    }

    fn key(&self, lb: usize, member: usize) -> String {
        format!("{}{}", prefix(lb), self.member(lb, member))
    }

    pub fn handle(&self, lb: usize) -> LbHandle {
        self.aws.load_balancer(REGION, &name(lb))
    }
}

impl Managing {
    pub async fn wait_in_sync(&self, fleet: &Fleet) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let all = fleet.balancers as f64;
        self.0.wait_for_metric(IN_SYNC, all, DEADLINE).await
    }

    pub fn process(&self) -> &Running {
        self.0.process()
    }

    /// SIGTERM, and no other end than a good one.
    pub async fn end(mut self) -> Result<()> {
        if self.0.stop().await? {
            return Ok(());
        }
        let words = self.0.last_words();
        Err(Error::Misuse(format!(
            "lbmanager did not end well:\n{words}"
        )))
    }
}

fn name(lb: usize) -> String {
    format!("lb-{lb:04}")
}

/// Where the members of a load balancer are.
fn prefix(lb: usize) -> String {
    format!("/lbManager/elb/{REGION}/{}/multiple/", name(lb))
}

fn status_key(lb: usize) -> String {
    format!("/lbManager-status/lb/elb/{REGION}/{}", name(lb))
}
