//! What all subcommands about leases have in common.

use std::time::Duration;

use clap::Args;
use presence::keys::service_monitor;
use presence::model::{HostId, Label};
use presence::process::clock::Clock;
use presence::process::duration;
use presence::process::exit::Failure;
use presence::semaphore::Semaphore;
use presence::store::etcd::EtcdStore;

use super::EtcdCommand;

/// The shortest that etcd grants by default.
const SHORTEST: Duration = Duration::from_secs(2);

/// Flags of every subcommand about a lease.
#[derive(Debug, Clone, Args)]
pub(super) struct LeaseArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    /// Whose lease: of the services that belong together
    #[arg(long, value_name = "LABEL")]
    pub label: Label,
}

impl LeaseArgs {
    pub async fn store(&self) -> Result<EtcdStore, Failure> {
        self.etcd.start().await
    }

    pub fn semaphore(&self, store: EtcdStore) -> Semaphore<EtcdStore> {
        Semaphore::new(store, service_monitor::lease(&self.label), Clock::system())
    }

    pub fn host(&self) -> Result<HostId, Failure> {
        Ok(self.etcd.common.host_id()?)
    }
}

/// The time of a lease.
pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration::parse(text)?;
    if ttl < SHORTEST {
        return Err("etcd grants no less than 2s".to_owned());
    }
    Ok(ttl)
}
