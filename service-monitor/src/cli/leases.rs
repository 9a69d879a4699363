//! `service-monitor leases`.

mod text;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use presence::departure::{Change, Step};
use presence::keys::service_monitor;
use presence::mirror::{Snapshot, View};
use presence::model::Revision;
use presence::process::cli;
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::semaphore::{Queue, Semaphore};
use presence::store::etcd::EtcdStore;
use presence::store::{Entry, Listing};

use super::following::{End, Following};
use super::lease::LeaseArgs;

pub(super) const EXAMPLE: &str = "Examples:
  service-monitor leases --label es
  service-monitor leases --label es --format json --watch

Holders first, then those who wait, in the order of their turns. The token is the fencing token:
higher for whoever holds later.";

/// Flags of `leases`.
#[derive(Debug, Clone, Args)]
pub struct LeasesArgs {
    #[command(flatten)]
    lease: LeaseArgs,

    /// How it is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Go on, and write it again whenever it changes
    #[arg(long)]
    watch: bool,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One JSON object a line
    Json,
}

pub(super) async fn run(args: LeasesArgs) -> Result<ExitCode, Failure> {
    let store = args.lease.store().await?;
    let semaphore = args.lease.semaphore(store.clone());
    if args.watch {
        return follow(store, &args, &semaphore).await;
    }
    let _ = args.show(&semaphore, &semaphore.queue().await?).await?;
    Ok(ExitCode::SUCCESS)
}

async fn follow(
    store: EtcdStore,
    args: &LeasesArgs,
    semaphore: &Semaphore<EtcdStore>,
) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::from_signals().map_err(Failure::io("listen for", "signals"))?;
    // Who cannot reach etcd at all is told at once; later it is waited for.
    semaphore.queue().await?;
    let prefix = service_monitor::lease(&args.lease.label).prefix();
    let mut following = Following::start(store, &prefix, Keys::default(), shutdown);
    loop {
        match following.changed().await {
            Ok(()) => {}
            Err(End::Fault(failure)) => return Err(failure),
            Err(End::Shutdown | End::Unread) => return Ok(ExitCode::SUCCESS),
        }
        let Some(snapshot) = following.now() else {
            continue;
        };
        let queue = semaphore.read(&listing(&snapshot));
        if args.show(semaphore, &queue).await?.is_break() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn listing(snapshot: &Snapshot<Keys>) -> Listing {
    Listing {
        header: snapshot.header,
        entries: snapshot.view.0.clone().into_iter().collect(),
    }
}

impl LeasesArgs {
    /// Break: nobody reads any more.
    async fn show(
        &self,
        semaphore: &Semaphore<EtcdStore>,
        queue: &Queue,
    ) -> Result<ControlFlow<()>, Failure> {
        let holders = match semaphore.holders(queue).await {
            // When it is shown again, etcd may be back.
            Err(error) if self.watch => {
                tracing::warn!(%error, "how long it is held still is not known: {error}");
                Vec::new()
            }
            holders => holders?,
        };
        let text = match self.format {
            Format::Table => text::table(&self.lease.label, queue, &holders),
            Format::Json => text::json(&self.lease.label, queue, &holders),
        };
        let gap = if self.watch && self.format == Format::Table {
            "\n"
        } else {
            ""
        };
        cli::print_on(format!("{text}{gap}").as_bytes())
    }
}

/// The keys as they are.
#[derive(Debug, Clone, Default)]
struct Keys(BTreeMap<String, Entry>);

impl View for Keys {
    fn list(&mut self, key: &str, entry: &Entry) {
        self.0.insert(key.to_owned(), entry.clone());
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => drop(self.0.insert(key, entry)),
                Change::Gone { key, .. } => drop(self.0.remove(&key)),
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}
