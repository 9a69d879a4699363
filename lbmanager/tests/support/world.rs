//! A manager over a store in memory and fake load balancers, which can be
//! ended at an enumerated point and started again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lbmanager::history::History;
use lbmanager::manager::{self, Launch, Parts, Settings};
use lbmanager::metrics::Metrics;
use lbmanager::reconcile::{Board, Crash, HealthPolls, Hook, Point, Shared};
use lbmanager::record::Record;
use presence::keys;
use presence::keys::status::ManagerRole;
use presence::model::{BalancerId, Kind, LeaseId, Revision};
use presence::process::clock::Clock;
use presence::process::health::Health;
use presence::process::metrics;
use presence::process::shutdown::{Shutdown, Trigger};
use presence::process::state_file::StateDir;
use presence::process::systemd::Manager as Systemd;
use presence::status::Release;
use presence::store::memory::MemoryStore;
use presence::store::{Store, Transaction};
use tokio::task::JoinHandle;

use super::fake::FakeBackend;

pub const BALANCER: &str = "elb/us-east-1/web";

/// Ends the process after a number of points, once.
#[derive(Debug, Clone)]
pub struct CrashAt {
    left: Arc<AtomicUsize>,
    crashed: Arc<Mutex<Option<Point>>>,
    disk: Arc<Mutex<Disk>>,
}

/// The manager's file, and how it was at the crash: what the rest of the
/// process writes before the test ends it would not have been written.
#[derive(Debug, Default)]
struct Disk {
    file: PathBuf,
    crashed: bool,
    at_crash: Option<Vec<u8>>,
}

impl Disk {
    fn crash(&mut self) {
        self.crashed = true;
        self.at_crash = std::fs::read(&self.file).ok();
    }

    fn restore(&mut self) {
        if !std::mem::take(&mut self.crashed) {
            return;
        }
        match self.at_crash.take() {
            Some(content) => std::fs::write(&self.file, content).unwrap(),
            None => std::fs::remove_file(&self.file).unwrap_or_default(),
        }
    }
}

impl CrashAt {
    /// At the point with this number, from 0.
    pub fn point(number: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(number)),
            crashed: Arc::default(),
            disk: Arc::default(),
        }
    }

    pub fn never() -> Self {
        Self::point(usize::MAX)
    }

    pub fn crashed(&self) -> Option<Point> {
        *self.crashed.lock().unwrap()
    }
}

impl Hook for CrashAt {
    fn reached(&self, point: Point) -> Result<(), Crash> {
        let mut crashed = self.crashed.lock().unwrap();
        if crashed.is_some() {
            return Err(Crash(point));
        }
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            *crashed = Some(point);
            self.disk.lock().unwrap().crash();
            return Err(Crash(point));
        }
        Ok(())
    }
}

pub struct World {
    pub store: MemoryStore,
    pub backend: FakeBackend,
    pub clock: Clock,
    state: tempfile::TempDir,
    manager: Option<Running>,
}

struct Running {
    trigger: Trigger,
    task: JoinHandle<()>,
    hook: CrashAt,
}

impl World {
    pub fn new(backend: FakeBackend) -> Self {
        Self {
            store: MemoryStore::new(),
            backend,
            clock: Clock::system(),
            state: tempfile::tempdir().unwrap(),
            manager: None,
        }
    }

    pub fn id() -> BalancerId {
        BALANCER.parse().unwrap()
    }

    pub fn start(&mut self) {
        self.start_with(CrashAt::never());
    }

