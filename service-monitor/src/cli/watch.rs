//! `service-monitor watch`.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args};
use presence::keys::service_monitor::lease;
use presence::model::{Label, ServiceId};
use presence::probe::{Body, Expected, Probe, Rules, Statuses, Target};
use presence::process::args::ListenArgs;
use presence::process::clock::Clock;
use presence::process::daemon::Daemon;
use presence::process::exit::Failure;
use presence::process::host_address::AddressArgs;
use presence::process::shutdown::Shutdown;
use presence::process::{duration, metrics};
use presence::semaphore::Semaphore;
use tokio::sync::watch;

use super::EtcdCommand;
use super::lease::ttl;
use crate::metrics::Metrics;
use crate::prober::Prober;
use crate::releaser::Releaser;
use crate::watcher::{Instance, Watcher};

pub(super) const EXAMPLE: &str = "Examples:
  service-monitor watch --label es --service-id es-1 --monitor-url http://127.0.0.1:9200
  service-monitor watch --label db --service-id db-1 --port 5432 --monitor-url tcp://127.0.0.1:5432
  service-monitor watch --label web --service-id web-1 --service-info zone=a \\
      --monitor-url https://web.example/healthz --expect-body '\"status\": *\"ok\"'
  service-monitor watch --label batch --service-id batch-1 --monitor-url 'exec:test -e /run/batch/ready'

With the defaults a service that is gone is not listed any more 9 seconds later at most, and 12 seconds
after the watch itself was killed.";

/// Flags of `watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    #[command(flatten)]
    listen: ListenArgs,

    /// The services that belong together
    #[arg(long, value_name = "LABEL")]
    label: Label,

    /// Which of them this is
    #[arg(long, value_name = "ID")]
    service_id: ServiceId,

    /// What is probed: http://, https://, tcp://HOST:PORT, or exec:COMMAND, which /bin/sh runs
    #[arg(long, value_name = "URL")]
    monitor_url: String,

    #[command(flatten)]
    address: AddressArgs,

    /// At which port others reach it
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Something else that its clients want to know; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = info)]
    service_info: Vec<(String, String)>,

    /// From one probe to the next
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = above_zero)]
    interval: Duration,

    /// How long a probe may take
    #[arg(long, value_name = "DURATION", default_value = "1.5s", value_parser = above_zero)]
    timeout: Duration,

    /// So many successful probes in a row, and it is up
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    rise: NonZeroU32,

    /// So many failed probes in a row, and it is down; they follow each other by 0.5 s
    #[arg(long, value_name = "NUMBER", default_value = "2")]
    fall: NonZeroU32,

    /// How long it stays listed when this program is killed
    #[arg(long, value_name = "DURATION", default_value = "8s", value_parser = ttl)]
    ttl: Duration,

    /// Ask where a redirect leads to; else it counts as down
    #[arg(long, action = ArgAction::SetTrue)]
    follow_redirects: bool,

    /// The status codes that count as up [default: 200-299]
    #[arg(long, value_name = "CODES")]
    expect_status: Option<Statuses>,

    /// What must be found in the first 64 KiB of the answer
    #[arg(long, value_name = "REGEX")]
    expect_body: Option<Body>,
}

/// The value may hold any character, also `=`.
fn info(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected, such as zone=a"),
    }
}

fn above_zero(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("a time above 0 is expected, such as 5s".to_owned()),
        time => Ok(time),
    }
}

pub(super) async fn run(args: WatchArgs) -> Result<ExitCode, Failure> {
    let store = args.etcd.start().await?;
    let probe = Probe::new(args.target()?, args.timeout);
    let instance = args.instance()?;
    let daemon = Daemon::start(&args.listen).await?;
    let shutdown = Shutdown::from_signals().map_err(Failure::io("listen for", "signals"))?;
    let mut registry = metrics::registry("service-monitor");
    let metrics = Metrics::new(&mut registry);
    let rules = args.rules();
    let progress = Prober::progress(rules, args.timeout);
    let prober = Prober {
        probe,
        rules,
        seen: watch::Sender::new(None),
        metrics: metrics.clone(),
        clock: Clock::system(),
        heartbeat: daemon.health.heartbeat("prober", progress),
    };
    let semaphore = Semaphore::new(store.clone(), lease(&args.label), Clock::system());
    let releaser = Releaser {
        semaphore,
        label: args.label.clone(),
        service: args.service_id.clone(),
        host: args.etcd.common.host_id()?,
        seen: prober.seen.subscribe(),
    };
    let watcher = Watcher {
        instance,
        store,
        ttl: args.ttl,
        prober,
        releaser,
        metrics,
        shutdown,
    };
    watcher.run(daemon, registry).await?;
    Ok(ExitCode::SUCCESS)
}

impl WatchArgs {
    fn target(&self) -> Result<Target, Failure> {
        let expected = Expected {
            statuses: self.expect_status.clone(),
            body: self.expect_body.clone(),
            follow_redirects: self.follow_redirects,
            any_certificate: false,
        };
        Target::parse(&self.monitor_url, expected)
            .map_err(|error| Failure::usage(error).context("--monitor-url"))
    }

    fn instance(&self) -> Result<Instance, Failure> {
        Ok(Instance {
            label: self.label.clone(),
            service_id: self.service_id.clone(),
            host: self.address.of_host()?,
            port: self.port,
            info: self.service_info.iter().cloned().collect(),
        })
    }

    fn rules(&self) -> Rules {
        Rules {
            interval: self.interval,
            rise: self.rise,
            fall: self.fall,
        }
    }
}
