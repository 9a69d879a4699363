//! From a configuration to a manager that runs.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use presence::keys;
use presence::keys::status::{Report, StatusKey};
use presence::mirror::{self, Connection, Mirror};
use presence::model::{BalancerId, HostId, Kind, Revision};
use presence::process::backoff::Backoff;
use presence::process::clock::Clock;
use presence::process::complaint::Complaint;
use presence::process::health::{Health, Heartbeat};
use presence::process::shutdown::Shutdown;
use presence::process::systemd::Notifier;
use presence::store::{Entry, Header, Listing, Store, StoreError};
use presence::watch_state::Replaced;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Fleet, Launch, Manager, Releases, TURN, whole};
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
    /// The kind that is kept as a whole, if it is managed here.
    pub whole: Option<Box<dyn whole::Launch>>,
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

/// The same with who wrote them.
pub(crate) type Reports = BTreeMap<Report, (Revision, Record)>;

/// Reads the status of every load balancer.
pub(crate) async fn statuses<S: Store>(
    store: &S,
    host: &HostId,
) -> Result<(Header, Statuses), StoreError> {
    let listing = store.list(&keys::status::balancers_prefix(), None).await?;
    Ok((listing.header, statuses_in(listing, host)))
}

/// Where each host has its own, this host's.
fn statuses_in(listing: Listing, host: &HostId) -> Statuses {
    let statuses = reports_in(listing).into_iter();
    let own = statuses.filter(|(report, _)| report.host().is_none_or(|other| other == host));
    let statuses = own.map(|(report, status)| (report.balancer().clone(), status));
    statuses.collect()
}

/// Reads the status records whose keys begin so.
pub(crate) async fn reports<S: Store>(
    store: &S,
    begin: &str,
) -> Result<(Header, Reports), StoreError> {
    let listing = store.list(begin, None).await?;
    Ok((listing.header, reports_in(listing)))
}

fn reports_in(listing: Listing) -> Reports {
    let entries = listing.entries.into_iter();
    let reports = entries.filter_map(|(key, entry)| {
        let (report, record) = report(&key, &entry)?;
        Some((report, (entry.mod_revision, record)))
    });
    reports.collect()
}

/// The status record that a key holds, if it does and can be read.
pub(crate) fn report(key: &str, entry: &Entry) -> Option<(Report, Record)> {
    let Ok(StatusKey::Balancer(report)) = key.parse() else {
        return None;
    };
    match Record::from_json(&entry.value) {
        Ok(record) => Some((report, record)),
        Err(error) => {
            tracing::error!(
                "the status {key} cannot be read; the load balancer is treated as new: {error}"
            );
            // It is there, which says whose history this is.
            Some((report, Record::default()))
        }
    }
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
    let listing = tokio::select! {
        biased;
        () = parts.shutdown.triggered() => return None,
        listing = first_statuses(&parts, &heartbeat) => listing,
    };
    let mut mirrors = JoinSet::new();
    let unseen = watch::Sender::new(None);
    // The tree is never older than the records, and is read while these are
    // understood.
    let (remembered, remembers) = oneshot::channel();
    let (snapshots, connection) = mirror_tree(
        &parts.store,
        &parts.settings.tree,
        async { remembers.await.unwrap_or_default() },
        Watched {
            told: Some(unseen.subscribe()),
            heartbeat: Some(heartbeat_of(&parts, "mirror of the tree")),
        },
        &mut mirrors,
        &parts.shutdown,
    );
    let header = listing.header;
    let statuses = statuses_in(listing, &parts.settings.host);
    let now = parts.clock.now();
    let known = parts.history.known();
    parts
        .history
        .check(&known, header, &revisions(&statuses), now);
    let records: BTreeMap<BalancerId, Record> = statuses
        .into_iter()
        .map(|(id, (_, record))| (id, record))
        .collect();
    // Nobody waits for it where the mirror has ended, as it does at shutdown.
    let _ = remembered.send(Remembered::by(&records));
    let heartbeat_of_releases = heartbeat_of(&parts, "mirror of releases");
    let releases = mirror_releases(&parts, heartbeat_of_releases, &mut mirrors);
    let resync_at = Instant::now() + parts.settings.next_resync();
    Some(Manager {
        fleet: Fleet::new(
            parts.launchers,
            parts.whole,
            records,
            parts.shutdown.clone(),
        ),
        store: parts.store,
        clock: parts.clock,
        settings: parts.settings,
        reports: parts.board.watch(),
        board: parts.board,
        history: parts.history,
        snapshots,
        connection,
        unseen,
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
        released_at: BTreeMap::new(),
        malformed: Arc::default(),
        told: None,
        complaint: Complaint::every(Duration::from_mins(1)),
        history_complaint: Complaint::every(Duration::from_mins(1)),
        dismissed: false,
    })
}

