//! The part of the tree that this manager reads, as one snapshot.
//!
//! A manager of AWS reads everything but virtual services, an IPVS manager its
//! own regions: what other hosts have in etcd costs it nothing. Each range has
//! a mirror of its own, and one task puts their snapshots together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::select_all;
use presence::keys::Tree as Keyspace;
use presence::keys::status::ManagerRole;
use presence::mirror::{Absorbed, Connection, Mirror, Replay, Snapshot};
use presence::model::{Kind, Region};
use presence::process::health::Health;
use presence::process::shutdown::Shutdown;
use presence::store::{KeyRange, Store};
use presence::watch_state::Replaced;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::start::Mirrored;
use super::statuses::Remembered;
use crate::tree::Tree;

/// The ranges of the tree that managers of these roles read.
pub(crate) fn ranges(
    tree: &Keyspace,
    roles: &BTreeSet<ManagerRole>,
    regions: &[Region],
) -> Vec<KeyRange> {
    let mut ranges = Vec::new();
    if roles.contains(&ManagerRole::Aws) {
        let virtual_services = format!("{}{}/", tree.prefix(), Kind::Ipvs);
        ranges.extend(KeyRange::around(&tree.prefix(), &virtual_services));
    } else {
        let config = tree.key(&presence::keys::TreeKey::Config);
        ranges.push(KeyRange::between(config.clone(), config + "\0"));
    }
    if roles.contains(&ManagerRole::Ipvs) {
        let of_region = |region| KeyRange::below(&tree.below_region(Kind::Ipvs, region));
        ranges.extend(regions.iter().map(of_region));
    }
    ranges
}

/// How a manager minds its mirrors; those that are read once are not minded.
#[derive(Default)]
pub(crate) struct Watched {
    /// That the history was reset, though the mirrors cannot see it.
    pub told: Option<watch::Receiver<Option<Replaced>>>,
    /// Up to where all statuses contain the changes of the tree.
    pub absorbed: Option<watch::Receiver<Absorbed>>,
    /// Whether the mirrors make progress.
    pub health: Option<Health>,
}