    /// Starts a manager that ends where `hook` says.
    pub fn start_with(&mut self, hook: CrashAt) {
        let settings = Settings {
            tree: keys::Tree::new(keys::DEFAULT_PREFIX).unwrap(),
            host: "host-1".parse().unwrap(),
            settle: Duration::from_secs(10),
            resync: Duration::from_mins(5),
            hold: Duration::from_mins(15),
            dry_run: false,
        };
        let board = Board::default();
        let file = StateDir::open(self.state.path())
            .unwrap()
            .file("history.json");
        let role = ManagerRole::Aws;
        let history = History::open(file, &settings.tree, &settings.host, [role]).unwrap();
        let shared = Shared {
            store: self.store.clone(),
            backend: self.backend.clone(),
            hook: hook.clone(),
            clock: self.clock.clone(),
            settings: settings.for_reconcilers(),
            marker: history.marker(role),
            board: board.clone(),
            health_polls: HealthPolls::default(),
        };
        let mut launchers: BTreeMap<Kind, Box<dyn Launch>> = BTreeMap::new();
        launchers.insert(Kind::Elb, Box::new(shared));
        let (trigger, shutdown) = Shutdown::manual();
        hook.disk.lock().unwrap().file = self.state.path().join("history.json");
        let health = Health::starting();
        let (notifier, _) = Systemd::default().connect(health.clone());
        let parts = Parts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            settings,
            launchers,
            whole: None,
            board,
            claims: Vec::new(),
            history,
            metrics: Metrics::new(&mut metrics::registry("lbmanager")),
            health,
            notifier,
            shutdown,
        };
        let task = tokio::spawn(async move {
            if let Some(manager) = manager::start(parts).await.unwrap() {
                manager.run(None).await.unwrap();
            }
        });
        self.manager = Some(Running {
            trigger,
            task,
            hook,
        });
    }

    /// Ends the manager as SIGKILL does.
    pub async fn kill(&mut self) {
        if let Some(running) = self.manager.take() {
            running.task.abort();
            let _ = running.task.await;
            running.hook.disk.lock().unwrap().restore();
        }
    }

    /// Ends the manager as SIGTERM does.
    pub async fn stop(&mut self) {
        if let Some(running) = self.manager.take() {
            running.trigger.trigger();
            running.task.await.unwrap();
        }
    }

    /// The point at which the manager crashed, if it did.
    pub fn crashed(&self) -> Option<Point> {
        self.manager.as_ref()?.hook.crashed()
    }

    pub fn key(member: &str) -> String {
        format!("/lbManager/{BALANCER}/multiple/{member}")
    }

    pub async fn put(&self, key: &str, value: &str) {
        let put = Transaction::put(key, value);
        self.store.commit(put).await.unwrap();
    }

    /// An operator's release. The revision that it was written at.
    pub async fn release(&self, key: &str) -> Revision {
        let before = self.store.get(key).await.unwrap().header;
        let release = Release::new(before, "test".to_owned(), self.clock.now());
        let put = Transaction::put(key, release.to_json());
        self.store.commit(put).await.unwrap().header.revision
    }

    /// Lets time pass until the status contains the release.
    pub async fn until_released(&self, revision: Revision) {
        self.until("the release is applied", |world| {
            world
                .status()
                .is_none_or(|status| status.released >= Some(revision))
        })
        .await;
    }

    pub async fn put_leased(&self, member: &str, lease: LeaseId) {
        let put = Transaction::default().and_put(Self::key(member), "", Some(lease));
        self.store.commit(put).await.unwrap();
    }

    pub async fn del(&self, key: &str) {
        self.store.commit(Transaction::delete(key)).await.unwrap();
    }

    pub fn status(&self) -> Option<Record> {
        self.status_of(&Self::id())
    }

    pub fn status_of(&self, id: &BalancerId) -> Option<Record> {
        let key = super::status().balancer(&"host-1".parse().unwrap(), id);
        let entry = self.store.peek(&key)?;
        Some(Record::from_json(&entry.value).unwrap())
    }

    /// Lets time pass. The clock is paused, so this takes no time itself.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lets time pass until the condition holds, or panics after an hour of
    /// the paused clock.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..36_000 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "not within an hour: {what}; registered {:?}, status {:#?}",
            self.backend.registered(&Self::id()),
            self.status()
        );
    }

    pub async fn until_registered(&self, members: &[&str]) {
        let wanted = members.iter().map(ToString::to_string).collect();
        let what = format!("{members:?} registered");
        self.until(&what, |world| {
            world.backend.registered(&Self::id()) == wanted
        })
        .await;
    }
}
