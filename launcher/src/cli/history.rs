//! `launcher history`.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use presence::model::ServiceName;
use presence::process::exit::Failure;
use presence::process::{cli, words};

use super::REFUSED;
use super::etcd_command::EtcdCommand;
use super::format::FormatArgs;
use crate::definitions::history::{self, Line};
use crate::definitions::{FindError, network};
use crate::instance::InstanceName;

pub(super) const EXAMPLE: &str = "Examples:
  launcher history web
  launcher history web --format json

The newest first. When is the time at which it was put, or first started where it was written with
etcdctl. The last 50 are kept. Exits 1 where the service never had a definition.";

/// Flags of `history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    /// The service
    name: ServiceName,

    #[command(flatten)]
    format: FormatArgs,
}

pub(super) async fn run(args: HistoryArgs) -> Result<ExitCode, Failure> {
    let store = args.etcd.start().await?;
    let past = history::list(&store, &args.name).await?;
    let newest = match network::find(&store, &args.name, InstanceName::Newest).await {
        Ok(newest) => Some(newest),
        Err(error @ FindError::Missing { .. }) if past.is_empty() => {
            return Err(Failure::new(REFUSED, error));
        }
        Err(FindError::Store(error)) => return Err(error.into()),
        Err(FindError::Missing { .. }) => None,
        Err(error) => {
            tracing::warn!("what is in force is no definition: {error}");
            None
        }
    };
    let lines = history::lines(&args.name, past, newest.as_ref());
    let heading = ["REVISION", "WHEN", "IMAGE", "CHANGED"];
    let now = Timestamp::now();
    let text = args.format.write(heading, &lines, |line| row(line, now));
    cli::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn row(line: &Line, now: Timestamp) -> [String; 4] {
    let unknown = || "?".to_owned();
    let changed = match &line.changed {
        None if line.image.is_some() => "-".to_owned(),
        None => unknown(),
        Some(changed) if changed.is_empty() => "nothing".to_owned(),
        Some(changed) => changed.join(", "),
    };
    [
        line.revision.to_string(),
        line.at.map_or_else(unknown, |at| words::time(at, now)),
        line.image.clone().unwrap_or_else(unknown),
        if line.in_force {
            format!("{changed} (in force)")
        } else {
            changed
        },
    ]
}
