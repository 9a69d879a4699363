//! Virtual services that another identity created in this kernel: another
//! prefix, cluster or host ID of this manager. They are left alone and shown
//! as held, so that a mistyped prefix changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipvs::ServiceKey;
use presence::model::{BalancerId, Revision};
use presence::process::words::list;
use presence::store::Store;

use super::kernel::Kernel;
use super::ledger::{Ledger, Other};
use super::lines::Lines;
use super::outbox::Outbox;
use super::{Table, translate};
use crate::identity::Identity;
use crate::manager::whole::Orders;
use crate::reconcile::{Report, Rest};
use crate::record::{Reason, Record, Withheld};

/// What was shown of services of other identities.
#[derive(Debug, Default)]
pub struct Others {
    /// A release that is not newer was written for another reason.
    start: Option<Revision>,
    shown: BTreeSet<BalancerId>,
    logged: BTreeMap<Arc<Identity>, usize>,
}

impl Others {
    /// Takes from the records those that only show a service of another
    /// identity: nothing is known of such a service.
    pub fn of(
        records: &mut BTreeMap<BalancerId, Record>,
        ledger: &Ledger,
        outbox: &Outbox,
    ) -> Self {
        let is_other = |id: &BalancerId| {
            let key = super::ledger::key_of(id);
            key.is_some_and(|key| ledger.others().contains_key(&key))
        };
        let shown = records.extract_if(.., |id, record| record.members.is_empty() && is_other(id));
        let shown = shown.map(|(id, record)| {
            outbox.known(id.clone(), &record.to_json());
            id
        });
        Self {
            shown: shown.collect(),
            ..Self::default()
        }
    }

    /// Services of other identities that an operator has released since this
    /// process started.
    fn released(&mut self, ledger: &Ledger, orders: &Orders) -> BTreeSet<ServiceKey> {
        let start = *self.start.get_or_insert(orders.releases.header.revision);
        let others = ledger.others().iter();
        let released = others.filter(|(_, other)| {
            let release = orders.released(&other.kept.id);
            release.is_some_and(|release| release > start)
        });
        released.map(|(key, _)| *key).collect()
    }

    /// Revisions compare with nothing that was before.
    pub fn history_was_reset(&mut self) {
        self.start = None;
    }
}

impl<S: Store, K: Kernel> Table<S, K> {
    /// Makes released services of other identities this identity's: the tree
    /// does not list their members, so they are removed.
    pub(super) fn take_over_released(&mut self, orders: &Orders) {
        let released = self.others.released(&self.parts.ledger, orders);
        if released.is_empty() {
            return;
        }
        tracing::info!(
            "released: {} virtual services of other identities are managed here now",
            released.len()
        );
        self.parts.ledger.take_over(&released);
    }

    /// Shows services of other identities that are in the kernel.
    pub(super) fn show_others(&mut self) {
        let Some(image) = &self.image else { return };
        let is_present = |key: &ServiceKey| image.get(key).is_some();
        self.parts.ledger.retain_others(is_present);
        let held = held(&self.parts.ledger, &self.lines);
        let mut shown = BTreeSet::new();
        for (key, other) in &held {
            let Some(present) = image.get(key) else {
                continue;
            };
            let why = format!("created for {}", other.identity);
            let withheld = present.servers.keys().map(|server| {
                let withheld = Withheld {
                    reason: Reason::Stranger,
                    why: why.clone(),
                    until: None,
                };
                (translate::member(*server), withheld)
            });
            let record = Record {
                manager: self.parts.settings.host.to_string(),
                withheld: withheld.collect(),
                problems: vec![problem(&other.identity)],
                ..Record::default()
            };
            let report = Report {
                rest: Rest::Stuck,
                withheld: record.withheld.len(),
                ..Report::default()
            };
            let id = &other.kept.id;
            self.parts.board.report(id, report);
            self.outbox.write(id, Arc::new(record));
            shown.insert(id.clone());
        }
        self.others.log(&held);
        let before = std::mem::replace(&mut self.others.shown, shown);
        let is_kept = |id: &&BalancerId| {
            let key = super::ledger::key_of(id);
            self.others.shown.contains(*id) || key.is_some_and(|key| self.lines.get(&key).is_some())
        };
        for id in before.iter().filter(|id| !is_kept(id)) {
            self.forget(id);
        }
    }
}

/// The services of other identities that this tree does not list.
pub(super) fn held<'a>(ledger: &'a Ledger, lines: &Lines) -> Vec<(&'a ServiceKey, &'a Other)> {
    let others = ledger.others().iter();
    let held = others.filter(|(key, _)| lines.get(key).is_none());
    held.collect()
}

fn problem(identity: &Identity) -> String {
    format!(
        "created for {identity}, and left as it is until a manager runs with these again, or \
         until `lbmanager release --all`"
    )
}

impl Others {
    /// Logs the number of held services of each identity, when it changes.
    fn log(&mut self, held: &[(&ServiceKey, &Other)]) {
        let mut services: BTreeMap<Arc<Identity>, Vec<&BalancerId>> = BTreeMap::new();
        for (_, other) in held {
            let of_identity = services.entry(Arc::clone(&other.identity)).or_default();
            of_identity.push(&other.kept.id);
        }
        for (identity, ids) in &services {
            if self.logged.get(identity) == Some(&ids.len()) {
                continue;
            }
            let first: Vec<&BalancerId> = ids.iter().take(3).copied().collect();
            tracing::warn!(
                "{} virtual services in the kernel were {} ({}{}); check --prefix, --host-id and \
                 --endpoints",
                ids.len(),
                problem(identity),
                list(&first),
                if ids.len() > 3 { ", …" } else { "" }
            );
        }
        let counts = services.into_iter();
        self.logged = counts
            .map(|(identity, ids)| (identity, ids.len()))
            .collect();
    }
}
