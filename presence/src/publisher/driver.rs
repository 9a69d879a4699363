//! Carries out what [`super::state`] decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as latest;
use tokio::time::{Instant, timeout};

use super::heirs::{self, Heirs};
use super::key::Bequest;
use super::state::{State, Step};
use super::tenure::{Memory, Tenure};
use super::{Report, Standing, Wanted};
use crate::model::LeaseId;
use crate::process::clock::sleep_until_some;
use crate::process::health::Heartbeat;
use crate::process::state_file::StateFile;
use crate::store::watches::{Told, next};
use crate::store::{Entry, Store, StoreError, WatchMessage};

/// How long the keys may take to be deleted at the end. Where etcd is away
/// for longer, the lease ends by itself.
const LEAVING: Duration = Duration::from_secs(5);

/// What a publisher runs on.
pub struct Publisher<S> {
    /// The store.
    pub store: S,
    /// How long the keys stay when this process is gone; whole seconds.
    pub ttl: Duration,
    /// The keys. If the sender is dropped, what was wanted last stays wanted.
    pub wanted: latest::Receiver<Arc<Wanted>>,
    /// Where is told how they stand.
    pub report: latest::Sender<Report>,
    /// Where the lease is remembered, so that the next life of a process that
    /// is killed goes on with it.
    pub memory: Option<StateFile<Option<Tenure>>>,
    /// Who has the keys after us, if anybody may.
    pub heirs: Option<Heirs>,
    /// Beaten as long as there is progress, be it one failure after another.
    pub heartbeat: Option<Heartbeat>,
}

/// How long a publisher may be without progress: the longest call to the
/// store takes a few seconds.
pub const PROGRESS: Duration = Duration::from_secs(30);

impl<S: Store> Publisher<S> {
    /// Keeps what is wanted in the store until `shutdown`, then deletes what
    /// is ours. It goes on for as long as it takes where the store is away.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut driver = Driver::new(self.store, self.ttl, self.report);
        driver.inherited_by(self.heirs);
        driver.heartbeat = self.heartbeat;
        driver.memory = Memory::new(self.memory);
        if let Some(tenure) = driver.memory.recall() {
            driver.state.resume(tenure, Instant::now());
        }
        tokio::select! {
            biased;
            // What is being done when it comes is abandoned: every step may be.
            () = shutdown => {}
            () = driver.keep(self.wanted) => {}
        }
        let _ = timeout(LEAVING, driver.leave()).await;
        driver.forget();
        driver.tell();
    }
}

pub(super) struct Driver<S: Store> {
    store: S,
    ttl: Duration,
    pub(super) state: State,
    pub(super) watches: BTreeMap<String, S::Watch>,
    wanted: Arc<Wanted>,
    report: latest::Sender<Report>,
    memory: Memory,
    heirs: Option<Heirs>,
    heartbeat: Option<Heartbeat>,
}

impl<S: Store> Driver<S> {
    pub(super) fn new(store: S, ttl: Duration, report: latest::Sender<Report>) -> Self {
        Self {
            store,
            ttl,
            state: State::new(ttl),
            watches: BTreeMap::new(),
            wanted: Arc::default(),
            report,
            memory: Memory::default(),
            heirs: None,
            heartbeat: None,
        }
    }

    pub(super) fn inherited_by(&mut self, heirs: Option<Heirs>) {
        self.state
            .inherited_by(heirs.as_ref().map(|heirs| heirs.own.clone()));
        self.heirs = heirs;
    }

    async fn keep(&mut self, mut wanted: latest::Receiver<Arc<Wanted>>) {
        let mut open = true;
        loop {
            let newest = wanted.borrow_and_update().clone();
            self.want(newest);
            self.beat();
            self.advance().await;
            let wakes_at = self.state.wakes_at(Instant::now());
            let beats_at = self
                .heartbeat
                .as_ref()
                .map(|heart| Instant::now() + heart.limit() / 3);
            // Each arm is cancel-safe: a change stays marked, a message is
            // taken only when it is returned.
            tokio::select! {
                changed = wanted.changed(), if open => open = changed.is_ok(),
                told = next(&mut self.watches) => self.told(told),
                () = sleep_until_some(wakes_at) => {}
                () = sleep_until_some(beats_at) => {}
            }
        }
    }

    fn want(&mut self, wanted: Arc<Wanted>) {
        self.state.want(&wanted);
        self.wanted = wanted;
    }

    async fn leave(&mut self) {
        self.want(Arc::default());
        loop {
            self.advance().await;
            if self.state.is_empty() {
                return;
            }
            sleep_until_some(self.state.wakes_at(Instant::now())).await;
        }
    }

    /// The next life is no continuation of this one; only what could not be
    /// deleted is left to it.
    fn forget(&mut self) {
        let left = self.state.tenure().filter(|_| !self.state.is_empty());
        self.memory.keep(left.map(|left| Tenure {
            since: None,
            ..left
        }));
    }

    /// Does everything that can be done now.
    async fn advance(&mut self) {
        while let Some(step) = self.state.next(Instant::now()) {
            self.carry_out(step).await;
            self.tell();
        }
        self.watches.retain(|name, _| self.state.knows(name));
        self.tell();
    }

