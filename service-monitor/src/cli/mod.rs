//! The command line: one file for each subcommand.

mod acquire_lease;
mod following;
mod hosts;
mod lease;
mod leases;
mod release_lease;
mod run_locked;
mod set_slots;
mod watch;

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use nix::sys::signal::Signal;
use presence::process::args::CommonArgs;
use presence::process::cli::{CompletionsArgs, ManArgs};
use presence::process::etcd_args::EtcdArgs;
use presence::process::exit::Failure;
use presence::process::logging;
use presence::process::shutdown::Shutdown;
use presence::store::etcd::EtcdStore;

const COMPLETIONS: &str = "Example:
  service-monitor completions bash > /etc/bash_completion.d/service-monitor";

/// Exit code where what was asked for was not had.
const REFUSED: u8 = 1;

/// Keeps a service's presence true, lists who is there, and starts a cluster one node at a time.
///
///   service-monitor watch --label es --service-id es-1 --monitor-url http://127.0.0.1:9200
///   service-monitor hosts --label es
///   service-monitor acquire-lease --label es --service-id es-1
#[derive(Debug, Parser)]
#[command(
    name = "service-monitor",
    version = presence::process::VERSION,
    max_term_width = 100,
    verbatim_doc_comment
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Probe a service, and keep its presence in etcd true
    #[command(after_help = watch::EXAMPLE)]
    Watch(Box<watch::WatchArgs>),

    /// List the instances of a service that are up
    #[command(after_help = hosts::EXAMPLE)]
    Hosts(Box<hosts::HostsArgs>),

    /// Wait for a turn at a lease, and leave it held
    #[command(after_help = acquire_lease::EXAMPLE)]
    AcquireLease(Box<acquire_lease::AcquireLeaseArgs>),

    /// Give a lease back
    #[command(after_help = release_lease::EXAMPLE)]
    ReleaseLease(Box<release_lease::ReleaseLeaseArgs>),

    /// Say who holds a lease, and who waits for it
    #[command(after_help = leases::EXAMPLE)]
    Leases(Box<leases::LeasesArgs>),

    /// Say how many may hold a lease at a time
    #[command(after_help = set_slots::EXAMPLE)]
    SetSlots(Box<set_slots::SetSlotsArgs>),

    /// Hold a lease for as long as a command runs
    #[command(after_help = run_locked::EXAMPLE)]
    RunLocked(Box<run_locked::RunLockedArgs>),

    /// Run a command that the kernel kills when its parent ends
    #[command(hide = true)]
    DieWith(run_locked::DieWithArgs),

    /// Write the completions for a shell to stdout
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArgs),

    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
}

/// Flags of every subcommand that speaks with etcd.
#[derive(Debug, Clone, Args)]
struct EtcdCommand {
    #[command(flatten)]
    etcd: EtcdArgs,

    #[command(flatten)]
    common: CommonArgs,
}

impl EtcdCommand {
    /// Sets logging up and gives etcd; nothing is sent yet.
    async fn start(&self) -> Result<EtcdStore, Failure> {
        logging::init(self.common.log_format)?;
        Ok(EtcdStore::connect(self.etcd.config()?).await?)
    }
}

/// The signal that ends this process, once it has come.
async fn signal_of(shutdown: &Shutdown) -> Signal {
    shutdown.triggered().await;
    // Nothing else triggers it here.
    shutdown.signal().unwrap_or(Signal::SIGTERM)
}

/// Runs the command that the arguments name.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // One thread: most of these run beside every service, or for a moment.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start", "the runtime"))?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Watch(args) => Box::pin(watch::run(*args)).await,
            Command::Hosts(args) => hosts::run(*args).await,
            Command::AcquireLease(args) => acquire_lease::run(*args).await,
            Command::ReleaseLease(args) => release_lease::run(*args).await,
            Command::Leases(args) => Box::pin(leases::run(*args)).await,
            Command::SetSlots(args) => set_slots::run(*args).await,
            Command::RunLocked(args) => Box::pin(run_locked::run(*args)).await,
            Command::DieWith(args) => Err(run_locked::die_with(&args)),
            Command::Completions(args) => args.write(&mut Cli::command()),
            Command::Man(args) => args.write(Cli::command()),
        }
    });
    // A name that is being looked up must not hold the end up.
    runtime.shutdown_background();
    result
}
