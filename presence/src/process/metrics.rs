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
