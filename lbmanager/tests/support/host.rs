//! A manager over a store and a kernel in memory, which can be ended at any
//! command and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lbmanager::history::History;
use lbmanager::manager::{self, ManagerError, Parts, Settings};
use lbmanager::metrics::Metrics;
use lbmanager::peers::Claim;
use lbmanager::reconcile::Board;
use lbmanager::record::Record;
use lbmanager::table;
use lbmanager::table::addresses::Addresses;
use lbmanager::table::kernel::Threaded;
use lbmanager::table::ledger::Ledger;
use lbmanager::table::probe::Ask;
use presence::keys;
use presence::keys::status::ManagerRole;
use presence::model::{BalancerId, Kind, LeaseId, Region, Revision};
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

use super::kernel::FakeKernel;

/// The host's ID, and so its own region.
pub const HOST: &str = "host-1";
/// A region that others serve as well.
pub const SHARED: &str = "edge";

const FILES: [&str; 2] = ["history.json", "ipvs.json"];

type Files = BTreeMap<&'static str, Option<Vec<u8>>>;

pub struct Host {
    pub store: MemoryStore,
    pub kernel: FakeKernel,
    /// What the manager that was started last reports.
    pub board: Board,
    /// What tells it from others with its host ID.
    pub machine: &'static str,
    /// Its host ID.
    pub name: &'static str,
    /// Its tree.
    pub prefix: &'static str,
    clock: Clock,
    silent: Arc<Mutex<BTreeSet<String>>>,
    state: tempfile::TempDir,
    at_death: Arc<Mutex<Option<Files>>>,
    manager: Option<(Trigger, JoinHandle<Result<(), ManagerError>>)>,
}

