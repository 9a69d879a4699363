//! `service-monitor set-slots`.

use std::process::ExitCode;

use clap::Args;
use presence::process::exit::Failure;

use super::lease::LeaseArgs;

pub(super) const EXAMPLE: &str = "Examples:
  service-monitor set-slots --label es 2
  service-monitor set-slots --label es 0     # nobody new holds it until this is raised

It wins over acquire-lease --slots. Who holds already keeps it.";

/// Flags of `set-slots`.
#[derive(Debug, Clone, Args)]
pub struct SetSlotsArgs {
    #[command(flatten)]
    lease: LeaseArgs,

    /// How many may hold the lease at a time
    #[arg(value_name = "NUMBER")]
    slots: u32,
}

pub(super) async fn run(args: SetSlotsArgs) -> Result<ExitCode, Failure> {
    let semaphore = args.lease.semaphore(args.lease.store().await?);
    semaphore.set_slots(args.slots).await?;
    Ok(ExitCode::SUCCESS)
}
