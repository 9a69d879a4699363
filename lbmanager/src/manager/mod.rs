//! The whole tree: one reconciler for each load balancer, told the newest
//! state, and what concerns all of them: history, releases, resync, metrics.
//!
//! Tasks: the mirror of the tree, the mirror of releases, one reconciler for
//! each load balancer, and [`Manager::run`] itself. If one ends that should
//! not, the process ends.

mod first;
mod fleet;
mod releases;
mod start;
mod statuses;
mod told;
pub mod whole;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use presence::keys::status::ManagerRole;
use presence::keys::{KeyError, StatusTree};
use presence::mirror::{Connection, Snapshot};
use presence::model::{BalancerId, Revision};
use presence::process::clock::Clock;
use presence::process::complaint::Complaint;
use presence::process::exit::Failure;
use presence::process::health::{Health, Heartbeat};
use presence::process::shutdown::Shutdown;
use presence::process::systemd::Notifier;
use presence::store::{Listing, Store, StoreError};
use presence::watch_state::Replaced;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout};

pub use fleet::{Fleet, Launch};
pub use releases::Releases;
pub(crate) use start::{Mirrored, Watched, mirror, mirror_tree};
pub use start::{Parts, Settings, start};
pub(crate) use statuses::{Remembered, report, reports};
use told::Told;

use crate::history::{Freeze, History};
use crate::metrics::Metrics;
use crate::peers::shares::Watcher;
use crate::peers::{Managers, Taken};
use crate::reconcile::{Board, Orders, Report, Rest};
use crate::tree::Tree;

/// How long reconcilers may take to end a pass at shutdown.
const GRACE: Duration = Duration::from_secs(10);
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
    pub(crate) roles: BTreeSet<ManagerRole>,
    pub(crate) board: Board,
    pub(crate) reports: watch::Receiver<BTreeMap<BalancerId, Report>>,
    pub(crate) fleet: Fleet,
    pub(crate) history: History,
    pub(crate) snapshots: watch::Receiver<Option<Arc<Snapshot<Tree>>>>,
    pub(crate) connection: watch::Receiver<Connection>,
    /// What the mirror of the tree has no means to see: that the history was
    /// replaced while nobody watched.
    pub(crate) unseen: watch::Sender<Option<Replaced>>,
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
    /// When each release that stands was first seen.
    pub(crate) released_at: BTreeMap<Revision, Instant>,
    pub(crate) malformed: Arc<BTreeMap<String, KeyError>>,
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
                _ = turn.tick() => { self.save_history(); }
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
        self.report_malformed(&snapshot.view);
        self.take_reports();
        self.release(&snapshot, &releases.view).await;
        let shares = self.neighbours.look(&managers, Instant::now());
        self.steer(Told {
            snapshot: Arc::clone(&snapshot),
            releases,
            shares,
            frozen: self.history.frozen().map(|why| Freeze {
                why: why.into(),
                revision: Revision(i64::MAX),
            }),
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
        self.fleet.steer(
            tree,
            |id, balancer| Orders {
                tree: Arc::clone(balancer),
                general: tree.general.clone(),
                released: news.releases.view.of(id),
                frozen: news.frozen.clone(),
                replacements: news.snapshot.replacements,
                resync: news.resync,
                may_forget: false,
            },
            || whole::Orders {
                balancers: Arc::clone(&tree.balancers),
                general: tree.general.clone(),
                releases: Arc::clone(&news.releases),
                shares: Arc::clone(&news.shares),
                frozen: news.frozen.clone(),
                replacements: news.snapshot.replacements,
                resync: news.resync,
                may_forget: BTreeSet::new(),
            },
        );
        self.told = Some(news);
    }

    /// Whether it is known by now if this snapshot is of the same history as
    /// those before it. Until then the reconcilers go by what they were told.
    async fn check_history(&mut self, snapshot: &Snapshot<Tree>) -> bool {
        let now = self.clock.now();
        let replaced = snapshot.replacements > self.replacements;
        if replaced {
            self.replacements = snapshot.replacements;
            self.board.forget_statuses();
            let why = snapshot.replaced.as_ref().map(ToString::to_string);
            self.history.replaced(&why.unwrap_or_default(), now);
            self.save_history();
        }
        if snapshot.reconnects > self.reconnects {
            // After a gap the history may have been replaced and grown past
            // the revision seen last; the status records give it away.
            self.take_reports();
            let known = self.history.known();
            match self.list_statuses().await {
                Ok(listing) => {
                    self.take_reports();
                    let header = listing.header;
                    let statuses = statuses::statuses_in(&self.keys, listing);
                    let statuses = statuses::revisions(&statuses);
                    let found = self.history.check(&known, header, &statuses, now);
                    self.reconnects = snapshot.reconnects;
                    self.save_history();
                    if found.is_some() && !replaced {
                        // The mirror has seen nothing of it: it must read anew.
                        self.board.forget_statuses();
                        self.unseen.send_replace(found);
                    }
                }
                Err(error) => {
                    tracing::debug!("the status records cannot be compared yet: {error}");
                    return false;
                }
            }
        }
        if self.replacements == 0 {
            self.history.seen(snapshot.header);
        }
        true
    }

    async fn list_statuses(&self) -> Result<Listing, StoreError> {
        let host = &self.settings.host;
        statuses::list(&self.store, &self.keys, host, &self.roles).await
    }

    fn report_malformed(&mut self, tree: &Tree) {
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

    /// What the reconcilers say, and who of them is done for good.
    fn take_reports(&mut self) {
        let mut forgotten = Vec::new();
        {
            let reports = self.reports.borrow_and_update();
            for (id, report) in reports.iter() {
                if report.forgetting {
                    forgotten.push((id.clone(), report.rest == Rest::Forgotten));
                } else if let Some(status) = report.status {
                    self.history.wrote(id, status);
                }
            }
            self.metrics.show(&reports);
        }
        if forgotten.is_empty() {
            return;
        }
        for (id, is_done) in &forgotten {
            self.history.forgot(id);
            if *is_done {
                self.dismissed = true;
                self.fleet.dismiss(id);
                self.board.remove(id);
            }
        }
        // Whoever starts after this process must not miss them.
        if self.save_history() {
            for (id, _) in &forgotten {
                self.fleet.may_forget(id);
            }
        }
    }

    /// Whether what is remembered is on disk.
    fn save_history(&mut self) -> bool {
        if !self.history.is_dirty() {
            return true;
        }
        let Err(error) = self.history.save() else {
            return true;
        };
        let words = Failure::unexpected(error).to_string();
        if self.history_complaint.is_due(&words) {
            tracing::error!("what is remembered of etcd's history cannot be saved: {words}");
        }
        false
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
        let frozen = self.history.frozen();
        let reports = self.reports.borrow();
        let words = words::status(snapshot, &connection, &reports, frozen.is_some());
        drop(reports);
        self.notifier.status(words.clone());
        match (snapshot, connection) {
            (Some(_), Connection::Following) => self.health.ready(),
            _ => self.health.not_ready(words),
        }
        self.metrics.frozen(frozen.is_some());
        if let Some(snapshot) = snapshot {
            self.metrics.tree(snapshot);
        }
    }
}