/// Starts the mirrors. They first learn why members are gone that a status
/// lists.
pub(crate) fn mirror_tree<S: Store>(
    store: &S,
    tree: &Keyspace,
    ranges: Vec<KeyRange>,
    remembered: &watch::Receiver<Option<Arc<Remembered>>>,
    watched: &Watched,
    mirrors: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> (Mirrored<Tree>, watch::Receiver<Connection>) {
    let mut parts = Vec::new();
    for (number, range) in ranges.into_iter().enumerate() {
        let (snapshots, snapshot) = watch::channel(None);
        let (connections, connection) = watch::channel(Connection::Starting);
        let (absorbed, is_absorbed) = watch::channel(Absorbed::default());
        let name = format!("mirror of the tree, range {number}");
        let heartbeat = watched.health.as_ref();
        let mirror = Mirror {
            store: store.clone(),
            range: range.clone(),
            empty: Tree::new(Arc::new(tree.clone())),
            replay: replay(remembered.clone(), range),
            told: watched.told.clone(),
            absorbed: Some(is_absorbed),
            snapshots,
            connection: connections,
            heartbeat: heartbeat.map(|health| health.heartbeat(name, presence::mirror::PROGRESS)),
        };
        mirrors.spawn(mirror.run(shutdown.clone()));
        parts.push(Part {
            snapshot,
            connection,
            absorbed,
        });
    }
    let absorbed = watched.absorbed.clone();
    let (snapshots, snapshot) = watch::channel(None);
    let (connections, connection) = watch::channel(Connection::Starting);
    let shutdown = shutdown.clone();
    mirrors.spawn(async move {
        tokio::select! {
            () = shutdown.triggered() => {}
            () = unite(parts, absorbed, &snapshots, &connections) => {}
        }
    });
    (snapshot, connection)
}

async fn replay(
    mut remembered: watch::Receiver<Option<Arc<Remembered>>>,
    range: KeyRange,
) -> impl FnOnce(&Tree) -> Option<Replay> {
    let known = remembered.wait_for(Option::is_some).await;
    let known = known.ok().and_then(|known| known.clone());
    move |tree: &Tree| {
        let is_in_range = |id: &_| range.contains(&tree.prefix_of(id));
        known?.replay(tree, is_in_range)
    }
}

struct Part {
    snapshot: Mirrored<Tree>,
    connection: watch::Receiver<Connection>,
    absorbed: watch::Sender<Absorbed>,
}

/// Puts the newest snapshots together whenever one of them changes.
async fn unite(
    mut parts: Vec<Part>,
    mut absorbed: Option<watch::Receiver<Absorbed>>,
    snapshots: &watch::Sender<Option<Arc<Snapshot<Tree>>>>,
    connections: &watch::Sender<Connection>,
) {
    loop {
        let now: Option<Vec<_>> = parts
            .iter_mut()
            .map(|part| part.snapshot.borrow_and_update().clone())
            .collect();
        if let Some(now) = now {
            pass_on(&mut absorbed, &parts, &now);
            snapshots.send_replace(united(&now).map(Arc::new));
        }
        let states = parts
            .iter_mut()
            .map(|part| part.connection.borrow_and_update().clone());
        let worst = states.max_by_key(|state| match state {
            Connection::Following => 0,
            Connection::Starting => 1,
            Connection::Lost(_) => 2,
        });
        connections.send_if_modified(|last| {
            let worst = worst.unwrap_or(Connection::Starting);
            let news = *last != worst;
            *last = worst;
            news
        });
        let changes = parts.iter_mut().map(|part| {
            Box::pin(async {
                tokio::select! {
                    Ok(()) = part.snapshot.changed() => {}
                    Ok(()) = part.connection.changed() => {}
                    else => std::future::pending().await,
                }
            })
        });
        select_all(changes).await;
    }
}

/// The parts count the resets of their own ranges.
fn pass_on(
    absorbed: &mut Option<watch::Receiver<Absorbed>>,
    parts: &[Part],
    now: &[Arc<Snapshot<Tree>>],
) {
    let Some(absorbed) = absorbed
        .as_mut()
        .map(|absorbed| *absorbed.borrow_and_update())
    else {
        return;
    };
    let resets: u32 = now.iter().map(|part| part.replacements).sum();
    if absorbed.replacements != resets {
        return;
    }
    for (part, snapshot) in parts.iter().zip(now) {
        part.absorbed.send_replace(Absorbed {
            replacements: snapshot.replacements,
            ..absorbed
        });
    }
}

/// All of them as one: as new as the newest, and reset and reconnected as often
/// as all of them together.
fn united(parts: &[Arc<Snapshot<Tree>>]) -> Option<Snapshot<Tree>> {
    let (first, rest) = parts.split_first()?;
    let mut all = (**first).clone();
    for part in rest {
        all.header.revision = all.header.revision.max(part.header.revision);
        all.replacements += part.replacements;
        all.reconnects += part.reconnects;
        all.replaced = all.replaced.or_else(|| part.replaced.clone());
        all.view.unite(&part.view);
    }
    Some(all)
}

impl Tree {
    /// Adds another range of the same tree. A map that is the only one with
    /// anything in it is shared, not copied.
    fn unite(&mut self, other: &Self) {
        self.general = self.general.take().or_else(|| other.general.clone());
        add(&mut self.balancers, &other.balancers);
        add(&mut self.malformed, &other.malformed);
    }
}

fn add<K: Ord + Clone, V: Clone>(all: &mut Arc<BTreeMap<K, V>>, more: &Arc<BTreeMap<K, V>>) {
    if all.is_empty() {
        *all = Arc::clone(more);
    } else if !more.is_empty() {
        let more = more.iter().map(|(key, value)| (key.clone(), value.clone()));
        Arc::make_mut(all).extend(more);
    }
}
