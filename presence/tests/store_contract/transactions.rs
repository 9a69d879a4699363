use std::time::Duration;

use presence::model::{LeaseId, Revision};
use presence::store::{Condition, Store, StoreError, Transaction};

use crate::{Rig, delete, next_events, put};

async fn value<S: Store>(store: &S, key: &str) -> Option<Vec<u8>> {
    let entry = store.get(key).await.unwrap().entry;
    entry.map(|entry| entry.value.into_vec())
}

pub async fn writes_all_or_nothing(rig: &impl Rig) {
    let store = rig.store();
    let before = put(store, "/a", "1").await;
    let both = Transaction::put("/b", "2").and_delete("/a");
    let refused = both.clone().when("/a", Condition::Absent);
    let refused = store.commit(refused).await.unwrap();
    assert!(!refused.succeeded);
    assert_eq!(refused.header.revision, before);
    assert_eq!(value(store, "/b").await, None);

    let done = both
        .when("/a", Condition::Present)
        .when("/b", Condition::Absent);
    let done = store.commit(done).await.unwrap();
    assert!(done.succeeded);
    assert_eq!(done.header.revision, before.next());
    assert_eq!(value(store, "/a").await, None);
    assert_eq!(value(store, "/b").await, Some(b"2".to_vec()));
}

pub async fn holds_each_condition(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    let on_lease = Transaction::default().and_put("/a", "1", Some(lease));
    let created = store
        .commit(on_lease.clone())
        .await
        .unwrap()
        .header
        .revision;
    let written = store.commit(on_lease).await.unwrap().header.revision;
    put(store, "/loose", "").await;
    let cases = [
        ("/a", Condition::Absent, false),
        ("/none", Condition::Absent, true),
        ("/a", Condition::Present, true),
        ("/none", Condition::Present, false),
        ("/a", Condition::ModRevision(written), true),
        ("/a", Condition::ModRevision(created), false),
        ("/none", Condition::ModRevision(written), false),
        ("/none", Condition::ModRevision(Revision(0)), true),
        ("/a", Condition::CreateRevision(created), true),
        ("/a", Condition::CreateRevision(written), false),
        ("/a", Condition::Lease(lease), true),
        ("/a", Condition::Lease(LeaseId(lease.0 + 1)), false),
        ("/loose", Condition::Lease(lease), false),
        ("/none", Condition::Lease(lease), false),
    ];
    for (key, condition, holds) in cases {
        let tried = Transaction::default().when(key, condition);
        let commit = store.commit(tried).await.unwrap();
        assert_eq!(commit.succeeded, holds, "{key} {condition:?}");
    }
}

pub async fn changes_nothing_without_a_change(rig: &impl Rig) {
    let store = rig.store();
    let before = put(store, "/a", "1").await;
    assert_eq!(delete(store, "/none").await, before);
    assert_eq!(put(store, "/a", "1").await, before.next());
}

pub async fn keeps_the_create_revision(rig: &impl Rig) {
    let store = rig.store();
    let created = put(store, "/a", "1").await;
    let written = put(store, "/a", "2").await;
    let entry = store.get("/a").await.unwrap().entry.unwrap();
    assert_eq!(
        (entry.create_revision, entry.mod_revision),
        (created, written)
    );
    delete(store, "/a").await;
    let again = put(store, "/a", "3").await;
    let entry = store.get("/a").await.unwrap().entry.unwrap();
    assert_eq!((entry.create_revision, entry.mod_revision), (again, again));
}

pub async fn refuses_what_is_too_large(rig: &impl Rig) {
    let store = rig.store();
    let many = (0..129).fold(Transaction::default(), |all, n| {
        all.and_delete(format!("/{n}"))
    });
    let large = Transaction::put("/large", vec![0; 1_700_000]);
    let huge = Transaction::put("/huge", vec![0; 4_000_000]);
    for wrong in [many, large, huge] {
        let refused = store.commit(wrong).await.unwrap_err();
        assert!(matches!(refused, StoreError::Rejected { .. }), "{refused}");
    }
}

pub async fn refuses_the_same_key_twice(rig: &impl Rig) {
    let twice = Transaction::put("/a", "1").and_put("/a", "2", None);
    let refused = rig.store().commit(twice).await.unwrap_err();
    assert!(matches!(refused, StoreError::Rejected { .. }), "{refused}");
}

pub async fn deletes_all_below_a_prefix_at_once(rig: &impl Rig) {
    let store = rig.store();
    for n in 0..300 {
        put(store, &format!("/a/{n}"), "").await;
    }
    put(store, "/ab", "").await;
    let before = put(store, "/b", "").await;
    let mut watch = store.watch("/a/", before).await.unwrap();
    let all = Transaction::default()
        .and_delete_prefix("/a/")
        .and_put("/b", "done", None);
    let refused = all.clone().when("/b", Condition::Absent);
    assert!(!store.commit(refused).await.unwrap().succeeded);
    let done = store.commit(all).await.unwrap();
    assert!(done.succeeded);
    assert_eq!(done.header.revision, before.next());
    let events = next_events(&mut watch).await;
    assert_eq!(events.len(), 300);
    assert!(events.iter().all(|event| event.revision() == before.next()));
    let left = store.list("/", None).await.unwrap().entries;
    let left: Vec<&str> = left.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(left, ["/ab", "/b"]);
}

pub async fn deletes_once_what_is_named_twice(rig: &impl Rig) {
    let store = rig.store();
    let before = put(store, "/a/1", "").await;
    let twice = Transaction::delete("/a/1").and_delete_prefix("/a/");
    let written = twice.clone().and_put("/a/1", "", None);
    let refused = store.commit(written).await.unwrap_err();
    assert!(matches!(refused, StoreError::Rejected { .. }), "{refused}");
    let mut watch = store.watch("/a/", before).await.unwrap();
    store.commit(twice).await.unwrap();
    assert_eq!(next_events(&mut watch).await.len(), 1);
}

pub async fn takes_values_of_a_megabyte(rig: &impl Rig) {
    let store = rig.store();
    let value = vec![b'v'; 1_500_000];
    for n in 0..8 {
        let large = Transaction::put(format!("/large/{n}"), value.clone());
        store.commit(large).await.unwrap();
    }
    let listing = store.list("/large/", None).await.unwrap();
    assert_eq!(listing.entries.len(), 8);
    assert!(
        listing
            .entries
            .iter()
            .all(|(_, entry)| *entry.value == *value)
    );
}

pub async fn without_space_deletes_and_renewals_work_and_nothing_is_written(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    let on_lease = Transaction::default().and_put("/a", "1", Some(lease));
    store.commit(on_lease).await.unwrap();
    rig.use_up_space().await;

    let put = Transaction::put("/b", "2");
    let with_delete = put.clone().and_delete("/a");
    let never = put.clone().when("/a", Condition::Absent);
    for refused in [put, with_delete, never] {
        let error = store.commit(refused).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        assert!(
            error.to_string().contains("etcdctl alarm disarm"),
            "{error}"
        );
    }
    let granted = store.grant(Duration::from_mins(1)).await;
    assert!(
        matches!(granted, Err(StoreError::NoSpace { .. })),
        "{granted:?}"
    );

    assert!(store.keep_alive(lease).await.unwrap());
    let delete = Transaction::delete("/a").when("/a", Condition::Lease(lease));
    assert!(store.commit(delete).await.unwrap().succeeded);
    assert_eq!(value(store, "/a").await, None);
}
