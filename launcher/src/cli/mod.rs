//! The command line: one file for each subcommand.

mod check;
mod definition_args;
mod document;
mod etcd_command;
mod format;
mod get;
mod history;
mod ps;
mod put;
mod run;

use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use presence::process::cli::{self, CompletionsArgs, ManArgs};
use presence::process::exit::Failure;

pub use self::definition_args::DefinitionArgs;
use crate::definition;

/// Exit code where what was asked for cannot be done as things are.
const REFUSED: u8 = 1;

const COMPLETIONS: &str = "Example:
  launcher completions bash > /etc/bash_completion.d/launcher";

const SCHEMA: &str = "Example:
  launcher schema > definition.schema.json

An editor with a YAML language server completes a document whose first line is
  # yaml-language-server: $schema=definition.schema.json";

/// Runs one health-checked container per unit, published to its load balancers.
///
///   launcher check web.yaml
///   launcher put web.yaml
///   launcher run web
#[derive(Debug, Parser)]
#[command(
    name = "launcher",
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
    /// Run one container, and keep it published while it is healthy
    #[command(after_help = run::EXAMPLE)]
    Run(Box<run::RunArgs>),

    /// Say what is wrong with a definition, and where
    #[command(after_help = check::EXAMPLE)]
    Check(check::CheckArgs),

    /// Bring a definition into force
    #[command(after_help = put::EXAMPLE)]
    Put(Box<put::PutArgs>),

    /// Write a definition to stdout as it was put
    #[command(after_help = get::EXAMPLE)]
    Get(Box<get::GetArgs>),

    /// List the definitions that were ever in force
    #[command(after_help = history::EXAMPLE)]
    History(Box<history::HistoryArgs>),

    /// List the instances on all hosts
    #[command(after_help = ps::EXAMPLE)]
    Ps(Box<ps::PsArgs>),

    /// Write the JSON Schema of definitions to stdout, for editors
    #[command(after_help = SCHEMA)]
    Schema,

    /// Write the completions for a shell to stdout
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArgs),

    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man(ManArgs),
}

/// Runs the command that the arguments name.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Run(args) => block_on(run::run(*args)),
        Command::Check(args) => check::run(&args),
        Command::Put(args) => block_on(put::run(*args)),
        Command::Get(args) => block_on(get::run(*args)),
        Command::History(args) => block_on(history::run(*args)),
        Command::Ps(args) => block_on(ps::run(*args)),
        Command::Schema => cli::print(definition::schema().as_bytes()).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => args.write(&mut Cli::command()),
        Command::Man(args) => args.write(Cli::command()),
    }
}

/// On one thread: all of these wait most of the time.
fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start", "the runtime"))?;
    let result = runtime.block_on(command);
    // A name that is being looked up must not hold the end up.
    runtime.shutdown_background();
    result
}
