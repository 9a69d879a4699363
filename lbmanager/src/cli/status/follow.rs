//! `lbmanager status --watch`: two mirrors, of the tree and of the status
//! records, and what changed in either is shown again.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use presence::departure::{Change, Step};
use presence::keys;
use presence::mirror::{Connection, Mirror, View};
use presence::model::{BalancerId, Revision};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::store::{Entry, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Format, Shown, StatusArgs, json, text};
use crate::cli::read;
use crate::manager::Mirrored;
use crate::record::Record;
use crate::tree::Tree;

/// The status records, as the mirror keeps them.
#[derive(Debug, Clone, Default)]
struct Records(BTreeMap<BalancerId, Arc<Record>>);

impl Records {
    fn put(&mut self, key: &str, entry: &Entry) {
        let record = Record::from_json(&entry.value);
        if let (Some(id), Ok(record)) = (keys::status::parse_balancer(key), record) {
            self.0.insert(id, Arc::new(record));
        }
    }
}

impl View for Records {
    fn list(&mut self, key: &str, entry: &Entry) {
        self.put(key, entry);
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.put(&key, &entry),
                Change::Gone { key, .. } => {
                    if let Some(id) = keys::status::parse_balancer(&key) {
                        self.0.remove(&id);
                    }
                }
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}

fn mirror<S: Store, V: View>(
    store: &S,
    prefix: String,
    empty: V,
    shutdown: &Shutdown,
    tasks: &mut JoinSet<()>,
) -> Mirrored<V> {
    let (snapshots, snapshot) = watch::channel(None);
    let mirror = Mirror {
        store: store.clone(),
        prefix,
        empty,
        replay: |_: &V| None,
        snapshots,
        connection: watch::Sender::new(Connection::Starting),
    };
    tasks.spawn(mirror.run(shutdown.clone()));
    snapshot
}

pub(super) async fn run<S: Store>(
    store: S,
    args: &StatusArgs,
    named: &BTreeSet<BalancerId>,
) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::from_signals().map_err(Failure::unexpected)?;
    // Who cannot reach etcd at all is told at once; later it is waited for.
    read::whole(&store, &args.tree).await?;
    let mut tasks = JoinSet::new();
    let empty = Tree::new(Arc::new(args.tree.prefix.clone()));
    let prefix = args.tree.prefix.prefix();
    let mut trees = mirror(&store, prefix, empty, &shutdown, &mut tasks);
    let prefix = keys::status::balancers_prefix();
    let mut records = mirror(&store, prefix, Records::default(), &shutdown, &mut tasks);
    let mut last = BTreeMap::new();
    loop {
        show(args, named, &mut last, &mut trees, &mut records)?;
        tokio::select! {
            biased;
            // All cancel-safe: what was missed is still there when asked again.
            () = shutdown.triggered() => break,
            Some(_) = tasks.join_next() => {
                return Err(Failure::unexpected("a mirror of etcd ended; this is a fault of lbmanager"));
            }
            _ = trees.changed() => {}
            _ = records.changed() => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is shown of a load balancer, for the next time.
#[derive(Debug, Default, PartialEq)]
struct Last {
    members: usize,
    revision: Option<Revision>,
    status: Option<Arc<Record>>,
}

fn show(
    args: &StatusArgs,
    named: &BTreeSet<BalancerId>,
    last: &mut BTreeMap<BalancerId, Last>,
    trees: &mut Mirrored<Tree>,
    records: &mut Mirrored<Records>,
) -> Result<(), Failure> {
    let tree = trees.borrow_and_update().clone();
    let records = records.borrow_and_update().clone();
    let (Some(tree), Some(records)) = (tree, records) else {
        return Ok(());
    };
    let (tree, records) = (&tree.view, &records.view.0);
    let known = tree.balancers.keys().chain(records.keys());
    let known: BTreeSet<BalancerId> = known.chain(last.keys()).chain(named).cloned().collect();
    for id in known {
        if !named.is_empty() && !named.contains(&id) {
            continue;
        }
        let shown = Shown::new(&id, tree, records.get(&id).map(AsRef::as_ref));
        let now = Last {
            members: shown.members,
            revision: shown.revision,
            status: records.get(&id).cloned(),
        };
        if last.get(&id) == Some(&now) {
            continue;
        }
        print(args.format, &shown)?;
        last.insert(id, now);
    }
    Ok(())
}

fn print(format: Format, shown: &Shown<'_>) -> Result<(), Failure> {
    let text = match format {
        Format::Table => text::balancer(shown, Timestamp::now()) + "\n",
        Format::Json => json(shown)?,
    };
    cli::print(text.as_bytes())
}
