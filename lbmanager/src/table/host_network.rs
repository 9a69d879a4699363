//! The host's own network around the table: addresses, iptables rules, kernel
//! settings.
//!
//! They are set in a future of their own, beside the table's passes: what is
//! slow or fails here is retried here, and delays no change to the table. The
//! table publishes what it needs as state ([`WantedNetwork`]).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipvs::ServiceKey;
use presence::model::HostId;
use presence::process::backoff::Backoff;
use presence::store::Store;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Table;
use super::addresses::Addresses;
use super::image::Image;
use super::kernel::Kernel;
use super::line::Line;
use super::lines::Lines;
use super::others::held;
use crate::host::links::Links;
use crate::host::masquerade::{self, Look, Masquerade, Rule};
use crate::host::service::Service;
use crate::host::{Host, HostSettings, Report};
use crate::manager::whole::Orders;
use crate::peers::{Share, Shares};

/// Interfaces are looked at this often: Docker creates its bridge when it
/// starts.
const LOOK: Duration = Duration::from_secs(10);
/// The longest time between two attempts to set addresses and settings, which
/// takes a few system calls,
const LONGEST: Duration = Duration::from_secs(5);
/// and to set rules, which takes several programs.
const LONGEST_RULES: Duration = Duration::from_secs(10);

/// What the table needs of the host's network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedNetwork {
    /// Virtual services that were created here, by any identity.
    services: Vec<Service>,
    /// The other virtual services in the kernel. Rules for them stay: a
    /// previous run whose state was lost may have set them.
    foreign: Vec<Service>,
    /// Addresses that the interface must have,
    addresses: BTreeSet<IpAddr>,
    /// and those that it keeps if it has them.
    undecided: BTreeSet<IpAddr>,
    /// Why addresses are not added.
    notes: BTreeSet<String>,
    resync: u64,
}

type Wanted = Option<Arc<WantedNetwork>>;

/// Publishes what the table needs.
#[derive(Debug)]
pub struct Publisher {
    sender: watch::Sender<Wanted>,
    bind_vips: bool,
    /// The table changed since the last time.
    pub dirty: bool,
    shares: Arc<Shares>,
}

impl Publisher {
    /// `dirty`: a previous run may have set what is not needed any more.
    pub fn new(settings: &HostSettings, dirty: bool) -> (Self, watch::Receiver<Wanted>) {
        let (sender, wanted) = watch::channel(None);
        let publisher = Self {
            sender,
            bind_vips: settings.bind_vips.is_some(),
            dirty,
            shares: Arc::default(),
        };
        (publisher, wanted)
    }
}

impl<S: Store, K: Kernel> Table<S, K> {
    /// Publishes what the table needs, if it changed or drift may be repaired.
    /// Nothing is set before there was a virtual service.
    pub(super) fn sync_host_network(&mut self, orders: &Orders, is_resync: bool) {
        let Some(network) = &mut self.network else {
            return;
        };
        let is_known = !Arc::ptr_eq(&network.shares, &orders.shares) || is_resync;
        let is_idle = self.lines.is_empty() && self.parts.ledger.is_empty();
        if !network.dirty && (!is_known || is_idle) {
            return;
        }
        network.dirty = false;
        network.shares = Arc::clone(&orders.shares);
        let ledger = &self.parts.ledger;
        let image = self.image.as_ref();
        let mut wanted = WantedNetwork {
            services: services(image, |key| ledger.knows(key)),
            foreign: services(image, |key| !ledger.knows(key)),
            resync: orders.resync,
            ..WantedNetwork::default()
        };
        if network.bind_vips {
            let held = held(ledger, &self.lines).into_iter();
            wanted.undecided = held.filter_map(|(key, _)| address(key)).collect();
            decide_addresses(&mut wanted, &self.lines, &orders.shares);
        }
        network.sender.send_replace(Some(Arc::new(wanted)));
    }
}

