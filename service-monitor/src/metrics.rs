//! What `/metrics` says of a watch. docs/metrics.md lists it.

use std::time::Duration;

use presence::probe::{Outcome, Verdict};
use presence::process::metrics::register;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Counts of a watch.
#[derive(Debug, Clone)]
pub struct Metrics {
    probes: Family<Outcomes, Counter>,
    duration: Histogram,
    up: Gauge,
    published: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcomes {
    outcome: &'static str,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let duration =
            Histogram::new([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]);
        let help = "From a probe being sent to what it found";
        registry.register_with_unit("probe_duration", help, Unit::Seconds, duration.clone());
        Self {
            probes: register(registry, "probes", "Probes by what they found"),
            duration,
            up: register(registry, "up", "1 while the service counts as up"),
            published: register(
                registry,
                "published",
                "1 while the key is in etcd as it should be",
            ),
        }
    }

    /// An attempt was made.
    pub fn attempted(&self, outcome: &Outcome, took: Duration, verdict: Verdict) {
        let outcome = if outcome.is_up { "up" } else { "down" };
        self.probes.get_or_create(&Outcomes { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
        self.up.set((verdict == Verdict::Up).into());
    }

    /// Whether the key is in etcd as it should be.
    pub fn published(&self, is_published: bool) {
        self.published.set(is_published.into());
    }
}
