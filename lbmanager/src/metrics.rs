//! What `/metrics` says of the manager itself. docs/metrics.md lists it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;

use presence::mirror::Snapshot;
use presence::model::BalancerId;
use presence::process::metrics::register;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::reconcile::{Report, Rest};
use crate::tree::Tree;

/// The manager's gauges. Labels are bounded: no load balancer has one of its
/// own, `lbmanager status` names them.
#[derive(Debug, Clone)]
pub struct Metrics {
    balancers: Family<StateLabel, Gauge>,
    errors: Family<ErrorLabel, Gauge>,
    members: Family<StateLabel, Gauge>,
    withheld: Gauge,
    frozen: Gauge,
    revision: Gauge<i64, AtomicI64>,
    malformed: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabel {
    class: &'static str,
}

const STATES: [(&str, Rest); 3] = [
    ("in_sync", Rest::InSync),
    ("busy", Rest::Busy),
    ("stuck", Rest::Stuck),
];
const ERRORS: [&str; 6] = [
    "not_found",
    "throttled",
    "denied",
    "unavailable",
    "rejected",
    "etcd",
];

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            balancers: register(registry, "balancers", "Load balancers by state"),
            errors: register(
                registry,
                "balancers_with_errors",
                "Load balancers whose last pass failed, by class of the error",
            ),
            members: register(registry, "members", "Members listed, and those that serve"),
            withheld: register(
                registry,
                "removals_withheld",
                "Members that are to leave and are held",
            ),
            frozen: register(
                registry,
                "history_replaced",
                "1 while removals are frozen because the history of etcd was reset",
            ),
            revision: register(
                registry,
                "tree_revision",
                "The revision of etcd that the tree is complete up to",
            ),
            malformed: register(registry, "keys_malformed", "Keys that are ignored"),
        }
    }

    pub(crate) fn show(&self, reports: &BTreeMap<BalancerId, Report>) {
        for (state, rest) in STATES {
            let count = reports.values().filter(|report| report.rest == rest);
            self.balancers
                .get_or_create(&StateLabel { state })
                .set(number(count.count()));
        }
        for class in ERRORS {
            let count = reports.values().filter(|report| {
                report
                    .error
                    .as_ref()
                    .is_some_and(|(_, other)| *other == class)
            });
            self.errors
                .get_or_create(&ErrorLabel { class })
                .set(number(count.count()));
        }
        let sum = |of: fn(&Report) -> usize| number(reports.values().map(of).sum());
        let members = |state| self.members.get_or_create(&StateLabel { state });
        members("desired").set(sum(|report| report.desired));
        members("serving").set(sum(|report| report.serving));
        self.withheld.set(sum(|report| report.withheld));
    }

    pub(crate) fn frozen(&self, frozen: bool) {
        self.frozen.set(i64::from(frozen));
    }

    pub(crate) fn tree(&self, snapshot: &Snapshot<Tree>) {
        self.revision.set(snapshot.header.revision.0);
        self.malformed.set(number(snapshot.view.malformed.len()));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