/// The addresses that the interface must have, and why it does not get others.
fn decide_addresses(wanted: &mut WantedNetwork, lines: &Lines, shares: &Shares) {
    for line in lines.iter() {
        let Some(address) = address(&line.key) else {
            continue;
        };
        match lines.share(line, shares) {
            Share::With(others) => {
                wanted.notes.insert(not_bound(line, &others));
            }
            Share::Undecided => {
                wanted.undecided.insert(address);
            }
            Share::Alone => {
                wanted.addresses.insert(address);
            }
        }
    }
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

fn services(image: Option<&Image>, is_wanted: impl Fn(&ServiceKey) -> bool) -> Vec<Service> {
    let keys = image.into_iter().flat_map(Image::keys);
    let services = keys.filter(|key| is_wanted(key)).filter_map(|key| {
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

/// Sets what is published, until the publisher is gone.
pub async fn run(settings: HostSettings, addresses: Addresses, wanted: watch::Receiver<Wanted>) {
    let (rules, wanted_rules) = watch::channel(None);
    let masquerade = Masquerade::new(settings.programs.clone());
    let sync = HostNetworkSync {
        masquerade: settings.masquerade,
        host: Host::new(settings),
        addresses,
        rules,
        last: None,
        logged: BTreeSet::new(),
    };
    tokio::join!(sync.run(wanted), sync_rules(masquerade, wanted_rules));
}

/// Keeps addresses and settings.
struct HostNetworkSync {
    masquerade: masquerade::Mode,
    host: Host,
    addresses: Addresses,
    rules: watch::Sender<Option<WantedRules>>,
    /// What was set last, without a problem.
    last: Option<(Arc<WantedNetwork>, Links)>,
    logged: BTreeSet<String>,
}

/// The rules that must be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct WantedRules {
    rules: BTreeSet<Rule>,
    /// Those that stay if they are there.
    kept: BTreeSet<Rule>,
    resync: u64,
}

impl HostNetworkSync {
    async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST);
        loop {
            let current = wanted.borrow_and_update().clone();
            let wait = match current {
                None => Duration::MAX,
                Some(wanted) if self.sync(&wanted) => {
                    backoff.succeeded();
                    LOOK
                }
                Some(_) => backoff.failed(),
            };
            if let Ok(Err(_)) = timeout(wait, wanted.changed()).await {
                return;
            }
        }
    }

    /// Whether everything is as wanted.
    fn sync(&mut self, wanted: &Arc<WantedNetwork>) -> bool {
        let links = match self.host.links() {
            Ok(links) => links,
            Err(error) => {
                let problems = BTreeSet::from([error.to_string()]);
                self.log(
                    Report {
                        problems,
                        ..Report::default()
                    },
                    &wanted.notes,
                );
                return false;
            }
        };
        let is_same = |(before, seen): &(Arc<WantedNetwork>, Links)| {
            Arc::ptr_eq(before, wanted) && *seen == links
        };
        if self.last.as_ref().is_some_and(is_same) {
            return true;
        }
        let (report, kept) = self.apply(wanted, &links);
        self.rules.send_replace(Some(kept));
        let is_done = report.problems.is_empty();
        self.log(report, &wanted.notes);
        // Its own changes are seen with the next look.
        self.last = is_done.then(|| (Arc::clone(wanted), links));
        is_done
    }

    fn apply(&mut self, wanted: &WantedNetwork, links: &Links) -> (Report, WantedRules) {
        let bound = self.addresses.bound();
        let is_bound = |address: &&IpAddr| bound.iter().any(|bound| bound.address == **address);
        let undecided = wanted.undecided.iter().filter(is_bound);
        let addresses = wanted.addresses.iter().chain(undecided).copied().collect();
        let mut plan = self.host.plan(&addresses, &wanted.services, bound, links);
        let mut problems = BTreeSet::new();
        if let Err(error) = self.addresses.bind(plan.vips.before()) {
            problems.insert(format!("no address is added: {error}"));
            plan.vips.add.clear();
        }
        let mut report = self.host.apply(&plan, links);
        if let Some(bound) = report.ledger.take()
            && let Err(error) = self.addresses.bind(bound)
        {
            // Until it is written, it names more than there is.
            problems.insert(error.to_string());
        }
        report.problems.extend(problems);
        let kept = match self.masquerade {
            masquerade::Mode::Auto => masquerade::plan(&wanted.foreign, links.bridged()),
            masquerade::Mode::Off => BTreeSet::new(),
        };
        let rules = WantedRules {
            rules: plan.rules,
            kept,
            resync: wanted.resync,
        };
        (report, rules)
    }

    fn log(&mut self, report: Report, notes: &BTreeSet<String>) {
        for change in &report.changes {
            tracing::info!("{change}");
        }
        let mut problems = report.problems;
        problems.extend(report.notes);
        problems.extend(notes.iter().cloned());
        log_new(problems, &mut self.logged);
    }
}

/// Keeps the rules.
async fn sync_rules(mut masquerade: Masquerade, mut wanted: watch::Receiver<Option<WantedRules>>) {
    let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST_RULES);
    let mut logged = BTreeSet::new();
    let mut done = WantedRules::default();
    loop {
        let current = wanted.borrow_and_update().clone();
        let wait = match current {
            None => Duration::MAX,
            Some(wanted) => {
                let look = if wanted.resync == done.resync {
                    Look::Changes
                } else {
                    Look::Everything
                };
                let (rules, kept) = (&wanted.rules, &wanted.kept);
                let problems = masquerade.settle_keeping(rules, kept, look).await;
                let is_done = problems.is_empty();
                let problems = problems.iter().map(ToString::to_string);
                log_new(problems.collect(), &mut logged);
                if is_done {
                    backoff.succeeded();
                    done = wanted;
                    Duration::MAX
                } else {
                    backoff.failed()
                }
            }
        };
        if let Ok(Err(_)) = timeout(wait, wanted.changed()).await {
            return;
        }
    }
}

/// Logs the problems that were not there before.
fn log_new(problems: BTreeSet<String>, logged: &mut BTreeSet<String>) {
    for problem in problems.difference(logged) {
        tracing::warn!("{problem}");
    }
    *logged = problems;
}
