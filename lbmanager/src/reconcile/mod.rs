//! One load balancer, kept as the tree says.
//!
//! One task for each load balancer ([`Reconciler::run`]). It is told the
//! newest state on a `watch` channel ([`Orders`]) and never why it should
//! look; what it found goes to the [`Board`]. A pass runs to its end before
//! the next begins, so the writes of one load balancer are serialised.

mod board;
mod decide;
mod health_polls;
mod hook;
mod pass;
mod pretend;
pub(crate) mod seal;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use presence::keys::StatusTree;
use presence::model::{BalancerId, HostId, MemberId, Revision};
use presence::process::backoff::Backoff;
use presence::process::clock::Clock;
use presence::process::complaint::Complaint;
use presence::process::shutdown::Shutdown;
use presence::store::Store;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

pub(crate) use board::Failing;
pub use board::{Board, Report, Rest};
pub use decide::{Patience, Question};
pub use health_polls::HealthPolls;
pub use hook::{Crash, Hook, NoHook, Point};

use crate::backend::Backend;
use crate::history::{Freeze, MarkerWriter};
use crate::observed::Described;
use crate::record::Record;
use crate::tree::{BalancerTree, Config};
use health_polls::HealthPoll;
use pass::{PassError, Passed, Step};
use seal::Seal;

/// News that nothing follows within this time stands alone.
const ALONE: Duration = Duration::from_millis(5);
/// Changes to several members are a burst, over after a pause of this length:
/// longer than etcd takes to write to its disk in between.
const BURST_PAUSE: Duration = Duration::from_millis(50);
/// Longer than this no burst is waited for.
const BURST_LENGTH: Duration = Duration::from_secs(1);
/// News during a back-off is not acted on before this.
const NEWS_PAUSE: Duration = Duration::from_secs(2);

/// The state that a reconciler works from. All of it is state: losing all but
/// the last is no loss.
#[derive(Debug, Clone)]
pub struct Orders {
    /// What the tree says of this load balancer.
    pub tree: Arc<BalancerTree>,
    /// Options for everything.
    pub general: Option<Arc<Config>>,
    /// The mod_revision of an operator's release key.
    pub released: Option<Revision>,
    /// Why removals are frozen: the history was reset.
    pub frozen: Option<Freeze>,
    /// How often the history was reset.
    pub replacements: u32,
    /// Counts up when it is time to look for drift.
    pub resync: u64,
}

impl Orders {
    fn differ(&self, other: &Self) -> bool {
        let same_general = match (&self.general, &other.general) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        !same_general
            || !Arc::ptr_eq(&self.tree, &other.tree)
            || self.released != other.released
            || self.frozen != other.frozen
            || self.replacements != other.replacements
            || self.resync != other.resync
    }

    /// Sends them on if they are news.
    pub fn send(self, to: &watch::Sender<Self>) {
        to.send_if_modified(|last| {
            let news = self.differ(last);
            *last = self;
            news
        });
    }
}

/// What is the same for all reconcilers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the status is written.
    pub keys: StatusTree,
    /// Who writes the status.
    pub host: HostId,
    /// How long the tree must have been quiet before strangers leave.
    pub settle: Duration,
    /// How long a member whose lease ended is held at most.
    pub hold: Duration,
    /// Change nothing, say what would be changed.
    pub dry_run: bool,
}

/// Strangers leave after so long at the latest, however busy the tree is.
const SETTLE_AT_MOST: Duration = Duration::from_mins(1);

/// What all reconcilers of a kind of load balancer share.
#[derive(Debug, Clone)]
pub struct Shared<S, B, H = NoHook> {
    /// Where the status is written.
    pub store: S,
    /// The load balancers.
    pub backend: B,
    /// Where tests end the process.
    pub hook: H,
    /// The time.
    pub clock: Clock,
    /// How to go about it.
    pub settings: Arc<Settings>,
    /// Written with each status.
    pub marker: MarkerWriter,
    /// Where reports go.
    pub board: Board,
    /// How often health is polled.
    pub health_polls: HealthPolls,
}

/// Keeps one load balancer.
pub struct Reconciler<S, B, H = NoHook> {
    id: BalancerId,
    shared: Shared<S, B, H>,
    record: Record,
    /// The status as it is in the store, as far as is known.
    written: Option<Seal>,
    /// Who is registered, as far as this reconciler knows: since it was read,
    /// somebody else may have changed it.
    described: Option<Described>,
    rejected: BTreeMap<MemberId, Rejection>,
    /// Members whose deregistration was rejected.
    kept: BTreeMap<MemberId, Rejection>,
    /// What was done last, until there is nothing to do.
    last_step: Option<Step>,
    replacements: u32,
    resync: u64,
    settling: Settling,
    /// What a dry run has said that it would do.
    said: BTreeSet<String>,
    patience: Patience,
    health_poll: HealthPoll,
    health_is_due: bool,
    /// Whether a pass that was told of a change has not come to its end.
    has_news: bool,
    polls: Backoff,
    held_polls: Backoff,
    failures: Backoff,
    slow_failures: Backoff,
    complaint: Complaint,
}

