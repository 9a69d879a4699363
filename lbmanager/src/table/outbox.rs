//! Statuses on their way to etcd: the newest of each, many in a transaction.
//!
//! The table never waits for etcd: what the kernel is told does not depend on
//! what is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use presence::keys::StatusTree;
use presence::model::{BalancerId, HostId};
use presence::process::backoff::Backoff;
use presence::process::complaint::Complaint;
use presence::store::{Store, StoreError, Transaction};
use tokio::sync::Notify;

use crate::history::MarkerWriter;
use crate::reconcile::Board;
use crate::reconcile::seal::Seal;
use crate::record::Record;

/// etcd takes 128 operations in a transaction (`--max-txn-ops`) and 1.5 MiB
/// in a request, unless told otherwise.
const OPERATIONS: usize = 100;
const BYTES: usize = 1 << 20;

/// Where statuses are written.
#[derive(Debug, Clone)]
pub struct Target {
    /// The keys of the tree.
    pub keys: StatusTree,
    /// The host whose statuses they are.
    pub host: HostId,
    /// Written with each transaction.
    pub marker: MarkerWriter,
}

/// Statuses to be written. Clones are the same outbox.
#[derive(Debug, Clone, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What etcd has, as far as is known, or does not take.
    written: BTreeMap<BalancerId, Seal>,
    /// What is being written at this moment.
    under_way: BTreeSet<BalancerId>,
    /// What it is to have. `None`: nothing. As it is kept: as text each would
    /// be as large again.
    pending: BTreeMap<BalancerId, Option<Arc<Record>>>,
}

/// Statuses that are written together.
type Batch = BTreeMap<BalancerId, Option<Status>>;

/// A status, and as it is written to etcd.
#[derive(Debug)]
struct Status {
    record: Arc<Record>,
    text: Vec<u8>,
}

impl Outbox {
    /// The status that etcd has.
    pub fn known(&self, id: BalancerId, status: &[u8]) {
        self.state().written.insert(id, Seal::of(status));
    }

    /// What etcd has is of another history.
    pub fn forget_all(&self) {
        self.state().written.clear();
    }

    /// Whether etcd has, or is about to have, a status of it.
    pub fn has(&self, id: &BalancerId) -> bool {
        let state = self.state();
        match state.pending.get(id) {
            Some(pending) => pending.is_some(),
            None => state.under_way.contains(id) || state.written.contains_key(id),
        }
    }

    /// Writes it, unless that is what etcd has.
    pub fn write(&self, id: &BalancerId, status: Arc<Record>) {
        let mut state = self.state();
        state.pending.insert(id.clone(), Some(status));
        drop(state);
        self.0.news.notify_one();
    }

    /// Deletes it, if there is any.
    pub fn delete(&self, id: &BalancerId) {
        let mut state = self.state();
        state.pending.insert(id.clone(), None);
        drop(state);
        self.0.news.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything was written.
    pub fn is_empty(&self) -> bool {
        let state = self.state();
        state.pending.is_empty() && state.under_way.is_empty()
    }

    /// Writes what comes, for ever.
    pub async fn run<S: Store>(&self, store: &S, target: &Target, board: &Board) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut complaint = Complaint::every(Duration::from_mins(1));
        // How many have to go one by one: one of them is not taken.
        let mut apart = 0_usize;
        loop {
            let batch = self.batch(if apart > 0 { 1 } else { OPERATIONS }, board);
            if batch.is_empty() {
                self.0.news.notified().await;
                continue;
            }
            let transaction = target.transaction(&batch);
            match store.commit(transaction).await {
                Ok(commit) => {
                    backoff.succeeded();
                    complaint.is_over();
                    target.marker.committed(commit.header.revision);
                    for (id, status) in &batch {
                        if let Some(status) = status {
                            board.absorbed(id, status.record.revision);
                        }
                    }
                    apart = apart.saturating_sub(batch.len());
                    self.settled(batch);
                }
                Err(StoreError::Rejected { .. }) if batch.len() > 1 => {
                    apart = batch.len();
                    self.put_back(batch);
                }
                Err(error @ StoreError::Rejected { .. }) => {
                    apart = apart.saturating_sub(1);
                    for id in batch.keys() {
                        tracing::error!(
                            "{id}: its status cannot be written until it changes, and those who \
                             wait for it wait: {error}"
                        );
                    }
                    self.settled(batch);
                }
                Err(error) => {
                    let words = error.to_string();
                    if complaint.is_due(&words) {
                        tracing::warn!("statuses cannot be written yet: {words}");
                    }
                    self.put_back(batch);
                    tokio::time::sleep(backoff.failed()).await;
                }
            }
        }
    }

