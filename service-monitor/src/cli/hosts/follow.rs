//! `hosts --wait` and `hosts --watch`: a mirror of the instances, looked at
//! whenever one of them changes.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;

use presence::mirror::{Connection, Mirror, Snapshot};
use presence::model::ServiceHost;
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::store::Store;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use super::{Hosts, HostsArgs};
use crate::catalogue::Catalogue;
use crate::cli::REFUSED;

/// The mirror, and what it shows.
struct Following {
    snapshots: watch::Receiver<Option<Arc<Snapshot<Catalogue>>>>,
    mirror: JoinHandle<()>,
    shutdown: Shutdown,
}

/// Why no more is shown.
enum End {
    Shutdown,
    /// Nobody reads it any more.
    Unread,
    Fault(Failure),
}

pub(super) async fn run<S: Store>(
    store: S,
    args: &HostsArgs,
    hosts: &Hosts,
) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::from_signals().map_err(Failure::unexpected)?;
    let prefix = hosts.prefix();
    // Who cannot reach etcd at all is told at once; later it is waited for.
    store.get(&prefix).await?;
    let mut following = Following::start(store, prefix, shutdown);
    let ended = match until_enough(&mut following, args, hosts).await? {
        Ok(()) if !args.watch => {
            let _ = hosts.put(&following.now(hosts)).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(()) => show(&mut following, hosts).await,
        Err(end) => end,
    };
    match ended {
        End::Fault(failure) => Err(failure),
        End::Unread => Ok(ExitCode::SUCCESS),
        End::Shutdown if args.watch => Ok(ExitCode::SUCCESS),
        End::Shutdown => Err(Failure::silent(following.signal())),
    }
}

/// Waits for as many as are waited for. Exit 1 where they do not come in time.
async fn until_enough(
    following: &mut Following,
    args: &HostsArgs,
    hosts: &Hosts,
) -> Result<Result<(), End>, Failure> {
    let wanted = args.wait.map_or(0, usize::from);
    let waiting = async {
        loop {
            following.changed().await?;
            if following.now(hosts).len() >= wanted {
                return Ok(());
            }
        }
    };
    let Some(limit) = args.timeout else {
        return Ok(waiting.await);
    };
    let in_time = timeout(limit, waiting).await;
    in_time.map_err(|_| {
        let there = following.now(hosts);
        let who: Vec<String> = there.iter().map(ServiceHost::address).collect();
        let limit = humantime::format_duration(limit);
        Failure::new(
            REFUSED,
            format!(
                "{} of {wanted} instances of {} are there after {limit}: {}",
                there.len(),
                args.label,
                who.join(",")
            ),
        )
    })
}

/// Shows them, and again whenever what is shown changes.
async fn show(following: &mut Following, hosts: &Hosts) -> End {
    let mut last = None;
    loop {
        let now = following.now(hosts);
        if last.as_ref() != Some(&now) {
            // A command that is under way goes on by itself.
            let put = tokio::select! {
                biased;
                () = following.shutdown.triggered() => return End::Shutdown,
                put = hosts.put(&now) => put,
            };
            match put {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return End::Unread,
                // What cannot be done now may be possible the next time.
                Err(failure) => tracing::error!("{failure}"),
            }
            last = Some(now);
        }
        if let Err(end) = following.changed().await {
            return end;
        }
    }
}

impl Following {
    fn start<S: Store>(store: S, prefix: String, shutdown: Shutdown) -> Self {
        let (sender, snapshots) = watch::channel(None);
        let mirror = Mirror {
            store,
            prefix,
            empty: Catalogue::default(),
            replay: std::future::ready(|_: &Catalogue| None),
            told: None,
            snapshots: sender,
            connection: watch::Sender::new(Connection::Starting),
            heartbeat: None,
        };
        Self {
            snapshots,
            mirror: tokio::spawn(mirror.run(shutdown.clone())),
            shutdown,
        }
    }

    /// Waits for the next snapshot, or the end.
    async fn changed(&mut self) -> Result<(), End> {
        tokio::select! {
            biased;
            // All cancel-safe: what was missed is still there when asked again.
            () = self.shutdown.triggered() => Err(End::Shutdown),
            ended = &mut self.mirror => Err(End::Fault(fault(ended))),
            Ok(()) = self.snapshots.changed() => Ok(()),
        }
    }

    fn now(&mut self, hosts: &Hosts) -> Vec<ServiceHost> {
        let snapshot = self.snapshots.borrow_and_update();
        let catalogue = snapshot.as_ref().map(|snapshot| &snapshot.view);
        catalogue.map_or_else(Vec::new, |catalogue| hosts.selection.of(catalogue))
    }

    /// As a shell has it for a program that a signal ended.
    fn signal(&self) -> u8 {
        let signal = self.shutdown.signal().map_or(0, |signal| signal as i32);
        u8::try_from(128 + signal).unwrap_or(u8::MAX)
    }
}

fn fault(ended: Result<(), JoinError>) -> Failure {
    let why = match ended {
        Ok(()) => String::new(),
        Err(error) => format!(": {error}"),
    };
    Failure::unexpected(format!(
        "the mirror of etcd ended{why}; this is a fault of service-monitor"
    ))
}
