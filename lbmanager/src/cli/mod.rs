//! The command line: one file for each subcommand.
//!
//! Beside those: [`backends`] (what was built in), [`read`] (the tree and the status records, once), [`edit`]
//! (compare-and-swap of what a key says), [`wait`] (until the status shows
//! it).

mod backends;
mod drain;
mod edit;
mod forget_host;
mod pause;
mod plan;
mod purge;
mod read;
#[cfg(feature = "ipvs")]
mod regions;
mod release;
mod rm;
mod run;
mod set;
mod status;
mod wait;
mod writers;

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use presence::keys::TreeKey;
use presence::model::{BalancerId, MemberKey};
use presence::process::args::{CommonArgs, PrefixArgs};
use presence::process::cli::{CompletionsArgs, ManArgs};
use presence::process::etcd_args::EtcdArgs;
use presence::process::exit::Failure;
use presence::process::{logging, words};
use presence::store::etcd::EtcdStore;

/// Exit code where what was asked for cannot be done as things are.
const REFUSED: u8 = 1;

/// Exit code of `run --once` and `plan` where not everything is as the tree
/// says.
const CHANGES: u8 = 2;

const COMPLETIONS: &str = "Example:
  lbmanager completions bash > /etc/bash_completion.d/lbmanager";

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
    max_term_width = 100,
    verbatim_doc_comment
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

    /// Say what would be changed, and what is withheld and why
    #[command(after_help = plan::EXAMPLE)]
    Plan(plan::PlanArgs),

    /// Show the load balancers and their members as the managers report them
    #[command(after_help = status::EXAMPLE)]
    Status(status::StatusArgs),

    /// Put a member in, or change its options
    #[command(after_help = set::EXAMPLE)]
    Set(set::SetArgs),

    /// Take a member out: delete its key
    #[command(after_help = rm::EXAMPLE)]
    Rm(rm::RmArgs),

    /// Take a member out, and keep its key
    #[command(after_help = drain::EXAMPLE)]
    Drain(drain::DrainArgs),

    /// Let a drained member serve again
    #[command(after_help = drain::EXAMPLE_BACK)]
    Undrain(drain::DrainArgs),

    /// Change nothing any more, in one load balancer or in all
    #[command(after_help = pause::EXAMPLE)]
    Pause(pause::PauseArgs),

    /// Go on after a pause
    #[command(after_help = pause::EXAMPLE_BACK)]
    Resume(pause::PauseArgs),

    /// Stop managing a load balancer and leave its members where they are
    #[command(after_help = purge::EXAMPLE)]
    Purge(purge::PurgeArgs),

    /// Release held removals
    #[command(after_help = release::EXAMPLE)]
    Release(release::ReleaseArgs),

    /// Delete what the manager of a retired host left in etcd
    #[command(after_help = forget_host::EXAMPLE)]
    ForgetHost(forget_host::ForgetHostArgs),

    /// Write the completions for a shell to stdout
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArgs),

    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
}

/// Where the tree is, and how it is reached.
#[derive(Debug, Clone, Args)]
struct TreeArgs {
    #[command(flatten)]
    etcd: EtcdArgs,

    #[command(flatten)]
    common: CommonArgs,

    #[command(flatten)]
    prefix: PrefixArgs,
}

impl TreeArgs {
    /// etcd; nothing is sent yet.
    async fn store(&self) -> Result<EtcdStore, Failure> {
        Ok(EtcdStore::connect(self.etcd.config()?).await?)
    }

    /// The same for a command that does one thing and ends.
    async fn one_shot(&self) -> Result<EtcdStore, Failure> {
        logging::init(self.common.log_format)?;
        self.store().await
    }

    /// The load balancer that an argument names, with or without the prefix.
    fn balancer(&self, text: &str) -> Result<BalancerId, Failure> {
        self.prefix.balancer(text).map_err(Failure::usage)
    }

    /// The member that an argument names, likewise.
    fn member(&self, text: &str) -> Result<MemberKey, Failure> {
        match self.prefix.parse(&self.prefix.complete(text)) {
            Ok(TreeKey::Member(member)) => Ok(member),
            Ok(TreeKey::Config | TreeKey::BalancerConfig(_)) => Err(Failure::usage(format!(
                "{text:?} names options, not a member; TYPE/REGION/NAME/CLASS/MEMBER is expected"
            ))),
            Err(error) => Err(Failure::usage(error)),
        }
    }

    /// The whole key of a member.
    fn key(&self, member: &MemberKey) -> String {
        self.prefix.key(&TreeKey::Member(member.clone()))
    }
}

/// What was asked for cannot be done as things are.
fn refused(why: impl Into<String>) -> Failure {
    Failure::new(REFUSED, why.into())
}

/// Runs the command that the arguments name.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start", "the runtime"))?;
    let result = runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(args).await,
            Command::Plan(args) => plan::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Set(args) => set::run(args).await,
            Command::Rm(args) => rm::run(args).await,
            Command::Drain(args) => drain::run(args, true).await,
            Command::Undrain(args) => drain::run(args, false).await,
            Command::Pause(args) => pause::run(args, true).await,
            Command::Resume(args) => pause::run(args, false).await,
            Command::Purge(args) => purge::run(args).await,
            Command::Release(args) => release::run(args).await,
            Command::ForgetHost(args) => forget_host::run(args).await,
            Command::Completions(args) => args.write(&mut Cli::command()),
            Command::Man(args) => args.write(Cli::command()),
        }
    });
    // A name that is being looked up must not hold the end up.
    runtime.shutdown_background();
    result
}