    pub(super) async fn carry_out(&mut self, step: Step) {
        let asked = Instant::now();
        self.beat();
        let result = match &step {
            Step::Grant => {
                let granted = self.store.grant(self.ttl).await;
                // Remembered before a key is on it.
                granted.map(|lease| {
                    self.state.granted(lease, asked);
                    self.memory.keep(self.state.tenure());
                })
            }
            Step::Renew(lease) => {
                let alive = self.store.keep_alive(*lease).await;
                alive.map(|alive| self.state.renewed(*lease, alive, asked))
            }
            Step::Survey(lease) => {
                let keys = self.store.keys_on(*lease).await;
                keys.map(|keys| self.state.surveyed(*lease, keys))
            }
            Step::Read(name) => self.read(name).await,
            Step::Seek(name, lease) => self.seek(name, *lease).await,
            Step::Put(_, _, transaction)
            | Step::HandOver(_, transaction)
            | Step::Announce(_, transaction)
            | Step::Delete(_, transaction)
            | Step::Withhold(_, transaction) => {
                let commit = self.store.commit(transaction.clone()).await;
                commit.map(|commit| self.state.committed(&step, &commit))
            }
        };
        if let Err(error) = result {
            tracing::debug!(key = step.key(), %error, "a call of the publisher failed");
            self.state.failed(&step, &error, Instant::now());
        }
    }

    async fn read(&mut self, name: &str) -> Result<(), StoreError> {
        let fetched = self.store.get(name).await?;
        let from = self.state.read(name, &fetched, Instant::now());
        let watch = self.store.watch_key(name, from).await?;
        self.watches.insert(name.to_owned(), watch);
        Ok(())
    }

    async fn seek(&mut self, name: &str, lease: LeaseId) -> Result<(), StoreError> {
        let entry = self.store.get(name).await?.entry;
        let ours = entry.filter(|entry| entry.lease == Some(lease));
        let bequest = match ours {
            Some(entry) => bequest(&self.store, self.heirs.as_ref(), name, &entry).await?,
            None => Bequest::Nobody,
        };
        self.state.sought(name, bequest);
        Ok(())
    }

    pub(super) fn told(&mut self, (name, message): Told) {
        match message {
            Ok(WatchMessage::Events { events, .. }) => {
                for event in &events {
                    self.state.happened(&name, event);
                }
            }
            Ok(WatchMessage::Progress(_)) => {}
            Ok(WatchMessage::Compacted(_)) => self.watch_ended(&name, &StoreError::Compacted),
            Err(error) => self.watch_ended(&name, &error),
        }
    }

    fn watch_ended(&mut self, name: &str, why: &StoreError) {
        self.watches.remove(name);
        self.state.watch_ended(name, why, Instant::now());
    }

    fn beat(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat();
        }
    }

    fn tell(&self) {
        let now = Report {
            wanted: Arc::clone(&self.wanted),
            ..self.state.report()
        };
        self.report.send_if_modified(|before| {
            log_changes(before, &now);
            let changed = *before != now;
            *before = now;
            changed
        });
    }
}

async fn bequest<S: Store>(
    store: &S,
    successors: Option<&Heirs>,
    name: &str,
    entry: &Entry,
) -> Result<Bequest, StoreError> {
    if let Some(heirs) = successors {
        let all = store.list(&heirs.prefix, None).await?.entries;
        if let Some(gives) = heirs.bequeath(name, entry, &all) {
            return Ok(Bequest::Heir(gives));
        }
    }
    Ok(heirs::announce(name, entry).map_or(Bequest::Nobody, Bequest::Announce))
}

fn log_changes(before: &Report, now: &Report) {
    if before.trouble != now.trouble {
        if let Some(trouble) = &now.trouble {
            tracing::warn!("keys cannot be published: {trouble}");
        } else {
            tracing::info!("keys can be published again");
        }
    }
    for (key, standing) in &now.keys {
        if before.keys.get(key) != Some(standing) {
            log_standing(key, before.keys.get(key), standing);
        }
    }
    for key in before
        .keys
        .keys()
        .filter(|key| !now.keys.contains_key(*key))
    {
        tracing::info!(%key, "{key} is published no longer");
    }
}

fn log_standing(key: &str, before: Option<&Standing>, now: &Standing) {
    match now {
        // Another value: whoever wanted it written knows why.
        Standing::Published { trouble: None, .. }
            if matches!(before, Some(Standing::Published { trouble: None, .. })) =>
        {
            tracing::debug!(%key, "{key} is written again");
        }
        Standing::Published {
            at,
            lease,
            trouble: None,
        } => tracing::info!(%key, "{key} is published, at revision {at} on the lease {lease}"),
        Standing::StandingBy { holder } => {
            let lease = |lease| format!("the lease {lease}");
            let holder = holder.map_or_else(|| "no lease".to_owned(), lease);
            tracing::info!(%key, "{key} was written by another, on {holder}: standing by");
        }
        Standing::Withdrawn { at } => tracing::warn!(
            %key,
            "{key} was deleted by an operator, as seen at revision {at}; it stays away until it is \
             published again"
        ),
        Standing::Published {
            trouble: Some(trouble),
            ..
        }
        | Standing::Pending {
            trouble: Some(trouble),
        }
        | Standing::Leaving {
            trouble: Some(trouble),
        } => tracing::warn!(%key, "{key} is not in the store as it should be: {trouble}"),
        Standing::Pending { trouble: None } if before.is_some() => {
            tracing::info!(%key, "{key} is to be written again");
        }
        Standing::Left => tracing::info!(%key, "{key} is there since before, and stays for now"),
        Standing::Pending { .. } | Standing::Leaving { .. } => {}
    }
}
