//! Two publishers of the same keys and everything that can come between
//! them, in any order.

mod actor;
mod world;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value};
use tokio::sync::watch as latest;
use tokio::time::advance;

use self::actor::Publisher;
use self::world::{World, happening};
use super::{Content, Heirs, Report, Standing, Wanted, WantedKey};
use crate::process::health::{Health, Heartbeat};
use crate::store::memory::MemoryStore;
use crate::store::{Entry, Store, Transaction};

const KEYS: [&str; 2] = ["/m/1", "/m/2"];
const TTL: Duration = Duration::from_secs(30);

fn content(weight: u8) -> Content {
    Content::Member(Map::from_iter([("weight".to_owned(), weight.into())]))
}

/// Below it each says which keys it wants.
const HEIRS: &str = "/i/";

fn own(who: usize) -> String {
    format!("{HEIRS}{who}")
}

fn heirs(who: usize) -> Heirs {
    Heirs {
        prefix: HEIRS.to_owned(),
        own: own(who),
        wants: |value, key| {
            String::from_utf8_lossy(value)
                .split(',')
                .any(|one| one == key)
        },
    }
}

fn options(entry: &Entry) -> Map<String, Value> {
    serde_json::from_slice(&entry.value).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_it_settles_as_it_should(
        happenings in prop::collection::vec(happening(), 0..120)
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for publisher in &mut world.publishers {
                publisher.want(3, 0);
            }
            for happening in happenings {
                world.happen(happening).await;
            }
            world.settle().await;
            world.end_old_leases();
            world.settle().await;
            world.check_settled();
        });
    }
}

/// All that one publisher does and is told until it has nothing to do.
async fn run_dry(publisher: &mut Publisher, store: &MemoryStore) {
    while publisher.step(store).await.is_some() || publisher.deliver() {}
}

#[tokio::test(start_paused = true)]
async fn an_edit_by_an_operator_stays_when_the_value_changes() {
    let mut world = World::new();
    let [publisher, _] = &mut world.publishers;
    publisher.want(1, 1);
    run_dry(publisher, &world.store).await;
    let first = world.store.peek(KEYS[0]).unwrap();
    let edit = Transaction::default().and_put(KEYS[0], r#"{"weight":1,"drain":true}"#, first.lease);
    world.store.commit(edit).await.unwrap();
    run_dry(publisher, &world.store).await;
    assert_eq!(
        world.store.counts().writes,
        3,
        "an edit is no reason to write"
    );
    publisher.want(1, 2);
    run_dry(publisher, &world.store).await;
    let value = options(&world.store.peek(KEYS[0]).unwrap());
    let since = first.mod_revision.0;
    let expected = serde_json::json!({"weight": 2, "drain": true, "since": since});
    assert_eq!(Value::Object(value), expected);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_history_starts_ranks_over() {
    let mut world = World::new();
    let [publisher, _] = &mut world.publishers;
    for _ in 0..5 {
        world
            .store
            .commit(Transaction::put("/x", ""))
            .await
            .unwrap();
    }
    publisher.want(1, 1);
    run_dry(publisher, &world.store).await;
    world.store.wipe();
    while publisher
        .standing(KEYS[0])
        .is_none_or(|s| !matches!(s, Standing::Published { .. }))
        || world.store.peek(KEYS[0]).is_none()
    {
        run_dry(publisher, &world.store).await;
        advance(Duration::from_secs(1)).await;
    }
    let value = options(&world.store.peek(KEYS[0]).unwrap());
    assert_eq!(value.get("since"), None);
}

/// A publisher of both keys, as its users run it, for so long.
async fn run_for(store: &MemoryStore, time: Duration, heartbeat: Option<Heartbeat>) {
    let (report, _) = latest::channel(Report::default());
    let keys = KEYS.map(|key| (key.to_owned(), WantedKey::new(content(1))));
    let keys = keys.into_iter().collect();
    let (_wanted, wanted) = latest::channel(Arc::new(Wanted {
        keys,
        ..Wanted::default()
    }));
    let publisher = super::Publisher {
        store: store.clone(),
        ttl: TTL,
        wanted,
        report,
        memory: None,
        heirs: None,
        heartbeat,
    };
    publisher.run(tokio::time::sleep(time)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_long_is_not_pestered() {
    let store = MemoryStore::new();
    store.set_unavailable(true);
    run_for(&store, Duration::from_mins(5), None).await;
    let calls = store.counts().calls;
    assert!((90..250).contains(&calls), "{calls} calls in 5 minutes");
}

#[tokio::test(start_paused = true)]
async fn it_shows_progress_whether_there_is_something_to_do_or_not() {
    for away in [false, true] {
        let store = MemoryStore::new();
        store.set_unavailable(away);
        let health = Health::starting();
        // Shorter than the pause between two renewals.
        let heartbeat = health.heartbeat("publisher", TTL / 5);
        let running = run_for(&store, Duration::from_mins(5), Some(heartbeat));
        let mut running = std::pin::pin!(running);
        loop {
            tokio::select! {
                () = &mut running => break,
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    assert_eq!(health.stuck(), [], "away: {away}");
                }
            }
        }
    }
}
