//! Publishes what the prober finds, and tells of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use presence::keys::service_monitor;
use presence::model::{Label, ServiceHost, ServiceId, ServiceState};
use presence::probe::Verdict;
use presence::process::daemon::Daemon;
use presence::process::exit::Failure;
use presence::process::health::Health;
use presence::process::shutdown::Shutdown;
use presence::process::systemd::Notifier;
use presence::publisher::{Content, PROGRESS, Publisher, Report, Wanted, WantedKey};
use presence::store::Store;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::metrics::Metrics;
use crate::prober::{Prober, Seen};
use crate::releaser::Releaser;
use crate::words;

/// Which instance is watched, and where it is.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The services that belong together.
    pub label: Label,
    /// Which of them.
    pub service_id: ServiceId,
    /// Where it is reached.
    pub host: IpAddr,
    /// At which port, if that is to be known.
    pub port: Option<u16>,
    /// Whatever else its clients want to know.
    pub info: BTreeMap<String, String>,
}

impl Instance {
    /// Its key.
    pub fn key(&self) -> String {
        service_monitor::host(&self.label, &self.service_id)
    }

    /// What is to be in etcd: nothing as long as nothing is known.
    fn wanted(&self, seen: Option<&Seen>) -> Wanted {
        let mut wanted = Wanted::default();
        let seen = seen.and_then(|seen| Some((seen, state(seen.verdict)?)));
        if let Some((seen, state)) = seen {
            let host = ServiceHost {
                host: self.host,
                port: self.port,
                service_id: self.service_id.clone(),
                state,
                info: self.info.clone(),
                since: seen.since,
            };
            let content = Content::Plain(host.encode());
            let key = WantedKey {
                delete_if_no_space: state == ServiceState::Down,
                ..WantedKey::new(content)
            };
            wanted.keys.insert(self.key(), key);
        }
        wanted
    }
}

fn state(verdict: Verdict) -> Option<ServiceState> {
    match verdict {
        Verdict::Up => Some(ServiceState::Up),
        Verdict::Down => Some(ServiceState::Down),
        Verdict::Unknown => None,
    }
}

/// What a watcher runs on.
pub struct Watcher<S> {
    /// Which instance is watched.
    pub instance: Instance,
    /// Where it is published.
    pub store: S,
    /// How long it stays published when this process is gone.
    pub ttl: Duration,
    /// Asks it.
    pub prober: Prober,
    /// Gives its startup lease back.
    pub releaser: Releaser<S>,
    /// Counts.
    pub metrics: Metrics,
    /// Told to end.
    pub shutdown: Shutdown,
}

impl<S: Store> Watcher<S> {
    /// Watches until shutdown, and takes the key out at the end.
    pub async fn run(self, daemon: Daemon, registry: Registry) -> Result<(), Failure> {
        let seen = self.prober.seen.subscribe();
        let (wanted, wanted_there) = watch::channel(Arc::default());
        let (report_there, report) = watch::channel(Report::default());
        let publisher = Publisher {
            store: self.store,
            ttl: self.ttl,
            wanted: wanted_there,
            report: report_there,
            memory: None,
            heirs: None,
            heartbeat: Some(daemon.health.heartbeat("publisher", PROGRESS)),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(self.prober.run(self.shutdown.clone()));
        tasks.spawn(self.releaser.run(self.shutdown.clone()));
        let shutdown = self.shutdown.clone();
        tasks.spawn(publisher.run(async move { shutdown.triggered().await }));
        let desk = Desk {
            key: self.instance.key(),
            instance: self.instance,
            seen,
            wanted,
            report,
            metrics: self.metrics,
            health: daemon.health.clone(),
            notifier: daemon.notifier.clone(),
        };
        let work = Box::pin(desk.work(tasks, self.shutdown));
        daemon.run(registry, work).await
    }
}

/// Passes on what one task finds out and others have to know.
struct Desk {
    key: String,
    instance: Instance,
    seen: watch::Receiver<Option<Seen>>,
    wanted: watch::Sender<Arc<Wanted>>,
    report: watch::Receiver<Report>,
    metrics: Metrics,
    health: Health,
    notifier: Notifier,
}

impl Desk {
    async fn work(mut self, mut tasks: JoinSet<()>, shutdown: Shutdown) -> Result<(), Failure> {
        loop {
            self.pass_on();
            // All cancel-safe: what was missed is still there when asked again.
            tokio::select! {
                biased;
                () = shutdown.triggered() => break,
                Some(_) = tasks.join_next() => return Err(Failure::unexpected(
                    "a task of the watch ended; this is a fault of service-monitor"
                )),
                Ok(()) = self.seen.changed() => {}
                Ok(()) = self.report.changed() => {}
            }
        }
        self.notifier.stopping();
        self.notifier
            .status(format!("stopping: deleting {}", self.key));
        while tasks.join_next().await.is_some() {}
        Ok(())
    }

    fn pass_on(&mut self) {
        let seen = self.seen.borrow_and_update().clone();
        let wanted = self.instance.wanted(seen.as_ref());
        self.wanted.send_if_modified(|before| {
            let changed = **before != wanted;
            if changed {
                *before = Arc::new(wanted);
            }
            changed
        });
        let report = self.report.borrow_and_update().clone();
        let published = words::published(&self.key, &report);
        self.metrics.published(published.is_ok());
        self.notifier
            .status(words::status(seen.as_ref(), &published));
        match published {
            Ok(()) => self.health.ready(),
            Err(why) => self.health.not_ready(words::not_ready(seen.as_ref(), &why)),
        }
    }
}
