//! From a configuration to a manager that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use presence::keys;
use presence::keys::StatusTree;
use presence::keys::status::ManagerRole;
use presence::mirror::{self, Absorbed, Connection, Mirror, View};
use presence::model::{HostId, Kind};
use presence::process::clock::Clock;
use presence::process::complaint::Complaint;
use presence::process::health::{Health, Heartbeat};
use presence::process::shutdown::Shutdown;
use presence::process::systemd::Notifier;
use presence::store::{KeyRange, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::checkpoint::Checkpoint;
use super::resets;
use super::statuses::{Remembered, statuses_in};
use super::tree_mirror::{Watched, mirror_tree, ranges};
use super::{CHECK_EVERY, Fleet, Launch, Manager, Releases, TURN, first, statuses, whole};
use crate::history::History;
use crate::identity::{Identity, Role};
use crate::metrics::Metrics;
use crate::peers::shares::Watcher;
use crate::peers::{Claim, Managers, Taken};
use crate::reconcile::{self, Board};

/// How a manager goes about it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the tree is.
    pub tree: keys::Tree,
    /// Who this is.
    pub host: HostId,
    /// How long the tree must have been quiet before strangers leave.
    pub settle: Duration,
    /// How often drift is looked for.
    pub resync: Duration,
    /// How long a member whose lease ended is held at most.
    pub hold: Duration,
    /// Change nothing, say what would be changed.
    pub dry_run: bool,
}

impl Settings {
    /// What of it concerns each reconciler.
    pub fn for_reconcilers(&self) -> Arc<reconcile::Settings> {
        Arc::new(reconcile::Settings {
            keys: self.tree.status(),
            host: self.host.clone(),
            settle: self.settle,
            hold: self.hold,
            dry_run: self.dry_run,
        })
    }

    /// Within a tenth of `--resync`, so that managers that started together do
    /// not look together.
    pub(super) fn next_resync(&self) -> Duration {
        self.resync.mul_f64(0.9 + fastrand::f64() / 5.0)
    }
}

/// What a manager runs with.
pub struct Parts<S> {
    /// etcd.
    pub store: S,
    /// The time.
    pub clock: Clock,
    /// How to go about it.
    pub settings: Settings,
    /// One for each kind of load balancer that is managed here.
    pub launchers: BTreeMap<Kind, Box<dyn Launch>>,
    /// The kind that is kept as a whole, if it is managed here.
    pub whole: Option<Box<dyn whole::Launch>>,
    /// Where the reconcilers of those report.
    pub board: Board,
    /// What this host's ID is claimed with, for each role; none in a dry run.
    pub claims: Vec<(ManagerRole, Claim)>,
    /// What is remembered of etcd's history.
    pub history: History,
    /// Counts and gauges.
    pub metrics: Metrics,
    /// Heartbeats and readiness.
    pub health: Health,
    /// systemd.
    pub notifier: Notifier,
    /// When to end.
    pub shutdown: Shutdown,
}

