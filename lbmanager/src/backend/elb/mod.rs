//! Classic AWS load balancers.
//!
//! A load balancer's members are EC2 instances. It must exist; it is never
//! created, and nothing of it but its instances is changed.

mod describe;
mod health;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_elasticloadbalancing::Client;
use aws_sdk_elasticloadbalancing::config::{Builder, Region};
use presence::model::{BalancerId, MemberId};

use self::describe::Describe;
use super::aws::{Aws, Call, Gate, Joiner, Limits, Regions};
use super::{Backend, BackendError, Outcome, Urgency};
use crate::observed::{Described, Health};

/// All classic load balancers of all regions.
#[derive(Clone)]
pub struct Elb {
    aws: Aws,
    regions: Arc<Regions<Joiner<Describe>>>,
}

/// How one region is asked.
struct Api {
    client: Client,
    gate: Gate,
}

impl Elb {
    /// Asks nothing yet.
    pub fn new(aws: Aws) -> Self {
        Self {
            aws,
            regions: Arc::default(),
        }
    }

    async fn region(&self, id: &BalancerId) -> Arc<Joiner<Describe>> {
        let sdk = self.aws.sdk().await;
        let region = id.region().as_str();
        self.regions.get(region, || {
            let config = Builder::from(sdk).region(Region::new(region.to_owned()));
            Joiner::new(Describe(Api {
                client: Client::from_conf(config.build()),
                gate: self.aws.gate("elb", region, Limits::LOAD_BALANCING),
            }))
        })
    }
}

impl Backend for Elb {
    async fn describe(&self, id: &BalancerId) -> Result<Described, BackendError> {
        let described = self.region(id).await.ask(id.name()).await;
        described.map_err(|failure| failure.about(&subject(id)))
    }

    async fn health(&self, id: &BalancerId, urgency: Urgency) -> Result<Health, BackendError> {
        health::health(&self.region(id).await.query().0, id, urgency).await
    }

    async fn register(&self, id: &BalancerId, members: &BTreeSet<MemberId>) -> Outcome {
        write::register(&self.region(id).await.query().0, id, members).await
    }

    async fn deregister(&self, id: &BalancerId, members: &BTreeSet<MemberId>) -> Outcome {
        write::deregister(&self.region(id).await.query().0, id, members).await
    }
}

fn subject(id: &BalancerId) -> String {
    format!("load balancer {}", id.name())
}

const fn read(operation: &'static str, action: &'static str) -> Call {
    Call {
        operation,
        action,
        write: false,
    }
}
