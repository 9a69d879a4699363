//! `hosts --wait` and `hosts --watch`: a mirror of the instances, looked at
//! whenever one of them changes.

use std::ops::ControlFlow;
use std::process::ExitCode;

use presence::model::ServiceHost;
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::store::Store;
use tokio::time::timeout;

use super::{Hosts, HostsArgs};
use crate::catalogue::Catalogue;
use crate::cli::following::{End, Following};
use crate::cli::{REFUSED, signal_of};
use crate::turn::by_signal;

pub(super) async fn run<S: Store>(
    store: S,
    args: &HostsArgs,
    hosts: &Hosts,
) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::from_signals().map_err(Failure::io("listen for", "signals"))?;
    let prefix = hosts.prefix();
    // Who cannot reach etcd at all is told at once; later it is waited for.
    store.get(&prefix).await?;
    let mut following = Following::start(store, &prefix, Catalogue::default(), shutdown.clone());
    let ended = match until_enough(&mut following, args, hosts).await? {
        Ok(()) if !args.watch => {
            let _ = hosts.put(&now(&mut following, hosts)).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(()) => show(&mut following, hosts).await,
        Err(end) => end,
    };
    match ended {
        End::Fault(failure) => Err(failure),
        End::Unread => Ok(ExitCode::SUCCESS),
        End::Shutdown if args.watch => Ok(ExitCode::SUCCESS),
        End::Shutdown => Err(Failure::silent(by_signal(signal_of(&shutdown).await))),
    }
}

/// Waits for as many as are waited for. Exit 1 where they do not come in time.
async fn until_enough(
    following: &mut Following<Catalogue>,
    args: &HostsArgs,
    hosts: &Hosts,
) -> Result<Result<(), End>, Failure> {
    let wanted = args.wait.map_or(0, usize::from);
    let waiting = async {
        loop {
            following.changed().await?;
            if now(following, hosts).len() >= wanted {
                return Ok(());
            }
        }
    };
    let Some(limit) = args.timeout else {
        return Ok(waiting.await);
    };
    let in_time = timeout(limit, waiting).await;
    in_time.map_err(|_| {
        let there = now(following, hosts);
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
async fn show(following: &mut Following<Catalogue>, hosts: &Hosts) -> End {
    let mut last = None;
    loop {
        let these = now(following, hosts);
        if last.as_ref() != Some(&these) {
            // A command that is under way goes on by itself.
            let put = tokio::select! {
                biased;
                () = following.shutdown.triggered() => return End::Shutdown,
                put = hosts.put(&these) => put,
            };
            match put {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return End::Unread,
                // What cannot be done now may be possible the next time.
                Err(failure) => tracing::error!("{failure}"),
            }
            last = Some(these);
        }
        if let Err(end) = following.changed().await {
            return end;
        }
    }
}

fn now(following: &mut Following<Catalogue>, hosts: &Hosts) -> Vec<ServiceHost> {
    let snapshot = following.now();
    snapshot.map_or_else(Vec::new, |snapshot| hosts.selection.of(&snapshot.view))
}
