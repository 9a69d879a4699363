//! `service-monitor acquire-lease`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use presence::model::ServiceId;
use presence::process::daemon::Daemon;
use presence::process::duration;
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::semaphore::{Claim, WAITING};
use prometheus_client::registry::Registry;

use super::lease::{LeaseArgs, ttl};
use super::{REFUSED, signal_of};
use crate::turn::Turn;

pub(super) const EXAMPLE: &str = "Examples:
  service-monitor acquire-lease --label es --service-id es-1
  ExecStartPre=service-monitor acquire-lease --label es --service-id es-%i

Who came first holds first. It stays held when this has ended: for --lease-timeout, or until it is
released, by release-lease or by the first healthy probe of `watch` with the same label and
service ID. Who holds it already, on this host, has it at once and for the whole time again.

Exits 0 when it is held, 1 where --acquire-timeout is over, 69 where etcd is not reached. A signal
ends the wait, and takes this one out of the queue.";

/// Flags of `acquire-lease`.
#[derive(Debug, Clone, Args)]
pub struct AcquireLeaseArgs {
    #[command(flatten)]
    lease: LeaseArgs,

    /// Who wants to hold it
    #[arg(long, value_name = "ID")]
    service_id: ServiceId,

    /// For how long it is held, also without this process
    #[arg(long, value_name = "DURATION", default_value = "240", value_parser = ttl)]
    lease_timeout: Duration,

    /// How long is waited for it
    #[arg(long, value_name = "DURATION", default_value = "360", value_parser = duration::parse)]
    acquire_timeout: Duration,

    /// How many may hold it at a time, where set-slots has not said so
    #[arg(long, value_name = "NUMBER", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
}

pub(super) async fn run(args: AcquireLeaseArgs) -> Result<ExitCode, Failure> {
    let store = args.lease.store().await?;
    let shutdown = Shutdown::from_signals().map_err(Failure::io("listen for", "signals"))?;
    let daemon = Daemon::without_pages()?;
    let turn = Turn {
        semaphore: args.lease.semaphore(store),
        label: args.lease.label.clone(),
        claim: Claim {
            service: args.service_id,
            host: args.lease.host()?,
            ttl: args.lease_timeout,
            waiting: WAITING,
            slots: args.slots,
        },
        limit: Some(args.acquire_timeout),
        notifier: daemon.notifier.clone(),
    };
    let held = Box::pin(async {
        let held = turn.wait(signal_of(&shutdown)).await;
        held.map_err(|missed| missed.into_failure(REFUSED))
    });
    daemon.run(Registry::default(), held).await?;
    Ok(ExitCode::SUCCESS)
}
