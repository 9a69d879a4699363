//! The table of the local kernel, as the command line has it.

use std::path::Path;

use clap::Args;
use presence::process::exit::Failure;
use presence::process::health::Health;
use presence::process::state_file::{StateDir, StateError, StateFile};
use presence::store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{RunArgs, STATE_DIR, SharedParts, boot_id};
use crate::cli::regions::RegionArgs;
use crate::host::kernel_lock::{self, KernelLock};
use crate::host::{HostSettings, masquerade, sysctl};
use crate::manager::{Settings, whole};
use crate::table::addresses::Addresses;
use crate::table::kernel::{Linux, Threaded};
use crate::table::ledger::Ledger;
use crate::table::{self, probe};

/// Flags of `run` that concern it.
#[derive(Debug, Clone, Args)]
pub struct TableArgs {
    #[command(flatten)]
    regions: RegionArgs,

    /// Add the virtual addresses of this host's own region, and of those that
    /// no other live host serves, to this interface, a dummy one for example,
    /// and remove them again
    #[arg(long, value_name = "INTERFACE")]
    bind_vips: Option<String>,

    /// Rules of iptables for clients behind the same bridge as their real
    /// server
    #[arg(long, value_enum, default_value_t)]
    masquerade: masquerade::Mode,

    /// Settings of the kernel that virtual services need
    #[arg(long, value_enum, default_value_t)]
    sysctl: sysctl::Mode,
}

/// What keeps it.
pub(super) fn launcher<S: Store>(
    args: &RunArgs,
    shared: &SharedParts<S>,
    settings: &Settings,
    health: &Health,
) -> Result<Box<dyn whole::Launch>, Failure> {
    let flags = &args.table;
    let (ledger, addresses) = stored(args)?;
    let around = HostSettings {
        bind_vips: flags.bind_vips.clone(),
        masquerade: flags.masquerade,
        sysctl: flags.sysctl,
        ..HostSettings::default()
    };
    Ok(Box::new(table::Parts {
        store: shared.store.clone(),
        kernel: Threaded::start(kernel(args)?)
            .map_err(Failure::io("start", "the thread for the kernel"))?,
        around: (!args.dry_run).then_some(around),
        probe: probe::tcp(),
        ledger,
        addresses,
        heartbeat: health.heartbeat("table", table::PROGRESS),
        clock: shared.clock.clone(),
        settings: table::Settings {
            keys: settings.tree.status(),
            host: settings.host.clone(),
            regions: flags.regions.regions(&settings.host)?,
            settle: settings.settle,
            hold: settings.hold,
            dry_run: settings.dry_run,
        },
        marker: shared.markers[1].clone(),
        board: shared.board.clone(),
    }))
}

/// The kernel, for this manager alone. If its virtual services cannot be managed
/// yet, the lock is taken when they can.
fn kernel(args: &RunArgs) -> Result<Linux, Failure> {
    if args.dry_run {
        return Ok(Linux::default());
    }
    let lock = KernelLock::new();
    if kernel_lock::has_table() {
        lock.take().map_err(Failure::configuration)?;
    }
    Ok(Linux::locked(lock))
}

/// The ledger, and the addresses that were added. A dry run has neither.
fn stored(args: &RunArgs) -> Result<(Ledger, Addresses), Failure> {
    if args.dry_run {
        return Ok((Ledger::forgetful(), Addresses::default()));
    }
    let boot = boot_id()?;
    let directory = args.daemon.state_dir(Path::new(STATE_DIR))?;
    let ledger = read(&directory, "ipvs.json", |file| Ledger::open(file, &boot))?;
    let addresses = read(&directory, "addresses.json", |file| {
        Addresses::open(file, &boot)
    })?;
    Ok((ledger, addresses))
}

/// Opens a file; one that is damaged is set aside.
fn read<C: Serialize + DeserializeOwned, T>(
    directory: &StateDir,
    name: &str,
    open: impl Fn(StateFile<C>) -> Result<T, StateError>,
) -> Result<T, Failure> {
    match open(directory.file(name)) {
        Err(StateError::Corrupt { .. }) => {
            directory.file::<C>(name).set_aside()?;
            Ok(open(directory.file(name))?)
        }
        opened => Ok(opened?),
    }
}
