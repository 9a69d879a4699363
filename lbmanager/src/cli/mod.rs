//! The command line: one file for each subcommand.

mod run;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use presence::keys::{DEFAULT_PREFIX, Tree};
use presence::process::args::CommonArgs;
use presence::process::etcd_args::EtcdArgs;
use presence::process::exit::Failure;
use presence::store::etcd::EtcdStore;

/// Keeps load balancers as a tree of keys in etcd says.
///
/// Members are put in and taken out with etcdctl:
///
///   etcdctl put /lbManager/elb/us-east-1/web/multiple/i-00000001 ''
///   etcdctl del /lbManager/elb/us-east-1/web/multiple/i-00000001
#[derive(Debug, Parser)]
#[command(
    name = "lbmanager",
    version = presence::process::VERSION,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the tree and keep every load balancer in it as it says (default)
    #[command(after_help = run::EXAMPLE)]
    Run(run::RunArgs),
}

/// Where the tree is, and how it is reached.
#[derive(Debug, Clone, Args)]
struct TreeArgs {
    #[command(flatten)]
    etcd: EtcdArgs,

    #[command(flatten)]
    common: CommonArgs,

    /// Where the tree of load balancers is in etcd
    #[arg(long, visible_alias = "config-path", value_name = "PATH",
          default_value = DEFAULT_PREFIX, value_parser = Tree::new)]
    prefix: Tree,
}

impl TreeArgs {
    /// etcd; nothing is sent yet.
    async fn store(&self) -> Result<EtcdStore, Failure> {
        Ok(EtcdStore::connect(self.etcd.config()?).await?)
    }
}

/// Runs the command that the arguments name.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::unexpected)?;
    let result = runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(args).await,
        }
    });
    // A name that is being looked up must not hold the end up.
    runtime.shutdown_background();
    result
}
