//! The kernel's table of virtual services, kept as the tree says: one
//! reconciler for all of it.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`translate`] | pure | from the vocabulary of the tree to that of the kernel |
//! | [`unite`] | pure | one virtual service in several regions of one host |
//! | [`image`] | pure | the kernel's table as it was last known |
//! | [`observe`] | pure | what it says of one virtual service |
//! | [`line`] | pure | one virtual service: what is to be done to it |
//! | `changes` | pure | from that to commands |
//! | [`decide`] | pure | the same for one of all, as things are |
//! | [`lines`] | pure | all of them, and which have to be looked at |
//! | `pass`, `look`, `tell`, `report` | driver | a pass: observe, decide, tell the kernel, report |
//! | [`ledger`] | a file | which virtual services were created here, and by which identity |
//! | [`addresses`] | a file | which addresses were added here |
//! | [`retry`] | thin | files that cannot be written for a while |
//! | [`others`] | thin | virtual services of other identities |
//! | [`host_network`] | driver | what is set on the host's own network around it |
//! | [`kernel`] | driver | the kernel's table, on a thread of its own |
//! | [`outbox`] | driver | statuses on their way to etcd |
//! | [`probe`] | driver | whether members that are held still answer |
//!
//! Tasks: [`Table::run`] runs the passes, the outbox, the probes and the host's
//! network as one future; if one of them ends, all do. It is told the newest state on a
//! `watch` channel ([`Orders`]), and never why it should look.

pub mod addresses;
mod changes;
pub mod decide;
pub mod host_network;
pub mod image;
pub mod kernel;
pub mod ledger;
pub mod line;
pub mod lines;
mod look;
pub mod observe;
pub mod others;
pub mod outbox;
mod pass;
pub mod probe;
mod report;
pub mod retry;
mod tell;
pub mod translate;
pub mod unite;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use ipvs::ServiceKey;
use presence::keys::StatusTree;
use presence::model::{BalancerId, HostId, Kind, Region};
use presence::process::backoff::Backoff;
use presence::process::clock::Clock;
use presence::process::complaint::Complaint;
use presence::process::health::Heartbeat;
use presence::process::shutdown::Shutdown;
use presence::store::Store;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::history::MarkerWriter;
use crate::host::HostSettings;
use crate::identity::Identity;
use crate::manager::whole::{Launch, Orders};
use crate::reconcile::{Board, Failing};
use crate::record::Record;
use addresses::Addresses;
use image::Image;
use kernel::{Kernel, Threaded};
use ledger::Ledger;
use lines::Lines;
use others::Others;
use outbox::Outbox;

/// How the table is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the statuses are written.
    pub keys: StatusTree,
    /// Whose kernel this is.
    pub host: HostId,
    /// The regions whose virtual services it has, the host's own first.
    pub regions: Vec<Region>,
    /// How long the tree must have been quiet before strangers leave.
    pub settle: Duration,
    /// How long a member whose lease ended is held at most.
    pub hold: Duration,
    /// Change nothing, say what would be changed.
    pub dry_run: bool,
}

/// What a table is made of.
pub struct Parts<S, K> {
    /// Where the statuses are written.
    pub store: S,
    /// The kernel.
    pub kernel: Threaded<K>,
    /// Which services are whose.
    pub ledger: Ledger,
    /// Which addresses were added here.
    pub addresses: Addresses,
    /// What is set around the table; `None`: nothing.
    pub around: Option<HostSettings>,
    /// How it is found out whether a held member answers.
    pub probe: probe::Ask,
    /// Beaten as long as there is progress.
    pub heartbeat: Heartbeat,
    /// The time.
    pub clock: Clock,
    /// How it is kept.
    pub settings: Settings,
    /// Written with each status.
    pub marker: MarkerWriter,
    /// Where reports go.
    pub board: Board,
}

/// Keeps the kernel's table.
pub struct Table<S, K> {
    parts: Parts<S, K>,
    /// `None`: to be read.
    image: Option<Image>,
    lines: Lines,
    network: Option<host_network::Publisher>,
    outbox: Outbox,
    held: watch::Sender<BTreeSet<SocketAddr>>,
    silent: watch::Receiver<BTreeSet<SocketAddr>>,
    resync: u64,
    /// How many resyncs have only read the text.
    sweeps: u32,
    complaint: Complaint,
    /// What a dry run has said that it would do.
    said: BTreeSet<String>,
    others: Others,
    /// Services that the ledger could not be told of.
    unwritten: BTreeSet<ServiceKey>,
    ledger_complaint: Complaint,
}

