//! The whole tree: one reconciler for each load balancer, told the newest
//! state, and what concerns all of them: history, releases, resync, metrics.
//!
//! Tasks: the mirror of the tree, the mirror of releases, one reconciler for
//! each load balancer, and [`Manager::run`] itself. If one ends that should
//! not, the process ends.

mod checkpoint;
mod first;
mod fleet;
mod releases;
mod resets;
mod start;
mod statuses;
mod told;
mod tree_mirror;
pub mod whole;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use presence::keys::status::ManagerRole;
use presence::keys::{KeyError, StatusTree};
use presence::mirror::{Absorbed, Connection, Snapshot};
use presence::model::BalancerId;
use presence::process::clock::Clock;
use presence::process::complaint::Complaint;
use presence::process::exit::Failure;
use presence::process::health::{Health, Heartbeat};
use presence::process::shutdown::Shutdown;
use presence::process::systemd::Notifier;
use presence::store::{Store, StoreError};
use presence::watch_state::Replaced;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use checkpoint::Checkpoint;
pub use fleet::{Fleet, Launch};
pub use releases::Releases;
pub(crate) use start::{Mirrored, mirror};
pub use start::{Parts, Settings, start};
pub(crate) use statuses::{Remembered, report, reports};
use told::Told;
pub(crate) use tree_mirror::{Watched, mirror_tree};

use crate::history::History;
use crate::metrics::Metrics;
use crate::peers::shares::Watcher;
use crate::peers::{Managers, Taken};
use crate::reconcile::{Board, Orders, Report, Rest};
use crate::tree::Tree;

/// How long reconcilers may take to end a pass at shutdown.
const GRACE: Duration = Duration::from_secs(10);
/// Within this time every mirror has seen a reset.
const SAME_RESET: Duration = Duration::from_secs(30);
/// How often the markers and freezes in etcd are compared though nothing seems
/// to have happened: a refill from a dump overwrites them on an intact watch.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// How much the memory in the state directory may lag.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// The main loop turns at least this often.
const TURN: Duration = Duration::from_secs(1);

/// Why a manager ends before anybody told it to.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// A task ended that should not have.
    #[error("the task {0} ended; this is a fault of lbmanager")]
    TaskEnded(&'static str),
    /// Another machine has the host ID.
    #[error(transparent)]
    Taken(#[from] Taken),
}

/// Keeps all load balancers of the tree.
pub struct Manager<S: Store> {
    pub(crate) store: S,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) keys: StatusTree,
    pub(crate) board: Board,
    pub(crate) reports: watch::Receiver<BTreeMap<BalancerId, Report>>,
    pub(crate) fleet: Fleet,
    pub(crate) history: History,
    pub(crate) snapshots: watch::Receiver<Option<Arc<Snapshot<Tree>>>>,
    pub(crate) connection: watch::Receiver<Connection>,
    /// What the mirror of the tree has no means to see: that the history was
    /// reset between two watches.
    pub(crate) unseen: watch::Sender<Option<Replaced>>,
    /// Up to where all statuses contain the changes of the tree.
    pub(crate) absorbed: watch::Sender<Absorbed>,
    pub(crate) releases: watch::Receiver<Option<Arc<Snapshot<Releases>>>>,
    pub(crate) managers: Mirrored<Managers>,
    /// Whom of them it shares its regions with.
    pub(crate) neighbours: Watcher,
    /// Ends when another machine has the host ID.
    pub(crate) claim: JoinSet<Taken>,
    pub(crate) mirrors: JoinSet<()>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) notifier: Notifier,
    pub(crate) shutdown: Shutdown,
    pub(crate) resync: u64,
    pub(crate) resync_at: Instant,
    pub(crate) replacements: u32,
    pub(crate) reconnects: u32,
    /// Roles whose marker, and freeze if any, is not in etcd yet.
    pub(crate) unwritten: BTreeSet<ManagerRole>,
    /// Resets that were detected at the start, before the tree was read.
    pub(crate) resets_at_start: u32,
    /// When the last reset was detected.
    pub(crate) reset_at: Option<Instant>,
    /// What the statuses listed at the start, until the tree was compared.
    pub(crate) remembered: Option<Arc<Remembered>>,
    checkpoint: Checkpoint,
    save_at: Instant,
    check_at: Instant,
    /// Load balancers whose held removals were logged.
    held: BTreeSet<BalancerId>,
    pub(crate) malformed: Arc<BTreeMap<String, KeyError>>,
    /// Keys beside the tree that were reported as ignored.
    ignored: BTreeSet<String>,
    pub(crate) doubtful: Arc<BTreeMap<String, String>>,
    told: Option<Told>,
    complaint: Complaint,
    history_complaint: Complaint,
    /// Whether somebody was dismissed since then.
    dismissed: bool,
}

