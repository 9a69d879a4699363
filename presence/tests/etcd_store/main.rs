//! What only the real etcd can do to us: go away, fall silent, ask who we are.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod access;
mod failover;
mod keys;
mod outage;

use std::time::Duration;

use presence::model::Revision;
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::{Store, StoreError, Transaction, Watch, WatchMessage};
use testbed::etcd::Etcd;
use testbed::wait;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

async fn store_at(endpoint: &str) -> EtcdStore {
    connected(EtcdConfig::plain([endpoint])).await
}

async fn connected(config: EtcdConfig) -> EtcdStore {
    EtcdStore::connect(config).await.unwrap()
}

async fn started() -> (Etcd, EtcdStore) {
    let etcd = Etcd::start().await.unwrap();
    let store = store_at(&etcd.endpoint()).await;
    (etcd, store)
}

async fn put<S: Store>(store: &S, key: &str) -> Result<Revision, StoreError> {
    let commit = store.commit(Transaction::put(key, "")).await?;
    Ok(commit.header.revision)
}

/// As a caller does it: again until it works.
async fn put_in_the_end<S: Store>(store: &S, key: &str) -> Revision {
    wait::until("a write", DEADLINE, || put(store, key))
        .await
        .unwrap()
}

async fn next<W: Watch>(watch: &mut W) -> Result<WatchMessage, StoreError> {
    let next = tokio::time::timeout(DEADLINE, watch.next()).await;
    next.expect("a message or an error in time")
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
}

#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T, StoreError>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
}