fn heartbeat_of<S>(parts: &Parts<S>, task: &str) -> Heartbeat {
    parts.health.heartbeat(task, mirror::PROGRESS)
}

async fn first_statuses<S: Store>(
    parts: &Parts<S>,
    heartbeat: &presence::process::health::Heartbeat,
) -> Listing {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut complaint = Complaint::every(Duration::from_mins(1));
    loop {
        heartbeat.beat();
        match parts
            .store
            .list(&keys::status::balancers_prefix(), None)
            .await
        {
            Ok(listing) => return listing,
            Err(error) => {
                let words = format!("waiting for etcd, nothing is changed: {error}");
                if complaint.is_due(&words) {
                    tracing::warn!("{words}");
                }
                parts.notifier.status(words.clone());
                parts.health.not_ready(words);
                sleep(backoff.failed()).await;
            }
        }
    }
}

/// How a manager minds a mirror; one that is read once only is not minded.
#[derive(Default)]
pub(crate) struct Watched {
    /// That the history was replaced, though the mirror cannot see it.
    pub told: Option<watch::Receiver<Option<Replaced>>>,
    /// That the mirror makes progress.
    pub heartbeat: Option<Heartbeat>,
}

pub(crate) type Mirrored<V> = watch::Receiver<Option<Arc<presence::mirror::Snapshot<V>>>>;

/// Starts the mirror of the tree, which first learns why members are gone
/// that somebody remembers.
pub(crate) fn mirror_tree<S: Store>(
    store: &S,
    tree: &keys::Tree,
    remembered: impl Future<Output = Remembered> + Send + 'static,
    watched: Watched,
    mirrors: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> (Mirrored<Tree>, watch::Receiver<Connection>) {
    let (snapshots, snapshot) = watch::channel(None);
    let (connections, connection) = watch::channel(Connection::Starting);
    let mirror = Mirror {
        store: store.clone(),
        prefix: tree.prefix(),
        empty: Tree::new(Arc::new(tree.clone())),
        replay: async {
            let remembered = remembered.await;
            move |tree: &Tree| remembered.replay_from(tree)
        },
        told: watched.told,
        snapshots,
        connection: connections,
        heartbeat: watched.heartbeat,
    };
    mirrors.spawn(mirror.run(shutdown.clone()));
    (snapshot, connection)
}

fn mirror_releases<S: Store>(
    parts: &Parts<S>,
    heartbeat: Heartbeat,
    mirrors: &mut JoinSet<()>,
) -> Mirrored<Releases> {
    let (snapshots, snapshot) = watch::channel(None);
    let mirror = Mirror {
        store: parts.store.clone(),
        prefix: keys::status::releases_prefix(),
        empty: Releases::default(),
        replay: ready(|_: &Releases| None),
        told: None,
        snapshots,
        connection: watch::Sender::new(Connection::Starting),
        heartbeat: Some(heartbeat),
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

/// What the records of all load balancers remember.
#[derive(Default)]
pub(crate) struct Remembered(BTreeMap<BalancerId, Known>);

impl Remembered {
    /// What these records do.
    pub(crate) fn by(records: &BTreeMap<BalancerId, Record>) -> Self {
        let records = records.iter();
        let known = records.map(|(id, record)| (id.clone(), Known::of(record)));
        Self(known.collect())
    }

    /// From where the history is wanted: the oldest record that knew a member
    /// which is not listed any more.
    fn replay_from(&self, tree: &Tree) -> Option<Revision> {
        self.0
            .iter()
            .filter(|(id, known)| {
                let balancer = tree.balancer(id);
                let lists = |member| balancer.is_some_and(|balancer| balancer.lists(member));
                known.listed.iter().any(|member| !lists(member))
            })
            .map(|(_, known)| known.revision)
            .min()
    }
}