impl<S: Store> Manager<S> {
    /// Manages until shutdown, or with `once` until everything is at rest, at
    /// most until that time.
    /// Whether everything was as the tree says at the end.
    pub async fn run(mut self, once: Option<Instant>) -> Result<bool, ManagerError> {
        let end = OptionFuture::from(once.map(sleep_until));
        tokio::pin!(end);
        let mut turn = interval(TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.heartbeat.beat();
            self.take_in().await;
            if once.is_some() && self.is_at_rest() {
                break;
            }
            tokio::select! {
                biased;
                // All cancel-safe: what was missed is still there when asked again.
                () = self.shutdown.triggered() => break,
                Some(()) = &mut end => {
                    self.report_missing();
                    break;
                }
                Some(_) = self.mirrors.join_next() => {
                    // Told to end, a mirror may be faster than this loop.
                    if self.shutdown.is_triggered() {
                        break;
                    }
                    return Err(ManagerError::TaskEnded("mirror"));
                }
                () = self.fleet.unexpected_end() => {
                    return Err(ManagerError::TaskEnded("reconciler"));
                }
                Some(ended) = self.claim.join_next() => {
                    return Err(ended.map_or(ManagerError::TaskEnded("claim"), Into::into));
                }
                _ = self.snapshots.changed() => {}
                _ = self.releases.changed() => {}
                _ = self.managers.changed() => {}
                _ = self.reports.changed() => {}
                _ = self.connection.changed() => {}
                () = sleep_until(self.resync_at) => {}
                _ = turn.tick() => self.turn(),
            }
        }
        let in_sync = self.is_in_sync();
        self.stop().await;
        Ok(in_sync)
    }

    async fn stop(mut self) {
        self.notifier.stopping();
        self.health.not_ready("stopping");
        if timeout(GRACE, self.fleet.ended()).await.is_err() {
            tracing::warn!(
                "some load balancers were left in the middle of a pass; the next start goes on from there"
            );
        }
        self.take_reports();
        self.save_history();
    }

    /// Takes in everything that is new and tells the reconcilers.
    async fn take_in(&mut self) {
        let snapshot = self.snapshots.borrow_and_update().clone();
        let releases = self.releases.borrow_and_update().clone();
        let managers = self.managers.borrow_and_update().clone();
        let (Some(snapshot), Some(releases), Some(managers)) = (snapshot, releases, managers)
        else {
            return self.show(None);
        };
        if Instant::now() >= self.resync_at {
            self.resync += 1;
            self.resync_at = Instant::now() + self.settings.next_resync();
        }
        if !self.check_history(&snapshot).await {
            return self.show(Some(&snapshot));
        }
        self.check_emptiness(&snapshot);
        self.write_markers().await;
        self.report_malformed(&snapshot.view);
        self.report_ignored(&releases.view, &managers.view);
        self.take_reports();
        self.thaw(&releases).await;
        let shares = self.neighbours.look(&managers, Instant::now());
        self.steer(Told {
            snapshot: Arc::clone(&snapshot),
            releases,
            shares,
            frozen: self.history.freezes(),
            resync: self.resync,
        });
        self.show(Some(&snapshot));
    }

    /// Tells the reconcilers what they do not know yet.
    fn steer(&mut self, news: Told) {
        let dismissed = std::mem::take(&mut self.dismissed);
        let tree = &news.snapshot.view;
        match &self.told {
            // Who was dismissed may be wanted again by what all know already.
            Some(told) if told.is_same(&news) && !dismissed => return,
            Some(_) => {}
            None => {
                let members = tree.balancers.values().map(|one| one.members.len());
                tracing::info!(
                    "the tree has been read: {} load balancers with {} members",
                    tree.balancers.len(),
                    members.sum::<usize>()
                );
            }
        }
        let replacements = news.snapshot.replacements + self.resets_at_start;
        let cluster = news.releases.header.cluster;
        self.fleet.steer(
            tree,
            |id, balancer| Orders {
                tree: Arc::clone(balancer),
                general: tree.general.clone(),
                released: news.releases.view.of(id, cluster),
                frozen: news.freeze(ManagerRole::of(id.kind())),
                replacements,
                resync: news.resync,
            },
            || whole::Orders {
                balancers: Arc::clone(&tree.balancers),
                general: tree.general.clone(),
                releases: Arc::clone(&news.releases),
                shares: Arc::clone(&news.shares),
                frozen: news.freeze(ManagerRole::Ipvs),
                replacements,
                resync: news.resync,
            },
        );
        self.told = Some(news);
    }