impl<S: Store, K: Kernel> Launch for Parts<S, K> {
    fn kind(&self) -> Kind {
        Kind::Ipvs
    }

    fn regions(&self) -> Vec<Region> {
        self.settings.regions.clone()
    }

    fn launch(
        self: Box<Self>,
        identity: Identity,
        records: BTreeMap<BalancerId, Record>,
        orders: watch::Receiver<Option<Orders>>,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(run(*self, identity, records, orders, shutdown))
    }
}

/// Keeps the table until shutdown.
async fn run<S: Store, K: Kernel>(
    mut parts: Parts<S, K>,
    identity: Identity,
    mut records: BTreeMap<BalancerId, Record>,
    orders: watch::Receiver<Option<Orders>>,
    shutdown: Shutdown,
) {
    let (held, asked) = watch::channel(BTreeSet::new());
    let (silence, silent) = watch::channel(BTreeSet::new());
    let outbox = Outbox::default();
    parts.ledger.run_as(identity);
    let others = Others::of(&mut records, &parts.ledger, &outbox);
    let ask = Arc::clone(&parts.probe);
    let (store, board) = (parts.store.clone(), parts.board.clone());
    let target = outbox::Target {
        keys: parts.settings.keys.clone(),
        host: parts.settings.host.clone(),
        marker: parts.marker.clone(),
    };
    let addresses = std::mem::take(&mut parts.addresses);
    // A previous run may have set what is not needed any more.
    let dirty = !parts.ledger.is_empty() || !addresses.bound().is_empty();
    let (publisher, network) = match parts.around.take() {
        Some(settings) => {
            let (publisher, wanted) = host_network::Publisher::new(&settings, dirty);
            (
                Some(publisher),
                Some(host_network::run(settings, addresses, wanted)),
            )
        }
        None => (None, None),
    };
    let table = Table {
        image: None,
        lines: Lines::new(records, &parts.settings, parts.clock.now(), &outbox),
        network: publisher,
        outbox: outbox.clone(),
        held,
        silent,
        resync: 0,
        sweeps: 0,
        complaint: Complaint::every(Duration::from_mins(10)),
        said: BTreeSet::new(),
        others,
        unwritten: BTreeSet::new(),
        ledger_complaint: Complaint::every(Duration::from_mins(10)),
        parts,
    };
    tokio::select! {
        () = table.run(orders, shutdown) => {}
        () = outbox.run(&store, &target, &board) => {}
        () = probe::run(ask, asked, silence) => {}
        Some(()) = OptionFuture::from(network) => {}
    }
}

/// The table is looked after at least this often,
const TURN: Duration = Duration::from_secs(10);
/// and a pass may take this long: many services, and a kernel that is busy.
pub const PROGRESS: Duration = Duration::from_mins(1);
/// How long statuses may take to be written at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl<S: Store, K: Kernel> Table<S, K> {
    async fn run(mut self, mut orders: watch::Receiver<Option<Orders>>, shutdown: Shutdown) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let mut turn = interval(TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.parts.heartbeat.beat();
            let current = orders.borrow_and_update().clone();
            let wake = match current {
                None => None,
                Some(orders) => match self.pass(&orders).await {
                    Ok(next) => {
                        backoff.succeeded();
                        next.map(|wait| Instant::now() + wait)
                    }
                    Err(failing) => {
                        self.fail(&failing);
                        Some(Instant::now() + backoff.failed())
                    }
                },
            };
            let wake = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // All cancel-safe: what was missed is still there when asked again.
                () = shutdown.triggered() => break,
                changed = orders.changed() => if changed.is_err() { break },
                _ = self.silent.changed() => {}
                () = wake => {}
                _ = turn.tick() => {}
            }
        }
        let end = Instant::now() + LAST_WORDS;
        while !self.outbox.is_empty() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The kernel cannot be read: nothing is done.
    fn fail(&mut self, failing: &Failing) {
        self.image = None;
        let now = self.parts.clock.now();
        if self.complaint.is_due(&failing.words) {
            let what = "virtual services are not brought in line with the tree";
            if failing.is_temporary {
                tracing::warn!("{what} for now: {}", failing.words);
            } else {
                tracing::error!("{what}: {}", failing.words);
            }
        }
        if failing.is_temporary {
            // The next look is soon, and most often sets it right.
            return;
        }
        for line in self.lines.iter_mut() {
            line.record_mut().failed_with(now, failing.words.clone());
            for id in &line.ids {
                self.parts.board.failed(id, failing.clone());
                if !self.parts.settings.dry_run {
                    self.outbox.write(id, Arc::clone(&line.record));
                }
            }
        }
    }
}
