//! What etcd has, read once: the tree and what the managers report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use presence::keys::status::{BalancerStatusKey, ManagerRole};
use presence::keys::{Tree as Keyspace, TreeKey};
use presence::mirror::View;
use presence::model::{BalancerId, Class, MemberId, MemberKey};
use presence::process::exit::Failure;
use presence::store::{Entry, Store};

use super::writers::Writers;
use super::{TreeArgs, refused, words};
use crate::desired;
use crate::manager;
use crate::record::{Record, State};
use crate::tree::{BalancerTree, Tree};

/// Everything, of all load balancers.
pub(super) struct Whole {
    pub tree: Tree,
    pub reports: BTreeMap<BalancerStatusKey, Record>,
    pub writers: Writers,
}

/// Reads everything.
pub(super) async fn whole<S: Store>(store: &S, args: &TreeArgs) -> Result<Whole, Failure> {
    // The tree second, so that no status is newer than it.
    let keys = args.prefix.status();
    let mut all = reports(store, args, &keys.aws_prefix()).await?;
    all.extend(reports(store, args, &keys.hosts_prefix()).await?);
    let tree = tree(store, args).await?;
    let writers = Writers::read(store, args).await?;
    Ok(Whole {
        tree,
        reports: all,
        writers,
    })
}

/// Reads the tree alone.
pub(super) async fn tree<S: Store>(store: &S, args: &TreeArgs) -> Result<Tree, Failure> {
    let listing = store.list(&args.prefix.prefix(), None).await?;
    Ok(view(&args.prefix, &listing.entries))
}

/// The load balancers that the arguments name, each once.
pub(super) fn named(args: &TreeArgs, names: &[String]) -> Result<BTreeSet<BalancerId>, Failure> {
    names.iter().map(|name| args.balancer(name)).collect()
}

/// Those that were named, or all that there are. One that nobody knows is an
/// error.
pub(super) fn choose<'a>(
    named: BTreeSet<BalancerId>,
    tree: &'a Tree,
    reported: impl IntoIterator<Item = &'a BalancerId>,
) -> Result<BTreeSet<BalancerId>, Failure> {
    let listed = tree.balancers.keys();
    let known: BTreeSet<BalancerId> = listed.chain(reported).cloned().collect();
    if named.is_empty() {
        return Ok(known);
    }
    match named.iter().find(|id| !known.contains(*id)) {
        None => Ok(named),
        Some(unknown) if known.is_empty() => Err(refused(format!(
            "{unknown} is not in the tree; there is no load balancer in it at all"
        ))),
        Some(unknown) => Err(refused(format!(
            "{unknown} is not in the tree; there are: {}",
            words::list(&known)
        ))),
    }
}

/// All that there is of one load balancer.
pub(super) struct Keys {
    pub config: Option<Entry>,
    pub members: Vec<(MemberKey, Entry)>,
    pub tree: BalancerTree,
    pub reports: BTreeMap<BalancerStatusKey, Record>,
}

/// Reads one load balancer.
pub(super) async fn one<S: Store>(
    store: &S,
    args: &TreeArgs,
    id: &BalancerId,
) -> Result<Keys, Failure> {
    let reports = reports_on(store, args, id).await?;
    let listing = store.list(&args.prefix.below(id), None).await?;
    let tree = view(&args.prefix, &listing.entries);
    let tree = tree.balancer(id).map(|tree| (**tree).clone());
    let mut keys = Keys {
        config: None,
        members: Vec::new(),
        tree: tree.unwrap_or_default(),
        reports,
    };
    for (key, entry) in listing.entries {
        match args.prefix.parse(&key) {
            Ok(TreeKey::BalancerConfig(_)) => keys.config = Some(entry),
            Ok(TreeKey::Member(member)) => keys.members.push((member, entry)),
            Ok(TreeKey::Config) | Err(_) => {}
        }
    }
    Ok(keys)
}

/// What the managers report on one load balancer: for IPVS those of the hosts
/// that claim its region.
pub(super) async fn reports_on<S: Store>(
    store: &S,
    args: &TreeArgs,
    id: &BalancerId,
) -> Result<BTreeMap<BalancerStatusKey, Record>, Failure> {
    let keys = args.prefix.status();
    let mut reports = BTreeMap::new();
    for status in statuses_of(store, args, id).await? {
        let key = keys.status(&status);
        if let Some(entry) = store.get(&key).await?.entry
            && let Some((status, record)) = manager::report(&keys, &key, &entry)
        {
            reports.insert(status, record);
        }
    }
    Ok(reports)
}

/// The statuses that there may be of one load balancer.
pub(super) async fn statuses_of<S: Store>(
    store: &S,
    args: &TreeArgs,
    id: &BalancerId,
) -> Result<BTreeSet<BalancerStatusKey>, Failure> {
    if ManagerRole::of(id.kind()) == ManagerRole::Aws {
        let host = args.common.host_id()?;
        return Ok(BTreeSet::from([BalancerStatusKey::by(&host, id)]));
    }
    let writers = Writers::read(store, args).await?;
    Ok(writers.managers.concerned(id))
}

/// The statuses whose keys begin with this.
pub(super) async fn reports<S: Store>(
    store: &S,
    args: &TreeArgs,
    prefix: &str,
) -> Result<BTreeMap<BalancerStatusKey, Record>, Failure> {
    Ok(manager::reports(store, &args.prefix.status(), prefix).await?)
}

fn view(keys: &Keyspace, entries: &[(String, Entry)]) -> Tree {
    let mut tree = Tree::new(Arc::new(keys.clone()));
    for (key, entry) in entries {
        tree.list(key, entry);
    }
    tree
}

impl Keys {
    /// A member's key as it is.
    pub(super) fn entry(&self, key: &MemberKey) -> Option<&Entry> {
        let mut members = self.members.iter();
        members
            .find(|(other, _)| other == key)
            .map(|(_, entry)| entry)
    }

    /// The class whose members serve.
    pub(super) fn class_in_force(&self) -> Option<Class> {
        let nothing_known = Record::default();
        let known = self.reports.values().next();
        desired::class_in_force(&self.tree, known.unwrap_or(&nothing_known))
    }

    /// Whether anybody ever heard of it.
    pub(super) fn is_unknown(&self) -> bool {
        self.members.is_empty() && self.config.is_none() && self.reports.is_empty()
    }

    /// Who was registered when a manager looked last.
    pub(super) fn registered(&self) -> BTreeSet<&MemberId> {
        let members = self.reports.values().flat_map(|record| &record.members);
        members
            .filter(|(_, known)| !matches!(known.state, State::Absent | State::Rejected))
            .map(|(member, _)| member)
            .collect()
    }
}