    /// Whether it is known by now if this snapshot is of the same history as
    /// those before it. Until then the reconcilers keep their last orders.
    async fn check_history(&mut self, snapshot: &Snapshot<Tree>) -> bool {
        if snapshot.replacements > self.replacements {
            self.replacements = snapshot.replacements;
            let why = snapshot.replaced.as_ref().map(ToString::to_string);
            self.reset(&why.unwrap_or_default());
        }
        let told = self.told.as_ref();
        let is_emptied = told.is_some_and(|told| snapshot.view.empties_any_of(&told.snapshot.view));
        let is_suspect = snapshot.reconnects > self.reconnects || is_emptied;
        let is_due =
            Instant::now() >= self.check_at && *self.connection.borrow() == Connection::Following;
        if is_suspect || is_due {
            self.check_at = Instant::now() + CHECK_EVERY;
            // After a gap the history may have been reset and grown past the
            // revision seen last, and what looks like a purge may have taken
            // everything else in etcd as well; the markers show both.
            match self.check_markers().await {
                Ok(reset) => {
                    self.reconnects = snapshot.reconnects;
                    if let Some(why) = reset {
                        self.forget_absorbed();
                        // The mirror saw nothing of it: it must read again.
                        self.unseen.send_replace(Some(Replaced::Lost(why)));
                    }
                }
                Err(error) => {
                    tracing::debug!("cannot compare the markers yet: {error}");
                    if is_suspect {
                        return false;
                    }
                }
            }
        }
        if self.unwritten.is_empty() {
            self.history.seen(snapshot.header);
        }
        true
    }

    /// The mirror saw a reset, or was told of it.
    fn reset(&mut self, why: &str) {
        let roles: Vec<_> = self.history.roles().into_iter().collect();
        let frozen = |role: &ManagerRole| self.history.frozen(*role).is_some();
        // The mirror of each range sees the same reset.
        let is_known = self.reset_at.is_some_and(|at| at.elapsed() < SAME_RESET);
        if !(is_known && roles.iter().all(frozen)) {
            self.freeze(&roles, why);
        }
        self.forget_absorbed();
    }

    fn forget_absorbed(&mut self) {
        self.checkpoint.reset();
        self.board.reset_absorbed();
    }

    /// A tree without any key that was not seen to become so, while statuses
    /// list members, is taken for a reset.
    fn check_emptiness(&mut self, snapshot: &Snapshot<Tree>) {
        let unexplained = match (self.remembered.take(), &self.told) {
            (Some(remembered), _) => remembered.has_unexplained(&snapshot.view),
            (None, Some(told)) => snapshot.view.was_emptied_unseen_since(&told.snapshot.view),
            (None, None) => false,
        };
        if !unexplained {
            return;
        }
        let roles: Vec<_> = self.history.roles().into_iter().collect();
        self.freeze(
            &roles,
            "the tree has no key, statuses list members, and no delete explains it",
        );
        for role in roles {
            self.fix_freeze(role, snapshot.header);
        }
    }

    fn turn(&mut self) {
        if *self.connection.borrow() != Connection::Following {
            self.checkpoint.reset();
        } else if let Some(snapshot) = self.snapshots.borrow().clone()
            && !self.settings.dry_run
            && self.unwritten.is_empty()
        {
            let reached =
                self.checkpoint
                    .reached(&snapshot, self.fleet.ids(), &self.reports.borrow());
            if let Some(revision) = reached {
                self.history.absorb(revision);
                let replacements = snapshot.replacements;
                self.absorbed.send_replace(Absorbed {
                    replacements,
                    revision,
                });
            }
        }
        if Instant::now() >= self.save_at {
            self.save_history();
        }
    }

    /// Keys beside the tree that mean nothing, each reported once.
    fn report_ignored(&mut self, releases: &Releases, managers: &Managers) {
        let releases = releases.ignored().iter();
        let releases = releases.map(|(key, why)| (key, format!("ignored: {key}: {why}")));
        let managers = managers.malformed().iter();
        let managers =
            managers.map(|key| (key, format!("ignored: {key} is not a manager's claim")));
        for (key, message) in releases.chain(managers) {
            if self.ignored.insert(key.clone()) {
                tracing::warn!("{message}");
            }
        }
    }

