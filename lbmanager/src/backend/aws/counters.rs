//! What is counted of calls to AWS.

use std::time::Duration;

use presence::process::metrics::{register, register_in};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Families of metrics. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Counters {
    calls: Family<Labels, Counter>,
    duration: Family<Timed, Histogram, fn() -> Histogram>,
    waited: Family<Place, Counter<f64, std::sync::atomic::AtomicU64>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            duration: Family::new_with_constructor(histogram),
            waited: Family::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    service: &'static str,
    region: String,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    service: &'static str,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    service: &'static str,
    region: String,
}

fn histogram() -> Histogram {
    Histogram::new([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0])
}

impl Counters {
    /// With everything registered.
    pub fn registered(registry: &mut Registry) -> Self {
        let duration = Self::default().duration;
        registry.register_with_unit(
            "aws_call_duration",
            "Time from an AWS call being sent to its answer",
            Unit::Seconds,
            duration.clone(),
        );
        Self {
            calls: register(
                registry,
                "aws_calls",
                "Calls to AWS by how they ended: ok, or what kind of error",
            ),
            duration,
            waited: register_in(
                registry,
                "aws_waited",
                "Time that calls to AWS waited to keep to the rate limit",
                Unit::Seconds,
            ),
        }
    }

    pub(super) fn waited(&self, service: &'static str, region: &str, time: Duration) {
        let place = Place {
            service,
            region: region.to_owned(),
        };
        self.waited.get_or_create(&place).inc_by(time.as_secs_f64());
    }

    pub(super) fn called(
        &self,
        (service, operation): (&'static str, &'static str),
        region: &str,
        outcome: &'static str,
        took: Duration,
    ) {
        let labels = Labels {
            service,
            region: region.to_owned(),
            operation,
            outcome,
        };
        self.calls.get_or_create(&labels).inc();
        let timed = Timed { service, operation };
        self.duration
            .get_or_create(&timed)
            .observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_how_they_ended() {
        let mut registry = presence::process::metrics::registry("lbmanager");
        let counters = Counters::registered(&mut registry);
        let describe = ("elb", "DescribeLoadBalancers");
        let took = Duration::from_millis(70);
        counters.called(describe, "eu-west-1", "ok", took);
        counters.called(describe, "eu-west-1", "ok", took);
        counters.called(describe, "eu-west-1", "throttled", took);
        counters.waited("elb", "eu-west-1", Duration::from_millis(1500));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"lbmanager_aws_calls_total{service="elb",region="eu-west-1",operation="DescribeLoadBalancers",outcome="ok"} 2"#,
            r#"outcome="throttled"} 1"#,
            r#"lbmanager_aws_call_duration_seconds_bucket{le="0.1",service="elb",operation="DescribeLoadBalancers"} 3"#,
            r#"lbmanager_aws_waited_seconds_total{service="elb",region="eu-west-1"} 1.5"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
