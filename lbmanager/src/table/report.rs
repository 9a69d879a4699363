//! What a pass found, for the manager, for etcd and for the probes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use presence::model::{BalancerId, Revision};
use presence::store::Store;

use super::kernel::Kernel;
use super::line::{Line, Over};
use super::pass::Verdicts;
use super::{Table, translate};
use crate::manager::whole::Orders;
use crate::plan;
use crate::reconcile::{Report, Rest, words};
use crate::record::{Record, Role, State};

/// What happens by itself within this time is waited for (`--once`).
const SOON: Duration = Duration::from_mins(1);

impl<S: Store, K: Kernel> Table<S, K> {
    pub(super) fn report(&mut self, verdicts: &Verdicts) {
        let soon = plan::after(self.parts.clock.now(), SOON);
        for (key, verdict) in verdicts {
            let Some(line) = self.lines.get(key) else {
                continue;
            };
            let members = line.record.members.iter();
            let serving = members
                .clone()
                .filter(|(_, known)| known.state == State::Serving)
                .count();
            let all_in = members.clone().all(|(member, known)| {
                let resting = verdict.resting.contains(member);
                known.wanted != Role::Serve || known.state == State::Serving || resting
            });
            let error = line.record.error.as_ref();
            let looks_soon = line.look_at.is_some_and(|at| at <= soon);
            let changes = verdict.changes;
            let free = line.record.withheld.is_empty() && error.is_none();
            let rest = if looks_soon || (changes && !self.parts.settings.dry_run) {
                Rest::Busy
            } else if all_in && free && !changes {
                Rest::InSync
            } else {
                Rest::Stuck
            };

            let report = Report {
                rest,
                desired: verdict.wanted,
                serving,
                withheld: line.record.withheld.len(),
                error: error.map(|error| (error.what.clone(), "kernel")),
                ..Report::default()
            };
            for id in &line.ids {
                self.parts.board.report(id, report.clone());
                if !self.parts.settings.dry_run && verdict.over.is_none() {
                    self.outbox.write(id, Arc::clone(&line.record));
                }
            }
        }
    }

    /// Of regions whose word on a virtual service does not count.
    pub(super) fn report_refused(&mut self, orders: &Orders) {
        for (id, why) in &self.lines.refused {
            let report = Report {
                rest: Rest::Stuck,
                error: Some((why.clone(), "config")),
                ..Report::default()
            };
            self.parts.board.report(id, report);
            if !self.parts.settings.dry_run {
                let tree = orders.balancers.get(id);
                let record = Record {
                    revision: tree.map_or(Revision::default(), |tree| tree.revision),
                    manager: self.parts.settings.host.to_string(),
                    problems: vec![why.clone()],
                    ..Record::default()
                };
                self.outbox.write(id, Arc::new(record));
            }
        }
    }

    /// Deletes the statuses of services that are no longer managed.
    pub(super) fn finish(&mut self) {
        for id in std::mem::take(&mut self.lines.parting) {
            self.forget(&id);
        }
        let ending = self.lines.ending.clone();
        self.parts.ledger.remove(ending.keys());
        for (key, over) in ending {
            let Some(line) = self.lines.forget(&key) else {
                continue;
            };
            for id in &line.ids {
                self.forget(id);
                tracing::info!("{id}: no longer managed, {}", farewell(&line, over));
            }
        }
    }

    pub(super) fn forget(&self, id: &BalancerId) {
        if !self.parts.settings.dry_run && self.outbox.has(id) {
            self.outbox.delete(id);
        }
        self.parts.board.forgotten(id);
    }

    /// Tells the probes whom to ask: real servers that are held because their
    /// lease expired.
    pub(super) fn hold(&mut self) {
        let held: BTreeSet<SocketAddr> = self
            .lines
            .iter()
            .filter(|line| translate::is_tcp(&line.key))
            .flat_map(|line| &line.record.withheld)
            .filter(|(_, held)| held.reason.is_expiry())
            .filter_map(|(member, _)| Some(translate::server_key(member)?.0))
            .collect();
        self.held.send_if_modified(|asked| {
            let news = *asked != held;
            *asked = held;
            news
        });
    }
}

/// Why it is not managed any more, and who of its members has no weight: nobody
/// is left who would give it back.
fn farewell(line: &Line, over: Over) -> String {
    if over == Over::Gone {
        return "the tree has no member of it".to_owned();
    }
    let members = line.record.members.iter();
    let resting = members.filter(|(_, known)| known.quiesced_at.is_some());
    let resting: Vec<_> = resting.map(|(member, _)| member.clone()).collect();
    let left = "it is left as it is".to_owned();
    if resting.is_empty() {
        return left;
    }
    format!(
        "{left}; not ready, and left with weight 0: {}",
        words::list(&resting)
    )
}
