//! `launcher check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use presence::process::args::PrefixArgs;
use presence::process::cli;
use presence::process::exit::Failure;

use super::document::{self, Checked};
use crate::definition::{Definition, Parsed};

pub(super) const EXAMPLE: &str = "Examples:
  launcher check web.yaml
  etcdctl get --print-value-only /launcher/services/web | launcher check -

Exits 78 where something is wrong with the definition, and says what on stderr, as
FILE:LINE:COLUMN: MESSAGE.";

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The definition, in YAML or JSON; - is stdin
    file: PathBuf,

    #[command(flatten)]
    prefix: PrefixArgs,

    /// Also report violations of this policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let Checked { place, parsed, .. } =
        document::check(&args.file, &args.prefix.tree, args.policy.as_deref())?;
    cli::print(summary(&place, &parsed).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn summary(name: &str, parsed: &Parsed) -> String {
    let Definition { image, publish, .. } = &parsed.definition;
    let health = match &parsed.definition.health_check {
        Some(check) => format!("health by {}", check.name()),
        None if parsed.definition.service_port().is_some() => "health by image or tcp".to_owned(),
        None => "health by image or none".to_owned(),
    };
    let targets = match publish.len() {
        0 => "published nowhere".to_owned(),
        1 => "published in one place".to_owned(),
        many => format!("published in {many} places"),
    };
    format!("{name}: fine: {image}, {health}, {targets}\n")
}
