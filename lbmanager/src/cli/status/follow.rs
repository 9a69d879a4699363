//! `lbmanager status --watch`: two mirrors, of the tree and of the status
//! records, and what changed in either is shown again.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use presence::departure::{Change, Step};
use presence::keys::StatusTree;
use presence::keys::status::{BalancerStatusKey, StatusKey};
use presence::mirror::View;
use presence::model::{BalancerId, HostId, Revision};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::store::{Entry, Store};
use tokio::task::JoinSet;

use super::{Format, Shown, StatusArgs, json, text};
use crate::cli::read;
use crate::manager::{self, Mirrored};
use crate::record::Record;
use crate::tree::Tree;

/// The status records, as the mirror keeps them.
#[derive(Debug, Clone)]
struct Records {
    keys: StatusTree,
    all: BTreeMap<BalancerStatusKey, Arc<Record>>,
}

impl View for Records {
    fn list(&mut self, key: &str, entry: &Entry) {
        if let Some((report, record)) = manager::report(&self.keys, key, entry) {
            self.all.insert(report, Arc::new(record));
        }
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.list(&key, &entry),
                Change::Gone { key, .. } => {
                    if let Ok(StatusKey::Balancer(report)) = self.keys.parse(&key) {
                        self.all.remove(&report);
                    }
                }
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}

pub(super) async fn run<S: Store>(
    store: S,
    args: &StatusArgs,
    named: &BTreeSet<BalancerId>,
) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::from_signals().map_err(Failure::io("listen for", "signals"))?;
    // Who cannot reach etcd at all is told at once; later it is waited for.
    read::whole(&store, &args.tree).await?;
    let mut tasks = JoinSet::new();
    let empty = Tree::new(Arc::new(args.tree.prefix.tree.clone()));
    let prefix = args.tree.prefix.prefix();
    let mut trees = manager::mirror(&store, &prefix, empty, None, &mut tasks, &shutdown);
    let keys = args.tree.prefix.status();
    let mut records = manager::mirror(
        &store,
        &keys.prefix(),
        Records {
            keys,
            all: BTreeMap::new(),
        },
        None,
        &mut tasks,
        &shutdown,
    );
    let mut last = Last::new();
    loop {
        show(args, named, &mut last, &mut trees, &mut records)?;
        tokio::select! {
            biased;
            // All cancel-safe: what was missed is still there when asked again.
            () = shutdown.triggered() => break,
            Some(_) = tasks.join_next() => {
                // Told to end, a mirror may be faster than this loop.
                if shutdown.is_triggered() {
                    break;
                }
                return Err(Failure::unexpected("a mirror of etcd ended; this is a fault of lbmanager"));
            }
            _ = trees.changed() => {}
            _ = records.changed() => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was shown: as JSON, which holds everything that is shown.
type Last = BTreeMap<(BalancerId, Option<HostId>), String>;

fn show(
    args: &StatusArgs,
    named: &BTreeSet<BalancerId>,
    last: &mut Last,
    trees: &mut Mirrored<Tree>,
    records: &mut Mirrored<Records>,
) -> Result<(), Failure> {
    let tree = trees.borrow_and_update().clone();
    let records = records.borrow_and_update().clone();
    let (Some(tree), Some(records)) = (tree, records) else {
        return Ok(());
    };
    let (tree, records) = (&tree.view, &records.view.all);
    let reports: Vec<(&BalancerStatusKey, &Record)> = records
        .iter()
        .map(|(report, record)| (report, record.as_ref()))
        .collect();
    let ids: BTreeSet<BalancerId> = if named.is_empty() {
        let before = last.keys().map(|(id, _)| id);
        let reported = records.keys().map(BalancerStatusKey::balancer);
        let known = tree.balancers.keys().chain(reported).chain(before);
        known.cloned().collect()
    } else {
        named.clone()
    };
    for shown in ids.iter().flat_map(|id| Shown::all(id, tree, &reports)) {
        let key = (shown.load_balancer.clone(), shown.host.cloned());
        let now = json(&shown)?;
        if last.get(&key) != Some(&now) {
            print(args.format, &shown, &now)?;
            last.insert(key, now);
        }
    }
    Ok(())
}

fn print(format: Format, shown: &Shown<'_>, json: &str) -> Result<(), Failure> {
    match format {
        Format::Table => cli::print((text::balancer(shown, Timestamp::now()) + "\n").as_bytes()),
        Format::Json => cli::print(json.as_bytes()),
    }
}
