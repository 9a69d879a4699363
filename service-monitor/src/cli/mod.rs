//! The command line: one file for each subcommand.

mod hosts;
mod watch;

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use presence::process::args::CommonArgs;
use presence::process::cli::{CompletionsArgs, ManArgs};
use presence::process::etcd_args::EtcdArgs;
use presence::process::exit::Failure;
use presence::process::logging;
use presence::store::etcd::EtcdStore;

const COMPLETIONS: &str = "Example:
  service-monitor completions bash > /etc/bash_completion.d/service-monitor";

/// Exit code where what was asked for was not had.
const REFUSED: u8 = 1;

/// Keeps a service's presence true, and lists who is there.
///
///   service-monitor watch --label es --service-id es-1 --monitor-url http://127.0.0.1:9200
///   service-monitor hosts --label es
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

/// Runs the command that the arguments name.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // One thread: most of these run beside every service, or for a moment.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::unexpected)?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Watch(args) => Box::pin(watch::run(*args)).await,
            Command::Hosts(args) => hosts::run(*args).await,
            Command::Completions(args) => args.write(&mut Cli::command()),
            Command::Man(args) => args.write(Cli::command()),
        }
    });
    // A name that is being looked up must not hold the end up.
    runtime.shutdown_background();
    result
}
