//! `launcher ps`.

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use presence::keys::launcher::{LauncherKey, all_instances_prefix, instances_prefix};
use presence::model::{DefinitionRevision, HostId, ServiceName};
use presence::process::exit::Failure;
use presence::process::{cli, words};
use presence::store::Store;
use serde::Serialize;

use super::etcd_command::EtcdCommand;
use super::format::FormatArgs;
use crate::instance::InstanceState;

pub(super) const EXAMPLE: &str = "Examples:
  launcher ps
  launcher ps web --format json

What the launchers of all hosts say. The key of an instance ends with it, or with its lease where
its host is gone.";

/// Flags of `ps`.
#[derive(Debug, Clone, Args)]
pub struct PsArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    /// The service [default: all]
    name: Option<ServiceName>,

    #[command(flatten)]
    format: FormatArgs,
}

/// One instance.
#[derive(Debug, Serialize)]
struct Instance {
    name: ServiceName,
    host: HostId,
    revision: DefinitionRevision,
    #[serde(flatten)]
    state: Option<InstanceState>,
    /// Why the state cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) async fn run(args: PsArgs) -> Result<ExitCode, Failure> {
    let store = args.etcd.start().await?;
    let prefix = args
        .name
        .as_ref()
        .map_or_else(all_instances_prefix, instances_prefix);
    let entries = store.list(&prefix, None).await?.entries;
    let instances: Vec<_> = entries
        .iter()
        .filter_map(|(key, entry)| instance(key, &entry.value))
        .collect();
    let heading = ["NAME", "HOST", "REVISION", "STATE", "SINCE", ""];
    let now = Timestamp::now();
    let text = args
        .format
        .write(heading, &instances, |instance| row(instance, now));
    cli::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn instance(key: &str, value: &[u8]) -> Option<Instance> {
    let Ok(LauncherKey::Instance(name, host, revision)) = key.parse() else {
        tracing::warn!("{key:?} is no key of an instance");
        return None;
    };
    let (state, error) = match InstanceState::parse(value) {
        Ok(state) => (Some(state), None),
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            let error = format!("{error}: {}", cause.unwrap_or_default());
            (None, Some(error))
        }
    };
    Some(Instance {
        name,
        host,
        revision,
        state,
        error,
    })
}

fn row(instance: &Instance, now: Timestamp) -> [String; 6] {
    let state = instance.state.as_ref();
    let unknown = || "?".to_owned();
    let message = state.and_then(|state| state.message.clone());
    [
        instance.name.to_string(),
        instance.host.to_string(),
        instance.revision.to_string(),
        state.map_or_else(unknown, |state| words::name(state.state)),
        state.map_or_else(unknown, |state| words::time(state.since, now)),
        message
            .or_else(|| instance.error.clone())
            .unwrap_or_default(),
    ]
}
