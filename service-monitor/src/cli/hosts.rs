//! `service-monitor hosts`.

use std::process::ExitCode;

use clap::Args;
use presence::keys::service_monitor::{ServiceMonitorKey, hosts_prefix};
use presence::model::{Label, ServiceHost, ServiceState};
use presence::process::cli;
use presence::process::exit::Failure;
use presence::store::{Entry, Store};

use super::EtcdCommand;

pub(super) const EXAMPLE: &str = "Examples:
  service-monitor hosts --label es";

/// Flags of `hosts`.
#[derive(Debug, Clone, Args)]
pub struct HostsArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    /// The services that belong together
    #[arg(long)]
    label: Label,
}

pub(super) async fn run(args: HostsArgs) -> Result<ExitCode, Failure> {
    let store = args.etcd.start().await?;
    let listing = store.list(&hosts_prefix(&args.label), None).await?;
    let hosts = listing
        .entries
        .iter()
        .filter_map(|(key, entry)| host(key, entry));
    let mut up: Vec<ServiceHost> = hosts
        .filter(|host| host.state == ServiceState::Up)
        .collect();
    up.sort_by_key(|host| (host.host, host.port));
    if !up.is_empty() {
        let addresses: Vec<String> = up.iter().map(ServiceHost::address).collect();
        cli::print((addresses.join(",") + "\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn host(key: &str, entry: &Entry) -> Option<ServiceHost> {
    let Ok(ServiceMonitorKey::Host(_, service)) = key.parse() else {
        return None;
    };
    ServiceHost::parse(&service, &entry.value).ok()
}
