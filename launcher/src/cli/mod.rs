//! The command line: one file for each subcommand.

mod check;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use presence::process::cli::{self, CompletionsArgs, ManArgs};
use presence::process::exit::Failure;

use crate::definition;

const COMPLETIONS: &str = "Example:
  launcher completions bash > /etc/bash_completion.d/launcher";

const SCHEMA: &str = "Example:
  launcher schema > definition.schema.json

An editor with a YAML language server completes a document whose first line is
  # yaml-language-server: $schema=definition.schema.json";

/// Runs one health-checked container per unit, published to its load balancers.
///
///   launcher check web.yaml
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
    /// Say what is wrong with a definition, and where
    #[command(after_help = check::EXAMPLE)]
    Check(check::CheckArgs),

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
        Command::Check(args) => check::run(&args),
        Command::Schema => cli::print(definition::schema().as_bytes()).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => args.write(&mut Cli::command()),
        Command::Man(args) => args.write(Cli::command()),
    }
}
