//! From a configuration to a manager that runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use presence::keys;
use presence::keys::status::StatusKey;
use presence::mirror::{Connection, Mirror};
use presence::model::{BalancerId, HostId, Kind, Revision};
use presence::process::backoff::Backoff;
use presence::process::clock::Clock;
use presence::process::health::Health;
use presence::process::shutdown::Shutdown;
use presence::process::systemd::Notifier;
use presence::store::{Header, Store, StoreError};
use presence::watch_state::Replaced;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Fleet, Launch, Manager, Releases, TURN};
use crate::history::History;
use crate::metrics::Metrics;
use crate::reconcile::{self, Board};
use crate::record::Record;
use crate::tree::Tree;

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
    /// Where the reconcilers of those report.
    pub board: Board,
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

/// Status records with the mod_revision of their keys.
pub(crate) type Statuses = BTreeMap<BalancerId, (Revision, Record)>;

/// Reads the status of every load balancer.
pub(crate) async fn statuses<S: Store>(store: &S) -> Result<(Header, Statuses), StoreError> {
    let listing = store.list(&keys::status::balancers_prefix(), None).await?;
    let mut statuses = Statuses::new();
    for (key, entry) in listing.entries {
        let Ok(StatusKey::Balancer(report)) = key.parse() else {
            continue;
        };
        let id = report.balancer().clone();
        match Record::from_json(&entry.value) {
            Ok(record) => {
                statuses.insert(id, (entry.mod_revision, record));
            }
            Err(error) => {
                tracing::error!(
                    "the status {key} cannot be read; the load balancer is treated as new: {error}"
                );
            }
        }
    }
    Ok((listing.header, statuses))
}

/// The mod_revisions alone.
pub(crate) fn revisions(statuses: &Statuses) -> BTreeMap<BalancerId, Revision> {
    let statuses = statuses.iter();
    statuses
        .map(|(id, (revision, _))| (id.clone(), *revision))
        .collect()
}

/// Reads the status records, waiting for etcd as long as it takes, and starts
/// the mirrors. `None`: told to end before.
pub async fn start<S: Store>(mut parts: Parts<S>) -> Option<Manager<S>> {
    let heartbeat = parts.health.heartbeat("manager", TURN * 30);
    let (header, statuses) = tokio::select! {
        biased;
        () = parts.shutdown.triggered() => return None,
        statuses = first_statuses(&parts, &heartbeat) => statuses,
    };
    let now = parts.clock.now();
    let known = parts.history.known();
    parts
        .history
        .check(&known, header, &revisions(&statuses), now);
    let records: BTreeMap<BalancerId, Record> = statuses
        .into_iter()
        .map(|(id, (_, record))| (id, record))
        .collect();
    let mut mirrors = JoinSet::new();
    let told = watch::Sender::new(None);
    let (snapshots, connection) = mirror_tree(&parts, &records, told.subscribe(), &mut mirrors);
    let releases = mirror_releases(&parts, &mut mirrors);
    let resync_at = Instant::now() + parts.settings.next_resync();
    Some(Manager {
        fleet: Fleet::new(parts.launchers, records, parts.shutdown.clone()),
        store: parts.store,
        clock: parts.clock,
        settings: parts.settings,
        reports: parts.board.watch(),
        board: parts.board,
        history: parts.history,
        snapshots,
        connection,
        told,
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
        malformed: Arc::default(),
    })
}

async fn first_statuses<S: Store>(
    parts: &Parts<S>,
    heartbeat: &presence::process::health::Heartbeat,
) -> (Header, Statuses) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        heartbeat.beat();
        match statuses(&parts.store).await {
            Ok(read) => return read,
            Err(error) => {
                let words = format!("waiting for etcd, nothing is changed: {error}");
                tracing::warn!("{words}");
                parts.notifier.status(words.clone());
                parts.health.not_ready(words);
                sleep(backoff.failed()).await;
            }
        }
    }
}

type Mirrored<V> = watch::Receiver<Option<Arc<presence::mirror::Snapshot<V>>>>;

fn mirror_tree<S: Store>(
    parts: &Parts<S>,
    records: &BTreeMap<BalancerId, Record>,
    told: watch::Receiver<Option<Replaced>>,
    mirrors: &mut JoinSet<()>,
) -> (Mirrored<Tree>, watch::Receiver<Connection>) {
    let (snapshots, snapshot) = watch::channel(None);
    let (connections, connection) = watch::channel(Connection::Starting);
    let known: BTreeMap<BalancerId, Known> = records
        .iter()
        .map(|(id, record)| (id.clone(), Known::of(record)))
        .collect();
    let mirror = Mirror {
        store: parts.store.clone(),
        prefix: parts.settings.tree.prefix(),
        empty: Tree::new(Arc::new(parts.settings.tree.clone())),
        replay: move |tree: &Tree| replay_from(&known, tree),
        told,
        snapshots,
        connection: connections,
    };
    mirrors.spawn(mirror.run(parts.shutdown.clone()));
    (snapshot, connection)
}

fn mirror_releases<S: Store>(parts: &Parts<S>, mirrors: &mut JoinSet<()>) -> Mirrored<Releases> {
    let (snapshots, snapshot) = watch::channel(None);
    let mirror = Mirror {
        store: parts.store.clone(),
        prefix: keys::status::releases_prefix(),
        empty: Releases::default(),
        replay: |_: &Releases| None,
        told: watch::channel(None).1,
        snapshots,
        connection: watch::Sender::new(Connection::Starting),
    };
    mirrors.spawn(mirror.run(parts.shutdown.clone()));
    snapshot
}

/// Who was listed when a record was written, and when that was.
struct Known {
    revision: Revision,
    listed: Vec<presence::model::MemberId>,
}

impl Known {
    fn of(record: &Record) -> Self {
        let listed = record.members.iter();
        Self {
            revision: record.revision,
            listed: listed
                .filter(|(_, known)| known.mod_revision.is_some())
                .map(|(member, _)| member.clone())
                .collect(),
        }
    }
}

/// From where the history is wanted: the oldest record that knew a member
/// which is not listed any more.
fn replay_from(known: &BTreeMap<BalancerId, Known>, tree: &Tree) -> Option<Revision> {
    known
        .iter()
        .filter(|(id, known)| {
            let balancer = tree.balancer(id);
            let listed = |member| {
                balancer.is_some_and(|balancer| {
                    balancer.members.keys().any(|(_, other)| other == member)
                })
            };
            known.listed.iter().any(|member| !listed(member))
        })
        .map(|(_, known)| known.revision)
        .min()
}
