//! The registry of metrics, with prefix and build information.
//!
//! Names get the program's prefix and the unit's suffix here, counters their
//! `_total` when they are written: say neither in the name.

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::COMMIT;

/// A registry whose names all start with the program's, `-` as `_`, and that
/// holds `<program>_build_info{version,commit}`.
pub fn registry(program: &str) -> Registry {
    let mut registry = Registry::with_prefix(program.replace('-', "_"));
    let build = Info::new(vec![
        ("version", env!("CARGO_PKG_VERSION")),
        ("commit", COMMIT),
    ]);
    registry.register("build", "Version and commit of this program", build);
    registry
}

/// Registers a metric and gives the handle to count with.
pub fn register<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The same for a metric in a unit, which becomes the suffix of its name.
pub fn register_in<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    unit: Unit,
) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    #[test]
    fn names_get_prefix_and_unit() {
        let mut registry = registry("service-monitor");
        let age: Gauge = register_in(&mut registry, "age", "How old", Unit::Seconds);
        age.set(7);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("\nservice_monitor_age_seconds 7\n"), "{text}");
        let build = format!(
            "service_monitor_build_info{{version=\"{}\",commit=\"{COMMIT}\"}} 1\n",
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.contains(&build), "{text}");
    }
}
