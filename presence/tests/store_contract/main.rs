//! What every store promises, tried on etcd itself and on the one in memory.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod leases;
mod listing;
mod transactions;
mod watching;

use std::time::Duration;

use presence::model::Revision;
use presence::store::etcd::{EtcdConfig, EtcdStore};
use presence::store::memory::MemoryStore;
use presence::store::{Event, Store, StoreError, Transaction, Watch, WatchMessage};
use testbed::etcd::Etcd;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes that etcd may use; more than any other test here writes.
const QUOTA: usize = 32 << 20;

/// A store, and what an administrator does to it.
trait Rig {
    type Store: Store;

    fn store(&self) -> &Self::Store;

    async fn compact(&self, to: Revision);

    /// Writes until etcd's quota is used up.
    async fn use_up_space(&self);
}

struct InMemory(MemoryStore);

impl Rig for InMemory {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.0
    }

    async fn compact(&self, to: Revision) {
        self.0.compact(to);
    }

    async fn use_up_space(&self) {
        self.0.set_full(true);
    }
}

struct Real {
    etcd: Etcd,
    store: EtcdStore,
}

impl Real {
    async fn start() -> Self {
        let quota = format!("--quota-backend-bytes={QUOTA}");
        let etcd = Etcd::builder().arg(quota).start().await.unwrap();
        let config = EtcdConfig::plain([etcd.endpoint()]);
        let store = EtcdStore::connect(config).await.unwrap();
        Self { etcd, store }
    }
}

impl Rig for Real {
    type Store = EtcdStore;

    fn store(&self) -> &EtcdStore {
        &self.store
    }

    async fn compact(&self, to: Revision) {
        self.etcd.compact(to.0).await.unwrap();
    }

    async fn use_up_space(&self) {
        let value = vec![b'x'; 1 << 20];
        // etcd learns its size only when it has committed a batch to its disk.
        for _ in 0..1_000 {
            let filled = self.store.commit(Transaction::put("/fill", value.clone()));
            match filled.await {
                Ok(_) => {}
                Err(StoreError::NoSpace { .. }) => return,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("1 GB was written, and the quota is {QUOTA} bytes");
    }
}

macro_rules! contract {
    ($($module:ident: $($name:ident),+;)+) => {
        mod memory {
            $($(
                #[tokio::test]
                async fn $name() {
                    let rig = crate::InMemory(presence::store::memory::MemoryStore::new());
                    crate::$module::$name(&rig).await;
                }
            )+)+
        }

        mod etcd {
            $($(
                #[tokio::test]
                async fn $name() {
                    crate::$module::$name(&crate::Real::start().await).await;
                }
            )+)+
        }
    };
}

contract! {
    listing:
        lists_below_a_prefix_and_nothing_beside_it,
        lists_more_than_a_page_at_one_revision,
        lists_at_an_old_revision,
        refuses_what_is_compacted,
        refuses_what_is_in_the_future,
        gets_a_key_and_the_header_in_any_case;
    transactions:
        writes_all_or_nothing,
        holds_each_condition,
        changes_nothing_without_a_change,
        keeps_the_create_revision,
        refuses_what_is_too_large,
        refuses_the_same_key_twice,
        deletes_all_below_a_prefix_at_once,
        deletes_once_what_is_named_twice,
        takes_values_of_a_megabyte,
        without_space_deletes_and_renewals_work_and_nothing_is_written;
    watching:
        tells_what_happens_afterwards,
        resumes_behind_a_revision,
        tells_one_transaction_in_one_message,
        tells_the_previous_value_and_its_lease,
        keeps_to_its_prefix,
        keeps_to_its_key,
        says_that_history_is_compacted,
        misses_no_deletion_at_the_compacted_revision,
        resumes_at_the_compacted_revision;
    leases:
        lives_while_it_is_kept_alive_and_ends_by_itself,
        takes_all_its_keys_along_in_one_revision,
        tells_how_long_it_lives_if_nobody_renews_it,
        tells_the_keys_that_are_on_it,
        revokes_once_and_again,
        refuses_a_write_on_a_lease_that_is_gone;
}

async fn put<S: Store>(store: &S, key: &str, value: &str) -> Revision {
    let commit = store.commit(Transaction::put(key, value)).await.unwrap();
    commit.header.revision
}

async fn delete<S: Store>(store: &S, key: &str) -> Revision {
    let commit = store.commit(Transaction::delete(key)).await.unwrap();
    commit.header.revision
}

async fn next<W: Watch>(watch: &mut W) -> WatchMessage {
    let next = tokio::time::timeout(DEADLINE, watch.next()).await;
    next.expect("a message in time").unwrap()
}

/// The changes of the next message.
async fn next_events<W: Watch>(watch: &mut W) -> Vec<Event> {
    match next(watch).await {
        WatchMessage::Events { events, .. } => events,
        other => panic!("expected events, got {other:?}"),
    }
}

/// As `key=value@revision`, or `-key@revision`.
fn shown(event: &Event) -> String {
    match event {
        Event::Put { key, entry } => {
            let value = String::from_utf8_lossy(&entry.value);
            format!("{key}={value}@{}", entry.mod_revision)
        }
        Event::Delete { key, revision, .. } => format!("-{key}@{revision}"),
    }
}
