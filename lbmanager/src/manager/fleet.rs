//! The reconcilers that run, and who is to run.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use presence::model::{BalancerId, Kind};
use presence::process::shutdown::Shutdown;
use presence::store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::whole::{self, Whole};
use crate::backend::Backend;
use crate::identity::Identity;
use crate::reconcile::{Hook, Orders, Reconciler, Shared};
use crate::record::Record;
use crate::tree::{BalancerTree, Tree};

/// Makes reconcilers of one kind.
pub trait Launch: Send + Sync {
    /// A reconciler for this load balancer, ready to run.
    fn launch(
        &self,
        id: BalancerId,
        record: Option<Record>,
        orders: watch::Receiver<Orders>,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<S: Store, B: Backend, H: Hook> Launch for Shared<S, B, H> {
    fn launch(
        &self,
        id: BalancerId,
        record: Option<Record>,
        orders: watch::Receiver<Orders>,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let shared = self.clone();
        // Not before it runs: a large record is some work to take up.
        Box::pin(async move {
            let reconciler = Reconciler::new(id, shared, record);
            reconciler.run(orders, shutdown).await;
        })
    }
}

/// All reconcilers.
pub struct Fleet {
    launchers: BTreeMap<Kind, Box<dyn Launch>>,
    whole: Option<Whole>,
    running: BTreeMap<BalancerId, watch::Sender<Orders>>,
    tasks: JoinSet<()>,
    records: BTreeMap<BalancerId, Record>,
    shutdown: Shutdown,
    /// What those are told who have no key left.
    nothing: Arc<BalancerTree>,
    /// Kinds in the tree that nobody here manages; said once.
    foreign: BTreeSet<Kind>,
}

impl Fleet {
    /// A fleet that goes on from these records.
    pub fn new(
        launchers: BTreeMap<Kind, Box<dyn Launch>>,
        whole: Option<(Box<dyn whole::Launch>, Identity)>,
        mut records: BTreeMap<BalancerId, Record>,
        shutdown: Shutdown,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let whole = whole.map(|(launcher, identity)| {
            let kind = launcher.kind();
            let of_whole = records.extract_if(.., |id, _| id.kind() == kind).collect();
            let (whole, task) = Whole::start(launcher, identity, of_whole, shutdown.clone());
            tasks.spawn(task);
            whole
        });
        records.retain(|id, _| launchers.contains_key(&id.kind()));
        Self {
            launchers,
            whole,
            running: BTreeMap::new(),
            tasks,
            records,
            shutdown,
            nothing: Arc::default(),
            foreign: BTreeSet::new(),
        }
    }

    /// Who is managed.
    pub fn ids(&self) -> impl Iterator<Item = &BalancerId> {
        let whole = self.whole.iter().flat_map(Whole::ids);
        self.running.keys().chain(whole)
    }

    /// Tells every reconciler the newest state, and starts those that are
    /// missing: for load balancers with members, and for those that a record
    /// says something is left to do for.
    pub fn steer(
        &mut self,
        tree: &Tree,
        orders: impl Fn(&BalancerId, &Arc<BalancerTree>) -> Orders,
        orders_for_whole: impl FnOnce() -> whole::Orders,
    ) {
        let kept_as_whole = self.whole.as_ref().map(Whole::kind);
        for (id, running) in &self.running {
            let balancer = tree.balancer(id).unwrap_or(&self.nothing);
            orders(id, balancer).send(running);
        }
        for (id, balancer) in tree.balancers.iter() {
            let is_one = Some(id.kind()) != kept_as_whole;
            if is_one && !balancer.members.is_empty() && !self.running.contains_key(id) {
                self.launch(id, orders(id, balancer));
            }
        }
        while let Some((id, _)) = self.records.first_key_value() {
            let id = id.clone();
            let balancer = tree.balancer(&id).unwrap_or(&self.nothing);
            self.launch(&id, orders(&id, balancer));
        }
        if let Some(whole) = &mut self.whole {
            whole.steer(tree, orders_for_whole());
        }
    }

    fn launch(&mut self, id: &BalancerId, orders: Orders) {
        let record = self.records.remove(id);
        let Some(launcher) = self.launchers.get(&id.kind()) else {
            if self.foreign.insert(id.kind()) {
                let kind = id.kind();
                tracing::info!("the tree has {kind} load balancers, which are not managed here");
            }
            return;
        };
        let (sender, receiver) = watch::channel(orders);
        let task = launcher.launch(id.clone(), record, receiver, self.shutdown.clone());
        self.tasks.spawn(task);
        self.running.insert(id.clone(), sender);
    }

    /// Its reconciler has ended because nothing was left to manage.
    pub fn dismiss(&mut self, id: &BalancerId) {
        self.running.remove(id);
        if let Some(whole) = &mut self.whole {
            whole.dismiss(id);
        }
    }

    /// Ends when a reconciler ended that should not have. Cancel-safe.
    pub async fn unexpected_end(&mut self) {
        loop {
            match self.tasks.join_next().await {
                None => std::future::pending().await,
                Some(Ok(())) => {}
                Some(Err(_)) => return,
            }
        }
    }

    /// Ends when all have ended, which they do at shutdown.
    pub async fn ended(&mut self) {
        self.running.clear();
        self.whole = None;
        while self.tasks.join_next().await.is_some() {}
    }
}
