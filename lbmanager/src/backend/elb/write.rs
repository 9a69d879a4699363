//! Putting instances in and taking them out.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancing::types::Instance;
use presence::model::{BalancerId, MemberId};

use super::{Api, subject};
use crate::backend::aws::{Call, Failure, split};
use crate::backend::{Outcome, Urgency};

const REGISTER: Call = Call {
    operation: "RegisterInstancesWithLoadBalancer",
    action: "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
    write: true,
};

const DEREGISTER: Call = Call {
    operation: "DeregisterInstancesFromLoadBalancer",
    action: "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
    write: true,
};

/// The API reference sets no limit to one call. A load balancer has 1,000
/// instances at most unless the quota was raised ("Quotas for your Classic
/// Load Balancer"), so this is the largest call that AWS must be used to.
const MOST: usize = 1000;

pub(super) async fn register(api: &Api, id: &BalancerId, members: &BTreeSet<MemberId>) -> Outcome {
    let send = |batch: Vec<MemberId>| {
        let request = api.client.register_instances_with_load_balancer();
        let request = request
            .load_balancer_name(id.name())
            .set_instances(Some(instances(&batch)));
        async move {
            let answer = api
                .gate
                .call(&REGISTER, Urgency::Decision, request.send())
                .await;
            answer.map(|_| ())
        }
    };
    split(members, MOST, &subject(id), is_instance, send).await
}

pub(super) async fn deregister(
    api: &Api,
    id: &BalancerId,
    members: &BTreeSet<MemberId>,
) -> Outcome {
    let send = |batch: Vec<MemberId>| {
        let request = api.client.deregister_instances_from_load_balancer();
        let request = request
            .load_balancer_name(id.name())
            .set_instances(Some(instances(&batch)));
        async move {
            let answer = api
                .gate
                .call(&DEREGISTER, Urgency::Decision, request.send())
                .await;
            answer.map(|_| ())
        }
    };
    split(members, MOST, &subject(id), is_instance, send).await
}

fn instances(members: &[MemberId]) -> Vec<Instance> {
    let ids = members.iter().map(MemberId::as_str);
    ids.map(|id| Instance::builder().instance_id(id).build())
        .collect()
}

/// `InvalidEndPointException`.
fn is_instance(failure: &Failure) -> bool {
    failure.code.as_deref() == Some("InvalidInstance")
}
