//! What etcd has, read once: the tree, the status records, the releases.

use std::collections::BTreeSet;
use std::sync::Arc;

use presence::keys::{self, TreeKey};
use presence::mirror::View;
use presence::model::{BalancerId, Class, MemberId, MemberKey};
use presence::process::exit::Failure;
use presence::store::{Entry, Store};

use super::{TreeArgs, refused};
use crate::desired;
use crate::manager::{Statuses, statuses};
use crate::record::{Record, State};
use crate::tree::{BalancerTree, Tree};

/// Everything, of all load balancers.
pub(super) struct Whole {
    pub tree: Tree,
    pub statuses: Statuses,
}

/// Reads everything.
pub(super) async fn whole<S: Store>(store: &S, args: &TreeArgs) -> Result<Whole, Failure> {
    // The tree second, so that no status is newer than it.
    let (_, statuses) = statuses(store).await?;
    let listing = store.list(&args.prefix.prefix(), None).await?;
    Ok(Whole {
        tree: view(args, &listing.entries),
        statuses,
    })
}

impl Whole {
    /// Every load balancer that has keys or a status.
    pub(super) fn all(&self) -> BTreeSet<BalancerId> {
        let listed = self.tree.balancers.keys();
        listed.chain(self.statuses.keys()).cloned().collect()
    }
}

/// The load balancers that the arguments name, each once.
pub(super) fn named(args: &TreeArgs, names: &[String]) -> Result<BTreeSet<BalancerId>, Failure> {
    names.iter().map(|name| args.balancer(name)).collect()
}

/// Those that were named, or all. One that nobody knows is an error.
pub(super) fn choose(
    named: BTreeSet<BalancerId>,
    known: BTreeSet<BalancerId>,
) -> Result<BTreeSet<BalancerId>, Failure> {
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
            super::words::list(&known)
        ))),
    }
}

/// All that there is of one load balancer.
pub(super) struct Keys {
    pub config: Option<Entry>,
    pub members: Vec<(MemberKey, Entry)>,
    pub tree: BalancerTree,
    pub record: Option<Record>,
}

/// Reads one load balancer.
pub(super) async fn one<S: Store>(
    store: &S,
    args: &TreeArgs,
    id: &BalancerId,
) -> Result<Keys, Failure> {
    let listing = store.list(&args.prefix.below(id), None).await?;
    let tree = view(args, &listing.entries);
    let mut keys = Keys {
        config: None,
        members: Vec::new(),
        tree: tree
            .balancer(id)
            .map(|tree| (**tree).clone())
            .unwrap_or_default(),
        record: record(store, id).await?,
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
        desired::class_in_force(&self.tree, self.record.as_ref().unwrap_or(&nothing_known))
    }

    /// Whether anybody ever heard of it.
    pub(super) fn is_unknown(&self) -> bool {
        self.members.is_empty() && self.config.is_none() && self.record.is_none()
    }

    /// Who was registered when a manager looked last.
    pub(super) fn registered(&self) -> Vec<&MemberId> {
        let record = self.record.iter();
        record
            .flat_map(|record| &record.members)
            .filter(|(_, known)| !matches!(known.state, State::Absent | State::Rejected))
            .map(|(member, _)| member)
            .collect()
    }
}

async fn record<S: Store>(store: &S, id: &BalancerId) -> Result<Option<Record>, Failure> {
    let key = keys::status::balancer(id);
    let Some(entry) = store.get(&key).await?.entry else {
        return Ok(None);
    };
    match Record::from_json(&entry.value) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            tracing::warn!("the status in {key} cannot be read ({error}); it counts as none");
            Ok(None)
        }
    }
}

fn view(args: &TreeArgs, entries: &[(String, Entry)]) -> Tree {
    let mut tree = Tree::new(Arc::new(args.prefix.clone()));
    for (key, entry) in entries {
        tree.list(key, entry);
    }
    tree
}
