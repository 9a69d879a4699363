//! How the instances are.

use aws_sdk_elasticloadbalancing::types::InstanceState;
use litemap::LiteMap;
use presence::model::{BalancerId, MemberId};

use super::{Api, describe, subject};
use crate::backend::aws::Call;
use crate::backend::{BackendError, Urgency};
use crate::observed::{Condition, Health};

const CALL: Call = super::read(
    "DescribeInstanceHealth",
    "elasticloadbalancing:DescribeInstanceHealth",
);

/// Without a list of instances: AWS then tells of all, draining ones too, and
/// none that it does not know fails the call.
///
/// Whoever is registered and left out here (moto does that to instances that
/// EC2 does not have) is not absent, but of unknown health. The caller knows
/// who is registered; here nobody does.
pub(super) async fn health(
    api: &Api,
    id: &BalancerId,
    urgency: Urgency,
) -> Result<Health, BackendError> {
    let request = api.client.describe_instance_health();
    let request = request.load_balancer_name(id.name());
    match api.gate.call(&CALL, urgency, request.send()).await {
        Ok(answer) => Ok(Health::Read(conditions(answer.instance_states()))),
        // A state of affairs. Credentials that fail are an error: with them
        // nothing else works, either.
        Err(failure) if failure.is_forbidden() => {
            Ok(Health::Unreadable(failure.about(&subject(id)).to_string()))
        }
        Err(failure) => Err(failure.about(&subject(id))),
    }
}

fn conditions(states: &[InstanceState]) -> LiteMap<MemberId, Condition> {
    let known = states.iter().filter_map(|state| {
        let member = describe::member(state.instance_id()?)?;
        Some((member, condition(state)))
    });
    known.collect()
}

fn condition(state: &InstanceState) -> Condition {
    match state.state().unwrap_or_default() {
        "InService" if is_leaving(state) => Condition::Draining,
        "InService" => Condition::InService,
        "OutOfService" if is_registering(state) => Condition::Registering(words(state)),
        "OutOfService" => Condition::OutOfService(words(state)),
        _ => Condition::Unknown(words(state)),
    }
}

/// "Instance deregistration currently in progress."
fn is_leaving(state: &InstanceState) -> bool {
    description(state).contains("deregistration")
}

/// "Instance registration is still in progress." No health check has been made
/// yet.
fn is_registering(state: &InstanceState) -> bool {
    description(state).contains("registration is still in progress")
}

fn description(state: &InstanceState) -> String {
    state.description().unwrap_or_default().to_ascii_lowercase()
}

/// AWS's description: it says what to do, such as "Instance is in the EC2
/// Availability Zone for which LoadBalancer is not configured to route traffic
/// to." The reason code says only whose fault it is.
fn words(state: &InstanceState) -> String {
    let said = [state.description(), state.reason_code(), state.state()];
    let said = said.into_iter().flatten();
    let mut said = said.filter(|words| !words.is_empty() && *words != "N/A");
    said.next().unwrap_or("AWS gives no reason").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: &str, reason: &str, description: &str) -> InstanceState {
        InstanceState::builder()
            .instance_id("i-00000001")
            .state(state)
            .reason_code(reason)
            .description(description)
            .build()
    }

    #[test]
    fn aws_says_it_in_three_fields() {
        for (said, meant) in [
            (state("InService", "N/A", "N/A"), Condition::InService),
            (
                state(
                    "InService",
                    "N/A",
                    "Instance Deregistration currently in progress.",
                ),
                Condition::Draining,
            ),
            (
                state(
                    "OutOfService",
                    "ELB",
                    "Instance registration is still in progress.",
                ),
                Condition::Registering("Instance registration is still in progress.".into()),
            ),
            (
                state("OutOfService", "Instance", "N/A"),
                Condition::OutOfService("Instance".into()),
            ),
            (
                state(
                    "Unknown",
                    "N/A",
                    "A transient error occurred. Please try again later.",
                ),
                Condition::Unknown("A transient error occurred. Please try again later.".into()),
            ),
            (
                state("SomethingNew", "N/A", ""),
                Condition::Unknown("SomethingNew".into()),
            ),
        ] {
            assert_eq!(condition(&said), meant, "{said:?}");
        }
    }

    #[test]
    fn who_cannot_be_named_is_left_out() {
        let nobody = InstanceState::builder().state("InService").build();
        let strange = InstanceState::builder().instance_id("x-1").build();
        let known = conditions(&[nobody, strange, state("InService", "N/A", "N/A")]);
        assert_eq!(known.len(), 1);
    }
}
