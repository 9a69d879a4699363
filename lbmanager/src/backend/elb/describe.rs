//! Who is registered, and what the health check is.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_elasticloadbalancing::types::{HealthCheck, LoadBalancerDescription};
use presence::model::{Kind as BalancerKind, MemberId};

use super::Api;
use crate::backend::Urgency;
use crate::backend::aws::{Call, Failure, Kind, Page, Query};
use crate::observed::Described;

const CALL: Call = super::read(
    "DescribeLoadBalancers",
    "elasticloadbalancing:DescribeLoadBalancers",
);

/// The largest page.
const PAGE: usize = 400;

/// What a load balancer has whose health check was never set (API reference,
/// HealthCheck): ten checks 30 s apart.
const DEFAULT_HEALTHY_AFTER: Duration = Duration::from_mins(5);

/// `DescribeLoadBalancers`.
pub(super) struct Describe(pub(super) Api);

impl Query for Describe {
    type Answer = Described;

    const LARGEST_PAGE: usize = PAGE;

    async fn ask(&self, names: &[String]) -> Result<BTreeMap<String, Described>, Failure> {
        let mut found = BTreeMap::new();
        let mut marker = None;
        // Each page has one at least, so more pages than names are no answer.
        for _ in 0..=names.len() {
            let (page, next) = self.page(Some(names.to_vec()), PAGE, marker).await?;
            found.extend(page);
            marker = next;
            if marker.is_none() {
                return Ok(found);
            }
        }
        Err(self.failure(Kind::Unanswered, "the pages of the answer do not end"))
    }

    async fn list(&self, size: usize, marker: Option<String>) -> Result<Page<Described>, Failure> {
        self.page(None, size, marker).await
    }

    fn failure(&self, kind: Kind, words: &str) -> Failure {
        self.0.gate.failure(&CALL, kind, words)
    }
}

impl Describe {
    async fn page(
        &self,
        names: Option<Vec<String>>,
        size: usize,
        marker: Option<String>,
    ) -> Result<Page<Described>, Failure> {
        let request = self.0.client.describe_load_balancers();
        let request = request
            .set_load_balancer_names(names)
            .set_marker(marker)
            .page_size(i32::try_from(size).unwrap_or(i32::MAX));
        let call = self.0.gate.call(&CALL, Urgency::Decision, request.send());
        let page = call.await?;
        let found = page.load_balancer_descriptions.iter().flatten();
        let found = found.filter_map(|one| Some((one.load_balancer_name.clone()?, described(one))));
        let next = page.next_marker.clone().filter(|next| !next.is_empty());
        Ok((found.collect(), next))
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
