//! What is going on, in words for `systemctl status` and `/readyz`.

use std::collections::BTreeMap;
use std::fmt::Write;

use presence::mirror::{Connection, Snapshot};
use presence::model::BalancerId;

use crate::reconcile::{Report, Rest};
use crate::tree::Tree;

pub(super) fn status(
    snapshot: Option<&Snapshot<Tree>>,
    connection: &Connection,
    reports: &BTreeMap<BalancerId, Report>,
    frozen: bool,
) -> String {
    match (snapshot, connection) {
        (None, Connection::Lost(error)) => format!("waiting for etcd, nothing is changed: {error}"),
        (None, _) => "reading the tree from etcd".to_owned(),
        (Some(_), Connection::Lost(error)) => {
            format!("etcd is away, members stay as they are: {error}")
        }
        (Some(_), _) => managing(reports, frozen),
    }
}

fn managing(reports: &BTreeMap<BalancerId, Report>, frozen: bool) -> String {
    let count = |rest: Rest| {
        reports
            .values()
            .filter(|report| report.rest == rest)
            .count()
    };
    let withheld: usize = reports.values().map(|report| report.withheld).sum();
    let errors = reports.values().filter(|report| report.error.is_some());
    let mut words = format!(
        "{} load balancers: {} in sync, {} busy",
        reports.len(),
        count(Rest::InSync),
        count(Rest::Busy)
    );
    for (count, what) in [
        (withheld, "removals withheld"),
        (errors.count(), "with errors"),
    ] {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(words, ", {count} {what}");
        }
    }
    if frozen {
        words.push_str(
            "; the history of etcd was reset: removals are frozen until lbmanager release --all",
        );
    }
    words
}
