//! `lbmanager completions` and `lbmanager man`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use presence::process::cli;
use presence::process::exit::Failure;

use super::Cli;

pub(super) const EXAMPLE: &str = "Example:
  lbmanager completions bash > /etc/bash_completion.d/lbmanager";

/// Flags of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Flags of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Where to; created where it is missing
    directory: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    cli::completions(args.shell, &mut Cli::command()).map(|()| ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> Result<ExitCode, Failure> {
    cli::manual_pages(Cli::command(), &args.directory).map(|()| ExitCode::SUCCESS)
}
