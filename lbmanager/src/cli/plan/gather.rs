//! What etcd has, read as a manager reads it when it starts: with the reasons
//! why members are gone that the status records knew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use presence::keys::StatusTree;
use presence::keys::status::{ManagerRole, StatusWriter};
use presence::mirror::{Connection, Snapshot, View};
use presence::model::{BalancerId, HostId, Revision};
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::store::{KeyRange, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::absorb;
use crate::cli::writers::Writers;
use crate::cli::{TreeArgs, read};
use crate::desired::Desired;
use crate::history::Freeze;
use crate::manager::{self, Releases, Remembered, Watched};
use crate::plan::{Context, Expiry};
use crate::record::Record;
use crate::tree::{BalancerTree, Tree};

/// Everything that a plan is made from, but for the load balancers.
pub(super) struct Known {
    pub keys: StatusTree,
    pub revision: Revision,
    pub tree: Tree,
    pub records: BTreeMap<BalancerId, Record>,
    /// Managers whose removals are frozen.
    pub frozen: BTreeMap<ManagerRole, Freeze>,
    pub releases: Arc<Snapshot<Releases>>,
}

/// What one plan is made from.
pub(super) struct Question {
    pub before: Record,
    pub desired: Desired,
    pub record: Record,
    pub context: Context,
}

pub(super) async fn gather<S: Store>(store: &S, args: &TreeArgs) -> Result<Known, Failure> {
    let keys = args.prefix.status();
    let mut reports = read::reports(store, args, &keys.aws_prefix()).await?;
    let host = args.common.host_id()?;
    let own = keys.host_prefix(&host);
    reports.extend(read::reports(store, args, &own).await?);
    let records: BTreeMap<BalancerId, Record> = reports
        .into_iter()
        .map(|(report, record)| (report.balancer().clone(), record))
        .collect();
    let frozen = freezes(&Writers::read(store, args).await?, &host);
    let releases = releases(store, &keys).await?;
    let snapshot = snapshot(store, args, &records).await?;
    Ok(Known {
        keys,
        revision: snapshot.header.revision,
        tree: snapshot.view.clone(),
        records,
        frozen,
        releases: Arc::new(releases),
    })
}

fn freezes(writers: &Writers, host: &HostId) -> BTreeMap<ManagerRole, Freeze> {
    let roles = [ManagerRole::Aws, ManagerRole::Ipvs].into_iter();
    roles
        .filter_map(|role| {
            let frozen = writers.frozen.get(&StatusWriter::of(role, host))?;
            Some((role, Freeze::of(frozen)))
        })
        .collect()
}

async fn releases<S: Store>(store: &S, keys: &StatusTree) -> Result<Snapshot<Releases>, Failure> {
    let listing = store.list(&keys.releases_prefix(), None).await?;
    let mut view = Releases::new(keys.clone());
    view.list_all(&listing.entries);
    Ok(Snapshot {
        header: listing.header,
        replacements: 0,
        replaced: None,
        reconnects: 0,
        view,
    })
}

/// The first snapshot of a mirror, which is then of no use any more.
async fn snapshot<S: Store>(
    store: &S,
    args: &TreeArgs,
    records: &BTreeMap<BalancerId, Record>,
) -> Result<Arc<Snapshot<Tree>>, Failure> {
    let (_ends_when_dropped, shutdown) = Shutdown::manual();
    let mut mirrors = JoinSet::new();
    let known = Arc::new(Remembered::by(records, Revision::default()));
    let (_known, remembered) = watch::channel(Some(known));
    let (mut snapshots, mut connection) = manager::mirror_tree(
        store,
        &args.prefix,
        vec![KeyRange::below(&args.prefix.prefix())],
        &remembered,
        &Watched::default(),
        &mut mirrors,
        &shutdown,
    );
    loop {
        if let Some(snapshot) = snapshots.borrow_and_update().clone() {
            return Ok(snapshot);
        }
        if let Connection::Lost(error) = connection.borrow_and_update().clone() {
            return Err(error.into());
        }
        tokio::select! {
            // Cancel-safe both: what was missed is still there when asked again.
            changed = snapshots.changed() => changed.map_err(Failure::unexpected)?,
            changed = connection.changed() => changed.map_err(Failure::unexpected)?,
        }
    }
}

impl Known {
    /// Whether a manager cares for it: it has members, or something is left to
    /// be done.
    pub(super) fn is_managed(&self, id: &BalancerId) -> bool {
        let tree = self.tree.balancer(id);
        self.records.contains_key(id) || tree.is_some_and(|tree| !tree.members.is_empty())
    }

    pub(super) fn question(&self, id: &BalancerId, hold: Duration, now: Timestamp) -> Question {
        let nothing = BalancerTree::default();
        let tree = self.tree.balancer(id).map_or(&nothing, AsRef::as_ref);
        let before = self.records.get(id).cloned().unwrap_or_default();
        let general = self.tree.general();
        let release = self.releases.view.of(id, self.releases.header.cluster);
        let (desired, record) = absorb::take_in(id, before.clone(), tree, general, release, now);
        Question {
            before,
            desired,
            record,
            context: Context {
                now,
                started: Timestamp::MIN,
                hold,
                settled_at: now,
                frozen: self.frozen.get(&ManagerRole::of(id.kind())).cloned(),
                expiry: Expiry::Checked,
                rejected: BTreeMap::new(),
            },
        }
    }
}