    fn batch(&self, most: usize, board: &Board) -> Batch {
        let mut state = self.state();
        let mut batch = Batch::new();
        let mut bytes = 0;
        while batch.len() < most && (bytes < BYTES / 2 || batch.is_empty()) {
            let Some((id, record)) = state.pending.pop_first() else {
                break;
            };
            let status = record.map(Status::of);
            if let Some(same) = status.as_ref().filter(|new| state.has(&id, new)) {
                board.absorbed(&id, same.record.revision);
                continue;
            }
            bytes += status.as_ref().map_or(0, |status| status.text.len());
            // Until it is known to be written nothing is.
            state.written.remove(&id);
            state.under_way.insert(id.clone());
            batch.insert(id, status);
        }
        batch
    }

    /// Written, or not to be tried again.
    fn settled(&self, batch: Batch) {
        let mut state = self.state();
        state.under_way.clear();
        for (id, status) in batch {
            if let Some(status) = status {
                state.written.insert(id, Seal::of(&status.text));
            }
        }
    }

    fn put_back(&self, batch: Batch) {
        let mut state = self.state();
        state.under_way.clear();
        for (id, status) in batch {
            let record = status.map(|status| status.record);
            state.pending.entry(id).or_insert(record);
        }
    }
}

impl State {
    /// Whether that is what etcd has.
    fn has(&self, id: &BalancerId, status: &Status) -> bool {
        self.written.get(id) == Some(&Seal::of(&status.text))
    }
}

impl Status {
    fn of(record: Arc<Record>) -> Self {
        let text = record.to_json();
        Self { record, text }
    }
}

impl Target {
    fn transaction(&self, batch: &Batch) -> Transaction {
        let statuses = Transaction::default();
        let statuses = batch.iter().fold(statuses, |transaction, (id, status)| {
            let key = self.keys.balancer(&self.host, id);
            match status {
                Some(status) => transaction.and_put(key, status.text.clone(), None),
                None => transaction.and_delete(key),
            }
        });
        self.marker.add_to(statuses)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use presence::store::memory::MemoryStore;

    use super::*;

    fn keys() -> StatusTree {
        presence::keys::Tree::new("/lbManager").unwrap().status()
    }

    fn id(number: u8) -> BalancerId {
        format!("ipvs/edge/10.0.0.{number}:80").parse().unwrap()
    }

    fn status() -> Arc<Record> {
        Arc::default()
    }

    /// More than etcd takes in a request.
    fn too_large() -> Arc<Record> {
        Arc::new(Record {
            problems: vec![" ".repeat(2 << 20)],
            ..Record::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_etcd_does_not_take_holds_up_no_other() {
        let (store, host) = (MemoryStore::new(), "host-1".parse().unwrap());
        let board = Board::default();
        let outbox = Outbox::default();
        outbox.write(&id(1), too_large());
        for number in 2..9 {
            outbox.write(&id(number), status());
        }
        run(&outbox, &store, &board).await;
        let has = |number| store.peek(&keys().balancer(&host, &id(number)));
        assert!(has(1).is_none());
        assert!((2..9).all(|number| has(number).is_some()));
        // Not tried again as it is, nor is what etcd has.
        let commits = store.counts().commits;
        for number in 1..9 {
            let known = if number == 1 { too_large() } else { status() };
            outbox.write(&id(number), known);
        }
        run(&outbox, &store, &board).await;
        assert_eq!(store.counts().commits, commits);
    }

    /// Writes until nothing is left to be done.
    async fn run(outbox: &Outbox, store: &MemoryStore, board: &Board) {
        let target = Target {
            keys: keys(),
            host: "host-1".parse().unwrap(),
            marker: MarkerWriter::default(),
        };
        let run = outbox.run(store, &target, board);
        let a_while = Duration::from_secs(1);
        assert!(tokio::time::timeout(a_while, run).await.is_err());
    }
}
