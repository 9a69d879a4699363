//! `lbmanager run`.

#[cfg(feature = "ipvs")]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use presence::keys::status::ManagerRole;
use presence::model::Kind;
use presence::process::args::DaemonArgs;
use presence::process::clock::Clock;
use presence::process::daemon::Daemon;
use presence::process::exit::Failure;
use presence::process::health::Health;
use presence::process::metrics;
use presence::process::shutdown::Shutdown;
use presence::process::state_file::{StateDirLock, StateError};
use presence::process::words::chain;
use presence::process::{duration, logging};
use presence::store::Store;
use presence::store::etcd::count_v2_keys;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, timeout_at};

use super::backends::{self, Take};
use super::{CHANGES, TreeArgs};
use crate::backend::Backend;
use crate::history::{History, MarkerWriter};
use crate::manager::{self, Launch, ManagerError, Parts, Settings};
use crate::metrics::Metrics;
use crate::peers::Claim;
use crate::reconcile::{Board, HealthPolls, NoHook, Shared};

pub(super) const EXAMPLE: &str = "Example:
  lbmanager run --endpoints http://10.0.0.1:2379,http://10.0.0.2:2379 --listen 127.0.0.1:9180";

/// Where the state is kept where systemd does not say.
const STATE_DIR: &str = "/var/lib/lbmanager";

/// Flags of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    tree: TreeArgs,

    #[command(flatten)]
    daemon: DaemonArgs,

    /// How long the tree of a load balancer must be quiet before members that
    /// it does not list are removed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    settle: Duration,

    /// How often changes made by hand are looked for
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    resync: Duration,

    /// How long an incident of expired leases lasts after the last expiry, and how long members are
    /// held whose health nothing reports
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration::parse)]
    hold: Duration,

    #[cfg(feature = "ipvs")]
    #[command(flatten)]
    table: table::TableArgs,

    /// The kinds of load balancer to manage [default: all]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    backends: Vec<Kind>,

    /// Change nothing, neither in etcd nor in any load balancer; say what
    /// would be changed
    #[arg(long)]
    dry_run: bool,

    /// Bring everything in line once and exit: 0 when in sync, 2 when not
    #[arg(long)]
    once: bool,

    /// With --once: exit after this time also if something is missing
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "once",
          value_parser = duration::parse)]
    timeout: Duration,
}

pub(super) async fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    logging::init(args.tree.common.log_format)?;
    let shutdown = Shutdown::from_signals().map_err(Failure::io("listen for", "signals"))?;
    let settings = settings(&args)?;
    let _lock = lock_state_dir(&args)?;
    let daemon = Daemon::start(&args.daemon.listen).await?;
    let health = &daemon.health;
    let mut registry = metrics::registry("lbmanager");
    let board = Board::default();
    let store = args.tree.store().await?;
    let clock = Clock::system();
    let history = history(&args, &settings)?;
    let shared = SharedParts {
        markers: [ManagerRole::Aws, ManagerRole::Ipvs].map(|role| history.marker(role)),
        store: store.clone(),
        clock: clock.clone(),
        settings: settings.for_reconcilers(),
        board: board.clone(),
    };
    let whole = whole(&args, &shared, &settings, health)?;
    let parts = Parts {
        launchers: launchers(&args.backends, &shared, &mut registry)?,
        claims: claims(&args, whole.as_deref())?,
        whole,
        history,
        metrics: Metrics::new(&mut registry),
        store,
        clock,
        settings,
        board,
        health: health.clone(),
        notifier: daemon.notifier.clone(),
        shutdown: shutdown.clone(),
    };
    if args.once {
        // Only a daemon waits for etcd.
        let tree = parts.settings.tree.prefix();
        parts.store.get(&tree).await?;
    }
    tokio::spawn(warn_of_v2_keys(args.tree.clone()));
    let once = args.once.then(|| Instant::now() + args.timeout);
    let managing = Box::pin(manage(parts, once));
    daemon.run(registry, managing).await
}

/// The prior system's keys are invisible here; who forgot to write them anew
/// is told. If this ends early nothing is lost.
async fn warn_of_v2_keys(tree: TreeArgs) {
    let Ok(config) = tree.etcd.config() else {
        return;
    };
    let root = tree.prefix.to_string();
    if let Some(count) = count_v2_keys(&config, &root).await {
        tracing::warn!(
            "etcd holds {count} keys below {root} that were written with the v2 API and cannot be \
             seen here; write them anew with the v3 API: etcdctl put KEY VALUE"
        );
    }
}

