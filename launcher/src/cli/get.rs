//! `launcher get`.

use std::process::ExitCode;

use clap::Args;
use presence::model::ServiceName;
use presence::process::cli;
use presence::process::exit::Failure;

use super::REFUSED;
use super::etcd_command::EtcdCommand;
use crate::definitions::{FindError, network};
use crate::instance::InstanceName;

pub(super) const EXAMPLE: &str = "Examples:
  launcher get web > web.yaml
  launcher get web 42-0a1b2c3d | launcher put - --name web

Writes the definition as it was put. Exits 1 where there is none.";

/// Flags of `get`.
#[derive(Debug, Clone, Args)]
pub struct GetArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    /// The service
    name: ServiceName,

    /// Which definition of it, of those that `launcher history` lists, whole or by its number
    /// [default: the one in force]
    revision: Option<InstanceName>,
}

pub(super) async fn run(args: GetArgs) -> Result<ExitCode, Failure> {
    let store = args.etcd.start().await?;
    let text = match args.revision {
        None => network::in_force(&store, &args.name)
            .await
            .map(|entry| entry.value.into_vec()),
        Some(instance) => network::of_instance(&store, &args.name, instance)
            .await
            .map(|written| written.text.into_bytes()),
    };
    cli::print(&text.map_err(failure)?)?;
    Ok(ExitCode::SUCCESS)
}

fn failure(error: FindError) -> Failure {
    match error {
        FindError::Missing { .. } | FindError::NoRevision { .. } => Failure::new(REFUSED, error),
        error => error.into(),
    }
}
