//! Two publishers of the same keys and everything that can come between
//! them, in any order.

mod actor;
mod world;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use proptest::prelude::*;
use serde_json::{Map, Value};
use tokio::sync::watch as latest;
use tokio::time::advance;

use self::actor::Publisher;
use self::world::{World, happening};
use super::{Content, Heirs, Report, Standing, Wanted, WantedKey};
use crate::process::health::{Health, Heartbeat};
use crate::store::memory::MemoryStore;
use crate::store::{Entry, Event, Store, Transaction, Watch, WatchMessage};

const KEYS: [&str; 2] = ["/m/1", "/m/2"];
const TTL: Duration = Duration::from_secs(30);

fn content(weight: u8) -> Content {
    // One of the values takes the member out of service.
    let (name, value) = match weight {
        0 => ("ready", false.into()),
        _ => ("weight", weight.into()),
    };
    Content::Member(Map::from_iter([(name.to_owned(), value)]))
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

#[tokio::test(start_paused = true)]
async fn a_delete_is_announced_and_without_space_it_is_not() {
    for is_full in [false, true] {
        let mut world = World::new();
        let [publisher, _] = &mut world.publishers;
        publisher.want(1, 1);
        run_dry(publisher, &world.store).await;
        let mut watch = world
            .store
            .watch_key(KEYS[0], world.store.revision())
            .await
            .unwrap();
        world.store.set_full(is_full);
        publisher.want(0, 1);
        run_dry(publisher, &world.store).await;
        tokio::time::advance(Duration::from_secs(5)).await;
        run_dry(publisher, &world.store).await;
        assert_eq!(world.store.peek(KEYS[0]), None);
        let mut leaving = None;
        while let Some(Ok(WatchMessage::Events { events, .. })) = watch.next().now_or_never() {
            for event in events {
                if let Event::Delete { previous, .. } = event {
                    leaving = options(&previous.unwrap()).remove("leaving");
                }
            }
        }
        assert_eq!(leaving, (!is_full).then(|| true.into()));
    }
}

/// A publisher of one key that runs with a store without space, and the key.
async fn without_space(content: Content) -> (MemoryStore, Option<Entry>) {
    let store = MemoryStore::new();
    let (report, mut reported) = latest::channel(Report::default());
    let first = Content::Member(Map::new());
    let wanted = |content| {
        let keys = [(KEYS[0].to_owned(), WantedKey::new(content))];
        Arc::new(Wanted {
            keys: keys.into_iter().collect(),
            ..Wanted::default()
        })
    };
    let (sender, receiver) = latest::channel(wanted(first));
    let publisher = super::Publisher {
        store: store.clone(),
        ttl: TTL,
        wanted: receiver,
        report,
        memory: None,
        heirs: None,
        heartbeat: None,
    };
    tokio::spawn(publisher.run(std::future::pending()));
    let is_published =
        |report: &Report| matches!(report.keys.get(KEYS[0]), Some(Standing::Published { .. }));
    reported.wait_for(is_published).await.unwrap();
    store.set_full(true);
    sender.send_replace(wanted(content));
    tokio::time::sleep(Duration::from_mins(10)).await;
    let calls = store.counts();
    // A renewal every 5 s, and a write every 1.5 to 3 s.
    assert!(calls.calls < 700, "{calls:?}");
    let trouble = reported.borrow_and_update().trouble.clone();
    let trouble = trouble.expect("it says why it does not write");
    assert!(trouble.contains("etcdctl alarm disarm"), "{trouble}");
    let meanwhile = store.peek(KEYS[0]);
    store.set_full(false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(reported.borrow_and_update().trouble, None);
    // The sender has to live until here.
    drop(sender);
    let written = store
        .peek(KEYS[0])
        .expect("it is written when there is space");
    assert_ne!(Some(&written), meanwhile.as_ref());
    (store, meanwhile)
}

#[tokio::test(start_paused = true)]
async fn without_space_a_member_that_is_not_ready_is_deleted_until_there_is() {
    let unready = Map::from_iter([("ready".to_owned(), false.into())]);
    let (store, meanwhile) = without_space(Content::Member(unready)).await;
    assert_eq!(meanwhile, None);
    let written = options(&store.peek(KEYS[0]).unwrap());
    assert_eq!(written.get("ready"), Some(&false.into()));
    assert!(written.contains_key("since"), "it keeps its rank");
}

#[tokio::test(start_paused = true)]
async fn without_space_any_other_value_waits() {
    let (_, meanwhile) = without_space(content(7)).await;
    assert!(meanwhile.is_some());
}

/// A request to an endpoint that is frozen takes 5 s, and the next may wait for
/// a connection.
#[tokio::test(start_paused = true)]
async fn a_lease_of_8_s_outlives_a_frozen_endpoint_whenever_it_freezes() {
    for after in (0..80).map(|n| Duration::from_millis(100 * n)) {
        let store = MemoryStore::new();
        let (report, mut reported) = latest::channel(Report::default());
        let keys = [(KEYS[0].to_owned(), WantedKey::new(content(1)))];
        let (_wanted, wanted) = latest::channel(Arc::new(Wanted {
            keys: keys.into_iter().collect(),
            ..Wanted::default()
        }));
        let publisher = super::Publisher {
            store: store.clone(),
            ttl: Duration::from_secs(8),
            wanted,
            report,
            memory: None,
            heirs: None,
            heartbeat: None,
        };
        let running = tokio::spawn(publisher.run(std::future::pending()));
        let lease = reported.wait_for(|report| report.lease.is_some()).await;
        let lease = lease.unwrap().lease.unwrap();
        tokio::time::sleep(after).await;
        store.freeze();
        tokio::time::sleep(Duration::from_secs(6)).await;
        store.thaw();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(
            store.lease_exists(lease).await.unwrap(),
            "frozen after {after:?}"
        );
        running.abort();
    }
}
