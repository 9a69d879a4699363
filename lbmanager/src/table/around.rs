//! What is set on this host's own network around the table: addresses, rules,
//! settings. None of it stands in the table's way.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::ServiceKey;
use presence::model::HostId;
use presence::store::Store;

use super::Table;
use super::image::Image;
use super::kernel::Kernel;
use super::ledger::Ledger;
use super::line::Line;
use super::lines::Lines;
use super::others::held;
use crate::host::masquerade::Look;
use crate::host::service::Service;
use crate::host::vips::Bound;
use crate::host::{Host, HostSettings, Report};
use crate::manager::whole::Orders;
use crate::peers::{Share, Shares};

/// What is around the table, and what was said of it.
#[derive(Debug)]
pub struct Around {
    host: Host,
    /// The table changed since it was last seen to.
    pub is_due: bool,
    binds: bool,
    /// Who else serves the regions, when it was last seen to.
    shares: Arc<Shares>,
    said: BTreeSet<String>,
}

impl Around {
    /// Nothing is touched before a table was kept.
    pub fn new(settings: HostSettings, is_due: bool) -> Self {
        Self {
            binds: settings.bind_vips.is_some(),
            host: Host::new(settings),
            is_due,
            shares: Arc::default(),
            said: BTreeSet::new(),
        }
    }

    /// Says what is news.
    fn tell(&mut self, report: &Report, more: impl IntoIterator<Item = String>) {
        for change in &report.changes {
            tracing::info!("{change}");
        }
        let mut problems = report.problems.clone();
        problems.extend(report.notes.iter().cloned());
        problems.extend(more);
        for problem in problems.difference(&self.said) {
            tracing::warn!("{problem}");
        }
        self.said = problems;
    }
}

impl<S: Store, K: Kernel> Table<S, K> {
    /// Sees to it, if the table changed or it is time to look for drift.
    pub(super) async fn settle_around(&mut self, orders: &Orders, is_resync: bool) {
        let Some(around) = &mut self.around else {
            return;
        };
        around.is_due |= !Arc::ptr_eq(&around.shares, &orders.shares);
        if !std::mem::take(&mut around.is_due) && !is_resync {
            return;
        }
        around.shares = Arc::clone(&orders.shares);
        let ledger = &self.parts.ledger;
        let services = services(self.image.as_ref(), |key| ledger.knows(key));
        let bound = self.parts.addresses.bound();
        let (addresses, shared) = if around.binds {
            addresses(&self.lines, ledger, bound, &orders.shares)
        } else {
            Default::default()
        };
        let plan = match around.host.plan(&addresses, &services, bound) {
            Ok(plan) => plan,
            Err(error) => {
                let report = Report {
                    problems: BTreeSet::from([error.to_string()]),
                    ..Report::default()
                };
                around.is_due = true;
                return around.tell(&report, shared);
            }
        };
        if let Err(error) = self.parts.addresses.bind(plan.vips.before()) {
            tracing::warn!("no address is added or removed: {error}");
            around.is_due = true;
            return;
        }
        let look = if is_resync {
            Look::Everything
        } else {
            Look::Changes
        };
        let mut report = around.host.before_table(&plan, look).await;
        let after = around.host.after_table(&plan);
        report.problems.extend(after.problems);
        report.changes.extend(after.changes);
        report.notes.extend(after.notes);
        if let Some(bound) = after.ledger
            && let Err(error) = self.parts.addresses.bind(bound)
        {
            // It says more than is so, which is looked at the next time.
            report.problems.insert(error.to_string());
        }
        around.tell(&report, shared);
    }
}

/// The addresses that the interface is to have, and why it does not get others.
fn addresses(
    lines: &Lines,
    ledger: &Ledger,
    bound: &BTreeSet<Bound>,
    shares: &Shares,
) -> (BTreeSet<IpAddr>, BTreeSet<String>) {
    let mut addresses = BTreeSet::new();
    let mut withheld = BTreeSet::new();
    let is_bound = |address| bound.iter().any(|bound| bound.address == address);
    for (key, _) in held(ledger, lines) {
        addresses.extend(address(key).filter(|address| is_bound(*address)));
    }
    for line in lines.iter() {
        let Some(address) = address(&line.key) else {
            continue;
        };
        match lines.share(line, shares) {
            Share::With(others) => {
                withheld.insert(not_bound(line, &others));
            }
            Share::Undecided if !is_bound(address) => {}
            // Until it is decided it stays as it is.
            Share::Undecided | Share::Alone => {
                addresses.insert(address);
            }
        }
    }
    (addresses, withheld)
}

fn not_bound(line: &Line, others: &BTreeSet<HostId>) -> String {
    let others: Vec<&str> = others.iter().map(HostId::as_str).collect();
    format!(
        "{}: --bind-vips does not add its address: its region is served by {} as well, and only \
         one host may answer for it",
        line.id(),
        others.join(", ")
    )
}

fn services(image: Option<&Image>, is_ours: impl Fn(&ServiceKey) -> bool) -> Vec<Service> {
    let keys = image.into_iter().flat_map(Image::keys);
    let ours = keys.filter(|key| is_ours(key));
    let services = ours.filter_map(|key| {
        let present = image?.get(key)?;
        let servers = present.servers.iter();
        let servers = servers.map(|(key, server)| (*key, server.config));
        Some(Service::new(*key, &present.config, servers))
    });
    services.collect()
}

fn address(key: &ServiceKey) -> Option<IpAddr> {
    match key {
        ServiceKey::Address { address, .. } => Some(address.ip()),
        ServiceKey::Fwmark { .. } => None,
    }
}