/// Claims the host ID, reads the status records, waiting for etcd as long as
/// it takes, and starts the mirrors. `None`: told to end before.
pub async fn start<S: Store>(mut parts: Parts<S>) -> Result<Option<Manager<S>>, Taken> {
    let heartbeat = parts.health.heartbeat("manager", TURN * 30);
    let shutdown = parts.shutdown.clone();
    let (keepers, found, listing) = tokio::select! {
        biased;
        () = shutdown.triggered() => return Ok(None),
        first = first::first(&mut parts, &heartbeat) => first?,
    };
    let mut mirrors = JoinSet::new();
    let unseen = watch::Sender::new(None);
    let absorbed = watch::Sender::new(Absorbed::default());
    // The tree is never older than the records, and is read while these are
    // understood.
    let remembered = watch::Sender::new(None);
    let regions = parts.whole.as_ref().map(|whole| whole.regions());
    let regions = regions.unwrap_or_default();
    let (snapshots, connection) = mirror_tree(
        &parts.store,
        &parts.settings.tree,
        ranges(&parts.settings.tree, &parts.history.roles(), &regions),
        &remembered.subscribe(),
        &Watched {
            told: Some(unseen.subscribe()),
            absorbed: Some(absorbed.subscribe()),
            health: Some(parts.health.clone()),
        },
        &mut mirrors,
        &parts.shutdown,
    );
    let header = listing.header;
    let (tree, host) = (&parts.settings.tree, &parts.settings.host);
    let identity = Identity::new(header.cluster, tree, host, Role::Ipvs);
    let keys = parts.settings.tree.status();
    let records = statuses_in(&keys, listing);
    let now = parts.clock.now();
    let foreign = statuses::newer_than(&records, header.revision);
    let unwritten = resets::compare(&mut parts.history, &found, foreign.as_deref(), now);
    let is_reset = resets::is_reset(&parts.history, &unwritten);
    let known = Arc::new(Remembered::by(&records, parts.history.absorbed()));
    remembered.send_replace(Some(if is_reset {
        Arc::default()
    } else {
        Arc::clone(&known)
    }));
    let (releases, managers) = mirror_beside(&parts, &keys, &mut mirrors);
    let mut claim = JoinSet::new();
    for keeper in keepers {
        claim.spawn(keeper.keep(managers.clone()));
    }
    let resync_at = Instant::now() + parts.settings.next_resync();
    Ok(Some(Manager {
        neighbours: Watcher::new(parts.settings.host.clone(), regions),
        managers,
        claim,
        fleet: Fleet::new(
            parts.launchers,
            parts.whole.map(|whole| (whole, identity)),
            records,
            parts.shutdown.clone(),
        ),
        store: parts.store,
        clock: parts.clock,
        settings: parts.settings,
        keys,
        reports: parts.board.watch(),
        board: parts.board,
        history: parts.history,
        snapshots,
        connection,
        unseen,
        absorbed,
        releases,
        mirrors,
        metrics: parts.metrics,
        health: parts.health,
        heartbeat,
        notifier: parts.notifier,
        shutdown: parts.shutdown,
        resync: 0,
        resync_at,
        replacements: 0,
        reconnects: 0,
        unwritten: unwritten.into_iter().collect(),
        resets_at_start: u32::from(is_reset),
        reset_at: None,
        remembered: Some(known),
        checkpoint: Checkpoint::default(),
        save_at: Instant::now(),
        check_at: Instant::now() + CHECK_EVERY,
        held: BTreeSet::new(),
        malformed: Arc::default(),
        ignored: BTreeSet::new(),
        doubtful: Arc::default(),
        told: None,
        complaint: Complaint::every(Duration::from_mins(1)),
        history_complaint: Complaint::every(Duration::from_mins(1)),
        dismissed: false,
    }))
}

/// Starts the mirrors of what managers read beside the tree.
fn mirror_beside<S: Store>(
    parts: &Parts<S>,
    keys: &StatusTree,
    mirrors: &mut JoinSet<()>,
) -> (Mirrored<Releases>, Mirrored<Managers>) {
    let releases = mirror(
        &parts.store,
        &keys.releases_prefix(),
        Releases::new(keys.clone()),
        Some(heartbeat_of(parts, "mirror of releases")),
        mirrors,
        &parts.shutdown,
    );
    let managers = mirror(
        &parts.store,
        &keys.managers_prefix(),
        Managers::new(keys.clone()),
        Some(heartbeat_of(parts, "mirror of managers")),
        mirrors,
        &parts.shutdown,
    );
    (releases, managers)
}

fn heartbeat_of<S>(parts: &Parts<S>, task: &str) -> Heartbeat {
    parts.health.heartbeat(task, mirror::PROGRESS)
}

pub(crate) type Mirrored<V> = watch::Receiver<Option<Arc<presence::mirror::Snapshot<V>>>>;

/// Starts a mirror that asks for no causes.
pub(crate) fn mirror<S: Store, V: View>(
    store: &S,
    prefix: &str,
    empty: V,
    heartbeat: Option<Heartbeat>,
    mirrors: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> Mirrored<V> {
    let (snapshots, snapshot) = watch::channel(None);
    let mirror = Mirror {
        store: store.clone(),
        range: KeyRange::below(prefix),
        empty,
        replay: ready(|_: &V| None),
        absorbed: None,
        told: None,
        snapshots,
        connection: watch::Sender::new(Connection::Starting),
        heartbeat,
    };
    mirrors.spawn(mirror.run(shutdown.clone()));
    snapshot
}
