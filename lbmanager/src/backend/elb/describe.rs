//! Who is registered, and what the health check is.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_elasticloadbalancing::operation::describe_load_balancers::DescribeLoadBalancersOutput;
use aws_sdk_elasticloadbalancing::types::{HealthCheck, LoadBalancerDescription};
use presence::model::{Kind as BalancerKind, MemberId};

use super::Api;
use crate::backend::Urgency;
use crate::backend::aws::{Call, Failure, Kind, Query};
use crate::observed::Described;

const CALL: Call = super::read(
    "DescribeLoadBalancers",
    "elasticloadbalancing:DescribeLoadBalancers",
);

/// The largest page, and so the most names that one request answers for.
const PAGE: u16 = 400;

/// What a load balancer has whose health check was never set (API reference,
/// HealthCheck): ten checks 30 s apart.
const DEFAULT_HEALTHY_AFTER: Duration = Duration::from_mins(5);

/// `DescribeLoadBalancers`.
pub(super) struct Describe(pub(super) Api);

impl Query for Describe {
    type Answer = Described;

    const MOST: usize = PAGE as usize;

    async fn ask(&self, names: &[String]) -> Result<BTreeMap<String, Described>, Failure> {
        let mut found = BTreeMap::new();
        let mut marker = None;
        // Each page has one at least, so more pages than names are no answer.
        for _ in 0..=names.len() {
            let page = self.page(names, marker).await?;
            found.extend(
                page.load_balancer_descriptions
                    .iter()
                    .flatten()
                    .filter_map(|one| Some((one.load_balancer_name.clone()?, described(one)))),
            );
            marker = page.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
        Err(self.failure(Kind::Unanswered, "the pages of the answer do not end"))
    }

    fn failure(&self, kind: Kind, words: &str) -> Failure {
        self.0.gate.failure(&CALL, kind, words)
    }
}

impl Describe {
    async fn page(
        &self,
        names: &[String],
        marker: Option<String>,
    ) -> Result<DescribeLoadBalancersOutput, Failure> {
        let request = self.0.client.describe_load_balancers();
        let request = request
            .set_load_balancer_names(Some(names.to_vec()))
            .set_marker(marker)
            .page_size(i32::from(PAGE));
        self.0
            .gate
            .call(&CALL, Urgency::Decision, request.send())
            .await
    }
}

fn described(balancer: &LoadBalancerDescription) -> Described {
    let instances = balancer.instances.iter().flatten();
    let check = balancer.health_check.as_ref();
    Described {
        registered: instances
            .filter_map(|instance| member(instance.instance_id()?))
            .collect(),
        healthy_after: check.map_or(DEFAULT_HEALTHY_AFTER, healthy_after),
    }
}

fn healthy_after(check: &HealthCheck) -> Duration {
    let checks = u32::try_from(check.healthy_threshold).unwrap_or(0);
    let interval = u32::try_from(check.interval).unwrap_or(0);
    Duration::from_secs(u64::from(checks) * u64::from(interval))
}

/// Who cannot be named in the tree cannot be kept as it says, either.
pub(super) fn member(instance: &str) -> Option<MemberId> {
    let member = MemberId::parse(BalancerKind::Elb, instance);
    member
        .inspect_err(|error| tracing::warn!(%error, "ignoring an instance that AWS lists"))
        .ok()
}