/// `once` is until when everything is to be in line.
async fn manage<S: Store>(parts: Parts<S>, once: Option<Instant>) -> Result<ExitCode, Failure> {
    let start = manager::start(parts);
    let started = match once {
        Some(until) => timeout_at(until, start).await,
        None => Ok(start.await),
    };
    let Ok(started) = started else {
        tracing::error!("etcd could not be read in time (--timeout); nothing was changed");
        return Ok(ExitCode::from(CHANGES));
    };
    let Some(manager) = started.map_err(Failure::configuration)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let in_sync = manager.run(once).await.map_err(|error| match error {
        ManagerError::Taken(_) => Failure::configuration(error),
        ManagerError::TaskEnded(_) => Failure::unexpected(error),
    })?;
    if once.is_some() && !in_sync {
        return Ok(ExitCode::from(CHANGES));
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &RunArgs) -> Result<Settings, Failure> {
    if args.resync < Duration::from_secs(1) {
        return Err(Failure::usage(
            "--resync is below 1s, the shortest that is allowed",
        ));
    }
    Ok(Settings {
        tree: args.tree.prefix.tree.clone(),
        host: args.tree.common.host_id()?,
        settle: args.settle,
        resync: args.resync,
        hold: args.hold,
        dry_run: args.dry_run,
    })
}

/// Keeps other processes from the state directory until the end of this one. A
/// dry run writes nothing there.
fn lock_state_dir(args: &RunArgs) -> Result<Option<StateDirLock>, Failure> {
    if args.dry_run {
        return Ok(None);
    }
    let directory = args.daemon.state_dir(Path::new(STATE_DIR))?;
    let lock = directory.lock()?;
    if let Err(error) = directory.check_writable() {
        tracing::warn!(
            "{}; until then no new virtual service is created, and a reset of etcd's history may \
             not be noticed after a restart",
            chain(&error)
        );
    }
    Ok(Some(lock))
}

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What this host's ID is claimed with, for each role. A dry run claims nothing.
fn claims(
    args: &RunArgs,
    whole: Option<&dyn manager::whole::Launch>,
) -> Result<Vec<(ManagerRole, Claim)>, Failure> {
    if args.dry_run {
        return Ok(Vec::new());
    }
    let boot = boot_id()?;
    let mut kinds: BTreeMap<ManagerRole, Vec<Kind>> = BTreeMap::new();
    for kind in backends::wanted(&args.backends)? {
        kinds.entry(ManagerRole::of(kind)).or_default().push(kind);
    }
    let regions = whole.map(manager::whole::Launch::regions);
    let regions = regions.unwrap_or_default();
    let claim = |(role, kinds)| {
        let regions = match role {
            ManagerRole::Ipvs => &regions[..],
            ManagerRole::Aws => &[],
        };
        (role, Claim::new(boot.clone(), kinds, regions))
    };
    Ok(kinds.into_iter().map(claim).collect())
}

fn boot_id() -> Result<String, Failure> {
    let boot = std::fs::read_to_string(BOOT_ID).map_err(Failure::io("read", BOOT_ID))?;
    Ok(boot.trim().to_owned())
}

/// A dry run leaves no trace, here neither.
fn history(args: &RunArgs, settings: &Settings) -> Result<History, Failure> {
    let (tree, host) = (&settings.tree, &settings.host);
    let kinds = backends::wanted(&args.backends)?;
    let roles: BTreeSet<ManagerRole> = kinds.into_iter().map(ManagerRole::of).collect();
    if args.dry_run {
        return Ok(History::forgetful(tree, host, roles));
    }
    let directory = args.daemon.state_dir(Path::new(STATE_DIR))?;
    let file = || directory.file("history.json");
    match History::open(file(), tree, host, roles.clone()) {
        Err(error @ StateError::Corrupt { .. }) => {
            let aside = file().set_aside()?;
            tracing::error!(
                "what was remembered of etcd's history is damaged, and kept as {}; the history \
                 is compared from now on: {error}",
                aside.display()
            );
            Ok(History::open(file(), tree, host, roles)?)
        }
        opened => Ok(opened?),
    }
}

struct SharedParts<S> {
    /// Of AWS, and of IPVS.
    markers: [MarkerWriter; 2],
    store: S,
    clock: Clock,
    settings: Arc<crate::reconcile::Settings>,
    board: Board,
}

impl<S: Clone> SharedParts<S> {
    fn with<B>(&self, backend: B) -> Shared<S, B> {
        Shared {
            store: self.store.clone(),
            backend,
            hook: NoHook,
            clock: self.clock.clone(),
            settings: Arc::clone(&self.settings),
            marker: self.markers[0].clone(),
            board: self.board.clone(),
            health_polls: HealthPolls::default(),
        }
    }
}

/// Makes a launcher of each backend.
struct Launchers<'a, S> {
    shared: &'a SharedParts<S>,
    made: BTreeMap<Kind, Box<dyn Launch>>,
}

impl<S: Store> Take for Launchers<'_, S> {
    fn take<B: Backend>(&mut self, kind: Kind, backend: B) {
        self.made.insert(kind, Box::new(self.shared.with(backend)));
    }
}

/// The backends that were asked for, of those that were built in.
fn launchers<S: Store>(
    flag: &[Kind],
    shared: &SharedParts<S>,
    registry: &mut Registry,
) -> Result<BTreeMap<Kind, Box<dyn Launch>>, Failure> {
    let mut launchers = Launchers {
        shared,
        made: BTreeMap::new(),
    };
    let wanted = backends::wanted(flag)?;
    backends::make(&wanted, registry, || Ok(()), &mut launchers);
    Ok(launchers.made)
}

/// The table of the local kernel, if it is to be kept.
#[cfg(feature = "ipvs")]
fn whole<S: Store>(
    args: &RunArgs,
    shared: &SharedParts<S>,
    settings: &Settings,
    health: &Health,
) -> Result<Option<Box<dyn manager::whole::Launch>>, Failure> {
    let is_wanted = backends::wanted(&args.backends)?.contains(&Kind::Ipvs);
    is_wanted
        .then(|| table::launcher(args, shared, settings, health))
        .transpose()
}

/// Without it there is none to be kept.
#[cfg(not(feature = "ipvs"))]
#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
fn whole<S: Store>(
    _: &RunArgs,
    _: &SharedParts<S>,
    _: &Settings,
    _: &Health,
) -> Result<Option<Box<dyn manager::whole::Launch>>, Failure> {
    Ok(None)
}