impl Host {
    pub fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            kernel: FakeKernel::default(),
            board: Board::default(),
            machine: "machine-1",
            name: HOST,
            prefix: keys::DEFAULT_PREFIX,
            clock: Clock::system(),
            silent: Arc::default(),
            state: tempfile::tempdir().unwrap(),
            at_death: Arc::default(),
            manager: None,
        }
    }

    pub fn start(&mut self) {
        let settings = Settings {
            tree: keys::Tree::new(self.prefix).unwrap(),
            host: self.name.parse().unwrap(),
            settle: Duration::from_secs(10),
            resync: Duration::from_mins(5),
            hold: Duration::from_mins(15),
            dry_run: false,
        };
        self.board = Board::default();
        let health = Health::starting();
        let files = StateDir::open(self.state.path()).unwrap();
        let regions = [self.name, SHARED]
            .map(|region| Region::parse(Kind::Ipvs, region).unwrap())
            .to_vec();
        let role = ManagerRole::Ipvs;
        let file = files.file("history.json");
        let history = History::open(file, &settings.tree, &settings.host, [role]).unwrap();
        let table = table::Parts {
            store: self.store.clone(),
            kernel: Threaded::here(self.kernel.clone()),
            around: None,
            probe: self.probe(),
            ledger: Ledger::open(files.file("ipvs.json"), "boot-1").unwrap(),
            addresses: Addresses::default(),
            heartbeat: health.heartbeat("table", table::PROGRESS),
            clock: self.clock.clone(),
            settings: table::Settings {
                keys: settings.tree.status(),
                host: settings.host.clone(),
                regions: regions.clone(),
                settle: settings.settle,
                hold: settings.hold,
                dry_run: false,
            },
            marker: history.marker(role),
            board: self.board.clone(),
        };
        let (trigger, shutdown) = Shutdown::manual();
        let (notifier, _) = Systemd::default().connect(health.clone());
        let parts = Parts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            settings,
            launchers: BTreeMap::new(),
            whole: Some(Box::new(table)),
            board: self.board.clone(),
            claims: vec![(
                ManagerRole::Ipvs,
                Claim::new(self.machine.to_owned(), [Kind::Ipvs], &regions),
            )],
            history,
            metrics: Metrics::new(&mut metrics::registry("lbmanager")),
            health,
            notifier,
            shutdown,
        };
        let task = tokio::spawn(async move {
            if let Some(manager) = manager::start(parts).await? {
                manager.run(None).await?;
            }
            Ok(())
        });
        self.manager = Some((trigger, task));
    }

    /// Whether the state directory takes files.
    pub fn set_writable(&self, is_writable: bool) {
        // What is written is written to these first.
        for file in FILES {
            let obstacle = self.state.path().join(format!("{file}.tmp"));
            if is_writable {
                std::fs::remove_dir(obstacle).unwrap();
            } else {
                std::fs::create_dir(obstacle).unwrap();
            }
        }
    }

    fn probe(&self) -> Ask {
        let silent = Arc::clone(&self.silent);
        Arc::new(move |address| {
            let is_silent = silent.lock().unwrap().contains(&address.to_string());
            Box::pin(async move { !is_silent })
        })
    }

    /// It does not answer any more.
    pub fn silence(&self, member: &str) {
        self.silent.lock().unwrap().insert(member.to_owned());
    }

    /// The process ends after so many more commands: nothing that it does
    /// after them is seen by anybody.
    pub fn die_after(&self, commands: usize) {
        let (store, at_death) = (self.store.clone(), Arc::clone(&self.at_death));
        let directory = self.state.path().to_owned();
        self.kernel.die_after(commands, move || {
            store.set_unavailable(true);
            *at_death.lock().unwrap() = Some(read(&directory));
        });
    }

    /// Ends the manager as SIGKILL does. Whether it had died before.
    pub async fn kill(&mut self) -> bool {
        if let Some((_, task)) = self.manager.take() {
            task.abort();
            let _ = task.await;
        }
        let died = self.kernel.revive();
        self.store.set_unavailable(false);
        if let Some(files) = self.at_death.lock().unwrap().take() {
            write(self.state.path(), files);
        }
        died
    }

    pub async fn stop(&mut self) {
        if let Some((trigger, task)) = self.manager.take() {
            trigger.trigger();
            task.await.unwrap().unwrap();
        }
    }

    /// Waits for the manager to end by itself, and says why it did.
    pub async fn end(&mut self) -> ManagerError {
        let (_trigger, task) = self.manager.take().unwrap();
        task.await.unwrap().unwrap_err()
    }

    pub fn is_running(&self) -> bool {
        let task = self.manager.as_ref().map(|(_, task)| task);
        task.is_some_and(|task| !task.is_finished())
    }

    pub fn id(region: &str, service: &str) -> BalancerId {
        format!("ipvs/{region}/{service}").parse().unwrap()
    }

    pub fn key(region: &str, service: &str, class: &str, member: &str) -> String {
        format!("/lbManager/ipvs/{region}/{service}/{class}/{member}")
    }

    pub async fn put(&self, key: &str, value: &str) {
        self.store
            .commit(Transaction::put(key, value))
            .await
            .unwrap();
    }

    /// An operator's release. The revision that it was written at.
    pub async fn release(&self, key: &str) -> Revision {
        let before = self.store.get(key).await.unwrap().header;
        let release = Release::new(before, "test".to_owned(), self.clock.now());
        let put = Transaction::put(key, release.to_json());
        self.store.commit(put).await.unwrap().header.revision
    }

    pub async fn put_leased(&self, key: &str, lease: LeaseId) {
        let put = Transaction::default().and_put(key, "", Some(lease));
        self.store.commit(put).await.unwrap();
    }

    pub async fn del(&self, key: &str) {
        self.store.commit(Transaction::delete(key)).await.unwrap();
    }

    pub fn status(&self, id: &BalancerId) -> Option<Record> {
        let tree = keys::Tree::new(self.prefix).unwrap();
        let key = tree.status().balancer(&self.name.parse().unwrap(), id);
        let entry = self.store.peek(&key)?;
        Some(Record::from_json(&entry.value).unwrap())
    }

    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..36_000 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "not within an hour: {what}; commands {:#?}",
            self.kernel.commands()
        );
    }

    /// Until a service has just these real servers, with these weights.
    pub async fn until_weights(&self, service: &str, weights: &[(&str, u32)]) {
        let wanted: BTreeMap<String, u32> = weights
            .iter()
            .map(|(server, weight)| ((*server).to_owned(), *weight))
            .collect();
        let what = format!("{service} has {weights:?}");
        self.until(&what, |host| {
            host.kernel.weights(service) == Some(wanted.clone())
        })
        .await;
    }
}

fn read(directory: &Path) -> Files {
    let path = |file: &str| -> PathBuf { directory.join(file) };
    let files = FILES.into_iter();
    files
        .map(|file| (file, std::fs::read(path(file)).ok()))
        .collect()
}

fn write(directory: &Path, files: Files) {
    for (file, content) in files {
        let path = directory.join(file);
        match content {
            Some(content) => std::fs::write(path, content).unwrap(),
            None => std::fs::remove_file(path).unwrap_or_default(),
        }
    }
}
