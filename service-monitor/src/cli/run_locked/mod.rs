//! `service-monitor run-locked`.

mod child;
mod signals;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use presence::model::{HostId, ServiceId};
use presence::process::daemon::Daemon;
use presence::process::duration;
use presence::process::exit::Failure;
use presence::process::health::Health;
use presence::semaphore::{Claim, Held, WAITING};
use presence::store::Store;
use prometheus_client::registry::Registry;

use self::child::Child;
pub(super) use self::child::{DieWithArgs, die_with};
use self::signals::Signals;
use super::lease::{LeaseArgs, ttl};
use crate::turn::Turn;

pub(super) const EXAMPLE: &str = "Examples:
  service-monitor run-locked --label nightly -- /usr/local/bin/backup --all
  service-monitor run-locked --label nightly --acquire-timeout 30s -- sh -c 'migrate \\
      --fence \"$SERVICE_MONITOR_FENCING_TOKEN\"'

Exits as the command does, with 128 and the number of the signal where one ended it; 127 and 126
where it is not there or cannot be run. Exits 75 where the turn did not come within
--acquire-timeout, or where the lease was lost: then the command gets SIGTERM, and SIGKILL a fifth
of --ttl later, so that it has ended when somebody else can hold the lease. Signals are passed on
to the command and all that is in its process group, which is one of its own. The token grows with
each holder: what refuses a lower one than it has seen is safe from holders of yesterday.";

/// Neither the command's own nor a fault: trying again may help
/// (`EX_TEMPFAIL` of sysexits.h).
const TRY_AGAIN: u8 = 75;

/// Flags of `run-locked`.
#[derive(Debug, Clone, Args)]
pub struct RunLockedArgs {
    #[command(flatten)]
    lease: LeaseArgs,

    /// How long the lease lasts when this program is killed; it is renewed while the command runs
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = ttl)]
    ttl: Duration,

    /// How long is waited for the turn [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    acquire_timeout: Option<Duration>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<OsString>,
}

pub(super) async fn run(args: RunLockedArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map_err(Failure::io("listen for", "signals"))?;
    let store = args.lease.store().await?;
    let daemon = Daemon::without_pages()?;
    let host = args.lease.host()?;
    let turn = Turn {
        semaphore: args.lease.semaphore(store),
        label: args.lease.label.clone(),
        claim: Claim {
            service: service(&host),
            host,
            ttl: args.ttl,
            waiting: WAITING,
            slots: 1,
        },
        limit: args.acquire_timeout,
        notifier: daemon.notifier.clone(),
    };
    let health = daemon.health.clone();
    let work = Box::pin(async {
        let held = turn.wait(signals.last()).await;
        let held = held.map_err(|missed| missed.into_failure(TRY_AGAIN))?;
        let ended = args.locked(&held, &mut signals, &health).await;
        if let Err(error) = held.release().await {
            tracing::warn!(%error, "the lease ends by itself: it cannot be released: {error}");
        }
        ended
    });
    daemon.run(Registry::default(), work).await
}

/// Another one for each run, however many are made at a time.
fn service(host: &HostId) -> ServiceId {
    let own = format!(":{}:{:08x}", std::process::id(), fastrand::u32(..));
    let host = host.as_str();
    let host = &host[..host.len().min(128 - own.len())];
    let service = format!("{host}{own}");
    service
        .parse()
        .expect("a host ID and numbers make a service ID")
}

impl RunLockedArgs {
    /// Runs the command for as long as it is held.
    async fn locked<S: Store>(
        &self,
        held: &Held<S>,
        signals: &mut Signals,
        health: &Health,
    ) -> Result<ExitCode, Failure> {
        let mut child = Child::start(&self.command, held.token())?;
        health.ready();
        let (kept, not_renewed) = (held.keep(), self.not_renewed(held));
        tokio::pin!(kept, not_renewed);
        let lost = loop {
            // All cancel-safe: a signal or an exit that was missed is told the next time.
            tokio::select! {
                biased;
                status = child.ended() => return status,
                signal = signals.next() => child.signal(signal),
                lost = &mut kept => break lost.to_string(),
                () = &mut not_renewed => {
                    break "etcd does not renew the lease in time".to_owned();
                }
            }
        };
        tracing::warn!(
            "the lease of {} is lost: {lost}; ending the command",
            self.lease.label
        );
        child
            .end(self.grace(), held.until().less(self.ttl / 30))
            .await;
        Err(Failure::new(
            TRY_AGAIN,
            format!("the lease of {} was lost: {lost}", self.lease.label),
        ))
    }

    /// How long the command has to end by itself.
    fn grace(&self) -> Duration {
        self.ttl / 5
    }

    /// Returns when there is just the grace left.
    async fn not_renewed<S: Store>(&self, held: &Held<S>) {
        let mut deadlines = held.deadlines();
        loop {
            let last = deadlines.borrow_and_update().less(self.grace());
            tokio::select! {
                () = last.passed() => return,
                Ok(()) = deadlines.changed() => {}
            }
        }
    }
}
