//! `service-monitor release-lease`.

use std::process::ExitCode;

use clap::Args;
use presence::model::ServiceId;
use presence::process::exit::Failure;

use super::REFUSED;
use super::lease::LeaseArgs;

pub(super) const EXAMPLE: &str = "Example:
  service-monitor release-lease --label es --service-id es-1

Exits 1, and changes nothing, where this service on this host does not hold it.";

/// Flags of `release-lease`.
#[derive(Debug, Clone, Args)]
pub struct ReleaseLeaseArgs {
    #[command(flatten)]
    lease: LeaseArgs,

    /// Who holds it
    #[arg(long, value_name = "ID")]
    service_id: ServiceId,
}

pub(super) async fn run(args: ReleaseLeaseArgs) -> Result<ExitCode, Failure> {
    let (service, host) = (&args.service_id, args.lease.host()?);
    let semaphore = args.lease.semaphore(args.lease.store().await?);
    let held = semaphore.held_by(service, &host).await?;
    let released = match &held {
        Some(held) => semaphore.release(held).await?,
        None => false,
    };
    if released {
        return Ok(ExitCode::SUCCESS);
    }
    let why = match held {
        Some(_) => "it was renewed or has ended at this moment",
        None => "see `service-monitor leases` for who does",
    };
    let label = &args.lease.label;
    Err(Failure::new(
        REFUSED,
        format!("{service} on {host} does not hold the lease of {label}: {why}"),
    ))
}
