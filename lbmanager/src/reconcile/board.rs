//! What the reconcilers found, for the manager, its metrics and `--once`.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence::model::{BalancerId, Revision};
use tokio::sync::watch;

/// The last report of every load balancer. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<watch::Sender<BTreeMap<BalancerId, Report>>>);

/// What a reconciler found in its last pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Where it stands.
    pub rest: Rest,
    /// Members that are to serve.
    pub desired: usize,
    /// Members that serve.
    pub serving: usize,
    /// Removals that are withheld.
    pub withheld: usize,
    /// The status in etcd contains every change of its keys up to here.
    pub absorbed: Revision,
    /// The last error, if the last pass had one, and its class.
    pub error: Option<(String, &'static str)>,
}

/// Why a pass did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// In words.
    pub words: String,
    /// In one word, for metrics.
    pub class: &'static str,
    /// Whether trying again soon may help.
    pub is_temporary: bool,
}

/// Where a load balancer stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rest {
    /// Something is going on, or was not looked at yet.
    #[default]
    Busy,
    /// As the tree says.
    InSync,
    /// Not as the tree says, and nothing but an event, an operator, or a long
    /// time will change that.
    Stuck,
    /// Nothing is left to manage, and the reconciler has ended.
    Forgotten,
}

impl Board {
    /// The reports, and each change of them.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<BalancerId, Report>> {
        self.0.subscribe()
    }

    /// The dismissed reconciler's report is of no interest any more.
    pub fn remove(&self, id: &BalancerId) {
        self.0
            .send_if_modified(|reports| reports.remove(id).is_some());
    }

    /// After a reset every status has to be written again.
    pub fn reset_absorbed(&self) {
        self.0.send_if_modified(|reports| {
            for report in reports.values_mut() {
                report.absorbed = Revision::default();
            }
            false
        });
    }

    pub(crate) fn report(&self, id: &BalancerId, report: Report) {
        self.0.send_if_modified(|reports| {
            let last = reports.entry(id.clone()).or_default();
            let report = Report {
                absorbed: last.absorbed,
                ..report
            };
            let news = *last != report;
            *last = report;
            news
        });
    }

    /// The status in etcd contains every change up to this revision.
    pub(crate) fn absorbed(&self, id: &BalancerId, revision: Revision) {
        self.0.send_if_modified(|reports| {
            let report = reports.entry(id.clone()).or_default();
            std::mem::replace(&mut report.absorbed, revision) != revision
        });
    }

    /// Its last pass failed.
    pub(crate) fn failed(&self, id: &BalancerId, failing: Failing) {
        self.0.send_modify(|reports| {
            let report = reports.entry(id.clone()).or_default();
            report.error = Some((failing.words, failing.class));
            report.rest = if failing.is_temporary {
                Rest::Busy
            } else {
                Rest::Stuck
            };
        });
    }

    pub(crate) fn forgotten(&self, id: &BalancerId) {
        self.0.send_modify(|reports| {
            let report = reports.entry(id.clone()).or_default();
            *report = Report {
                rest: Rest::Forgotten,
                ..Report::default()
            };
        });
    }
}
