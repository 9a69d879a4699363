//! A kind of load balancer that one reconciler keeps as a whole: virtual
//! services, which are one table of the local kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use presence::mirror::Snapshot;
use presence::model::{BalancerId, Kind, Region, Revision};
use presence::process::shutdown::Shutdown;
use tokio::sync::watch;

use super::Releases;
use crate::history::Freeze;
use crate::identity::Identity;
use crate::peers::Shares;
use crate::record::Record;
use crate::tree::{BalancerTree, Config, Tree};

/// The state that such a reconciler works from. All of it is state: losing
/// all but the last is no loss.
#[derive(Debug, Clone)]
pub struct Orders {
    /// What the tree says of each load balancer, of whatever kind.
    pub balancers: Arc<BTreeMap<BalancerId, Arc<BalancerTree>>>,
    /// Options for everything.
    pub general: Option<Arc<Config>>,
    /// Operators' releases.
    pub releases: Arc<Snapshot<Releases>>,
    /// Who else serves the regions of this host.
    pub shares: Arc<Shares>,
    /// Why removals are frozen: the history was reset.
    pub frozen: Option<Freeze>,
    /// How often the history was reset.
    pub replacements: u32,
    /// Counts up when it is time to look for drift.
    pub resync: u64,
}

impl Orders {
    /// The newest release that covers this load balancer.
    pub fn released(&self, id: &BalancerId) -> Option<Revision> {
        self.releases.view.of(id, self.releases.header.cluster)
    }
}

/// Makes such a reconciler.
pub trait Launch: Send + Sync {
    /// Of what kind it is.
    fn kind(&self) -> Kind;

    /// Which regions it is for.
    fn regions(&self) -> Vec<Region>;

    /// A reconciler that continues from these records, ready to run.
    fn launch(
        self: Box<Self>,
        identity: Identity,
        records: BTreeMap<BalancerId, Record>,
        orders: watch::Receiver<Option<Orders>>,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Such a reconciler, as the fleet has it.
pub(super) struct Whole {
    kind: Kind,
    regions: Vec<Region>,
    orders: watch::Sender<Option<Orders>>,
    /// Who is managed.
    ids: BTreeSet<BalancerId>,
}

impl Whole {
    /// Starts it: what is to be run, and what tells it.
    pub fn start(
        launcher: Box<dyn Launch>,
        identity: Identity,
        records: BTreeMap<BalancerId, Record>,
        shutdown: Shutdown,
    ) -> (Self, Pin<Box<dyn Future<Output = ()> + Send>>) {
        let (orders, receiver) = watch::channel(None);
        let whole = Self {
            kind: launcher.kind(),
            regions: launcher.regions(),
            orders,
            ids: records.keys().cloned().collect(),
        };
        (
            whole,
            launcher.launch(identity, records, receiver, shutdown),
        )
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn ids(&self) -> &BTreeSet<BalancerId> {
        &self.ids
    }

    pub fn steer(&mut self, tree: &Tree, orders: Orders) {
        let listed = tree.balancers.iter().filter(|(id, tree)| {
            let speaks = !tree.members.is_empty() || tree.config.is_some();
            id.kind() == self.kind && self.regions.contains(id.region()) && speaks
        });
        for (id, _) in listed {
            if !self.ids.contains(id) {
                self.ids.insert(id.clone());
            }
        }
        self.orders.send_replace(Some(orders));
    }

    pub fn dismiss(&mut self, id: &BalancerId) {
        self.ids.remove(id);
    }
}