    fn report_malformed(&mut self, tree: &Tree) {
        if !Arc::ptr_eq(&tree.doubtful, &self.doubtful) {
            for (key, problem) in tree.doubtful.iter() {
                if self.doubtful.get(key) != Some(problem) {
                    tracing::warn!(%key, "{key}: {problem}");
                }
            }
            self.doubtful = Arc::clone(&tree.doubtful);
        }
        if Arc::ptr_eq(&tree.malformed, &self.malformed) {
            return;
        }
        for (key, error) in tree.malformed.iter() {
            if !self.malformed.contains_key(key) {
                tracing::warn!("ignored: {error}");
            }
        }
        self.malformed = Arc::clone(&tree.malformed);
    }

    /// Takes the reports of the reconcilers, and dismisses those that are done.
    fn take_reports(&mut self) {
        let finished: Vec<BalancerId> = {
            let reports = self.reports.borrow_and_update();
            self.metrics.show(&reports);
            log_held(&mut self.held, &reports);
            let finished = reports.iter();
            finished
                .filter(|(_, report)| report.rest == Rest::Forgotten)
                .map(|(id, _)| id.clone())
                .collect()
        };
        for id in finished {
            self.dismissed = true;
            self.fleet.dismiss(&id);
            self.board.remove(&id);
        }
    }

    /// Writes what is remembered to the state directory, and retries later if
    /// it cannot: a memory that lags is a memory still.
    fn save_history(&mut self) {
        self.save_at = Instant::now() + SAVE_EVERY;
        if let Err(error) = self.history.save() {
            let message = Failure::unexpected(error).to_string();
            if self.history_complaint.is_due(&message) {
                tracing::error!("cannot save what is remembered of etcd's history: {message}");
            }
        }
    }

    fn complain(&mut self, what: &str, error: &StoreError) {
        let words = format!("{what}: {error}");
        if self.complaint.is_due(&words) {
            tracing::warn!("{words}");
        }
    }

    fn is_at_rest(&self) -> bool {
        let reports = self.reports.borrow();
        self.told.is_some()
            && self.fleet.ids().all(|id| {
                let rest = reports.get(id).map(|report| report.rest);
                matches!(rest, Some(Rest::InSync | Rest::Stuck | Rest::Forgotten))
            })
    }

    fn is_in_sync(&self) -> bool {
        let reports = self.reports.borrow();
        self.told.is_some()
            && self.fleet.ids().all(|id| {
                let rest = reports.get(id).map(|report| report.rest);
                matches!(rest, Some(Rest::InSync | Rest::Forgotten))
            })
    }

    /// Time is up: which load balancers are not in line with the tree, and why.
    fn report_missing(&self) {
        if self.told.is_none() {
            tracing::error!("the tree could not be read in time (--timeout); nothing was changed");
        }
        let reports = self.reports.borrow();
        for id in self.fleet.ids() {
            let report = reports.get(id);
            let why = match report.map(|report| (report.rest, &report.error)) {
                Some((Rest::InSync | Rest::Forgotten, _)) => continue,
                Some((_, Some((error, _)))) => error,
                _ => "it was not finished",
            };
            tracing::error!("{id}: not in line with the tree in time (--timeout): {why}");
        }
    }

    fn show(&mut self, snapshot: Option<&Snapshot<Tree>>) {
        let connection = self.connection.borrow_and_update().clone();
        let frozen = !self.history.freezes().is_empty();
        let reports = self.reports.borrow();
        let words = words::status(snapshot, &connection, &reports, frozen);
        drop(reports);
        self.notifier.status(words.clone());
        match (snapshot, connection) {
            (Some(_), Connection::Following) => self.health.ready(),
            _ => self.health.not_ready(words),
        }
        self.metrics.frozen(frozen);
        if let Some(snapshot) = snapshot {
            self.metrics.tree(snapshot);
        }
    }
}

/// Logs held removals when they begin, and so also at every start.
fn log_held(held: &mut BTreeSet<BalancerId>, reports: &BTreeMap<BalancerId, Report>) {
    held.retain(|id| reports.get(id).is_some_and(|report| report.withheld > 0));
    for (id, report) in reports.iter().filter(|(_, report)| report.withheld > 0) {
        if held.insert(id.clone()) {
            tracing::warn!(
                "{id}: {} removals are held; lbmanager status {id} shows why",
                report.withheld
            );
        }
    }
}
