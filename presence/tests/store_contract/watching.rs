use std::time::Duration;

use presence::model::Revision;
use presence::store::{Event, Store, Transaction, WatchMessage};

use crate::{Rig, delete, next, next_events, put, shown};

async fn now<S: Store>(store: &S) -> Revision {
    store.get("/none").await.unwrap().header.revision
}

pub async fn tells_what_happens_afterwards(rig: &impl Rig) {
    let store = rig.store();
    let before = put(store, "/w/0", "before").await;
    let mut watch = store.watch("/w/", before).await.unwrap();
    let put = put(store, "/w/1", "a").await;
    let WatchMessage::Events { header, events } = next(&mut watch).await else {
        panic!("expected events");
    };
    assert_eq!(
        events.iter().map(shown).collect::<Vec<_>>(),
        [format!("/w/1=a@{put}")]
    );
    assert!(header.revision >= put);
    assert_eq!(
        header.cluster,
        store.get("/w/1").await.unwrap().header.cluster
    );
    let gone = delete(store, "/w/1").await;
    assert_eq!(
        shown(&next_events(&mut watch).await[0]),
        format!("-/w/1@{gone}")
    );
}

pub async fn resumes_behind_a_revision(rig: &impl Rig) {
    let store = rig.store();
    let first = put(store, "/w/1", "a").await;
    let second = put(store, "/w/1", "b").await;
    let third = delete(store, "/w/1").await;
    let mut watch = store.watch("/w/", first).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(next_events(&mut watch).await.iter().map(shown));
    }
    assert_eq!(seen, [format!("/w/1=b@{second}"), format!("-/w/1@{third}")]);
}

pub async fn tells_one_transaction_in_one_message(rig: &impl Rig) {
    let store = rig.store();
    let from = now(store).await;
    let mut live = store.watch("/w/", from).await.unwrap();
    let all = (0..100).fold(Transaction::default(), |all, n| {
        all.and_put(format!("/w/{n:03}"), vec![b'x'; 10_000], None)
    });
    store.commit(all).await.unwrap();
    let mut late = store.watch("/w/", from).await.unwrap();
    for watch in [&mut live, &mut late] {
        assert_eq!(next_events(watch).await.len(), 100);
    }
}

pub async fn tells_the_previous_value_and_its_lease(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    let put = Transaction::default().and_put("/w/1", "a", Some(lease));
    let written = store.commit(put).await.unwrap().header.revision;
    let mut watch = store.watch("/w/", written).await.unwrap();
    delete(store, "/w/1").await;
    let events = next_events(&mut watch).await;
    let [
        Event::Delete {
            previous: Some(previous),
            ..
        },
    ] = events.as_slice()
    else {
        panic!("expected a deletion with what it was, got {events:?}");
    };
    assert_eq!(&*previous.value, b"a");
    assert_eq!(previous.mod_revision, written);
    assert_eq!(previous.lease, Some(lease));
}

pub async fn keeps_to_its_prefix(rig: &impl Rig) {
    let store = rig.store();
    let from = now(store).await;
    let mut watch = store.watch("/a/", from).await.unwrap();
    for key in ["/ab", "/a", "/a0", "/b/1"] {
        put(store, key, "").await;
    }
    let at = put(store, "/a/1", "1").await;
    assert_eq!(
        shown(&next_events(&mut watch).await[0]),
        format!("/a/1=1@{at}")
    );
}

pub async fn keeps_to_its_key(rig: &impl Rig) {
    let store = rig.store();
    let from = now(store).await;
    let mut live = store.watch_key("/w/1", from).await.unwrap();
    put(store, "/w/10", "longer").await;
    put(store, "/w/1/0", "below").await;
    let own = put(store, "/w/1", "own").await;
    let mut late = store.watch_key("/w/1", from).await.unwrap();
    for watch in [&mut live, &mut late] {
        let events = next_events(watch).await;
        let events: Vec<_> = events.iter().map(shown).collect();
        assert_eq!(events, [format!("/w/1=own@{own}")]);
    }
}

pub async fn says_that_history_is_compacted(rig: &impl Rig) {
    let store = rig.store();
    let from = put(store, "/w/1", "a").await;
    put(store, "/w/1", "b").await;
    let to = put(store, "/w/1", "c").await;
    rig.compact(to).await;
    let mut watch = store.watch("/w/", from).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchMessage::Compacted(to));
}

pub async fn misses_no_deletion_at_the_compacted_revision(rig: &impl Rig) {
    let store = rig.store();
    let from = put(store, "/w/1", "a").await;
    let gone = delete(store, "/w/1").await;
    rig.compact(gone).await;
    let mut watch = store.watch("/w/", from).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchMessage::Compacted(gone));
}

pub async fn resumes_at_the_compacted_revision(rig: &impl Rig) {
    let store = rig.store();
    let from = put(store, "/w/1", "a").await;
    rig.compact(from).await;
    let at = put(store, "/w/1", "b").await;
    let mut watch = store.watch("/w/", from).await.unwrap();
    assert_eq!(
        shown(&next_events(&mut watch).await[0]),
        format!("/w/1=b@{at}")
    );
}