/// A member that the load balancer refused to register, or to deregister.
#[derive(Debug)]
struct Rejection {
    /// Its key's mod_revision then: writing the key again is another try.
    mod_revision: Option<Revision>,
    why: String,
    again: Timestamp,
    backoff: Backoff,
}

/// Since when the tree is quiet.
#[derive(Debug, Clone, Copy)]
struct Settling {
    revision: Revision,
    start: Timestamp,
    quiet: Timestamp,
}

impl<S: Store, B: Backend, H: Hook> Reconciler<S, B, H> {
    /// A reconciler that goes on from the record that the store has.
    pub fn new(id: BalancerId, shared: Shared<S, B, H>, record: Option<Record>) -> Self {
        let now = shared.clock.now();
        let written = record.as_ref().map(|record| Seal::of(&record.to_json()));
        let mut record = record.unwrap_or_default();
        record.clamp_times(now);
        Self {
            id,
            written,
            record,
            described: None,
            rejected: BTreeMap::new(),
            kept: BTreeMap::new(),
            last_step: None,
            replacements: 0,
            resync: 0,
            settling: Settling {
                revision: Revision::default(),
                start: now,
                quiet: now,
            },
            said: BTreeSet::new(),
            patience: Patience::default(),
            health_poll: shared.health_polls.start(),
            health_is_due: false,
            has_news: true,
            polls: Backoff::new(Duration::from_millis(500), Duration::from_secs(15)),
            held_polls: Backoff::new(Duration::from_secs(5), Duration::from_mins(5)),
            failures: Backoff::new(Duration::from_millis(500), Duration::from_mins(1)),
            slow_failures: Backoff::new(Duration::from_secs(5), Duration::from_mins(5)),
            complaint: Complaint::every(Duration::from_mins(10)),
            shared,
        }
    }

    /// Reconciles until shutdown, or until there is nothing left to manage.
    pub async fn run(mut self, mut orders: watch::Receiver<Orders>, shutdown: Shutdown) {
        loop {
            let current = orders.borrow_and_update().clone();
            let wake = match self.pass(&current, &mut orders).await {
                Ok(Passed::Forgotten) => {
                    self.shared.board.forgotten(&self.id);
                    return;
                }
                Ok(Passed::Overtaken) => {
                    if shutdown.is_triggered() {
                        return;
                    }
                    burst(&mut orders, current.tree.revision).await;
                    continue;
                }
                Ok(Passed::Next(next)) => {
                    self.has_news = false;
                    self.failures.succeeded();
                    self.slow_failures.succeeded();
                    if self.complaint.is_over() {
                        tracing::info!("{}: in line with the tree again, or on the way", self.id);
                    }
                    Wake::at(next.map(|wait| Instant::now() + wait))
                }
                Err(PassError::Crashed(_)) => return,
                Err(error) => self.after_failure(&error),
            };
            tokio::select! {
                biased;
                () = shutdown.triggered() => return,
                woken = wake.wait(&mut orders, current.tree.revision) => match woken {
                    Woken::Ended => return,
                    Woken::News => self.has_news = true,
                    Woken::Timer => {}
                }
            }
        }
    }

    fn after_failure(&mut self, error: &PassError) -> Wake {
        self.described = None;
        let backoff = if error.is_temporary() {
            &mut self.failures
        } else {
            &mut self.slow_failures
        };
        let wait = backoff.failed();
        if self.complaint.is_due(&error.to_string()) {
            tracing::warn!("{}: not brought in line with the tree: {error}", self.id);
        }
        self.shared.board.failed(&self.id, error.failing());
        Wake {
            at: Some(Instant::now() + wait),
            news_from: Instant::now() + wait.min(NEWS_PAUSE),
        }
    }
}

/// When to look again.
struct Wake {
    at: Option<Instant>,
    news_from: Instant,
}

impl Wake {
    fn at(at: Option<Instant>) -> Self {
        Self {
            at,
            news_from: Instant::now(),
        }
    }

    /// Waits for news since that revision, or for the time.
    async fn wait(&self, orders: &mut watch::Receiver<Orders>, seen: Revision) -> Woken {
        let Some(at) = self.at else {
            return self.news(orders, seen).await;
        };
        tokio::select! {
            biased;
            woken = self.news(orders, seen) => woken,
            () = sleep_until(at) => Woken::Timer,
        }
    }

    async fn news(&self, orders: &mut watch::Receiver<Orders>, seen: Revision) -> Woken {
        sleep_until(self.news_from).await;
        if orders.changed().await.is_err() {
            return Woken::Ended;
        }
        burst(orders, seen).await;
        Woken::News
    }
}

/// Why a reconciler looks again.
enum Woken {
    /// Nobody sends orders any more.
    Ended,
    News,
    Timer,
}

/// Waits until a burst of news is over. The first changes of a burst and its
/// last are then one pass: one describe, one register, one deregister.
async fn burst(orders: &mut watch::Receiver<Orders>, seen: Revision) {
    let end = Instant::now() + BURST_LENGTH;
    let burst = async {
        loop {
            let several = orders.borrow().tree.changes_after(seen) > 1;
            let pause = if several { BURST_PAUSE } else { ALONE };
            if !matches!(timeout(pause, orders.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    };
    // Longer than the longest burst nobody waits; what comes is seen next.
    let _ = timeout_at(end, burst).await;
}
