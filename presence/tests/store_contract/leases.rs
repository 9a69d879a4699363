use std::time::Duration;

use presence::model::{LeaseId, Revision};
use presence::store::{Event, Store, StoreError, Transaction};

use crate::{Rig, next_events};

/// The shortest that etcd grants by default.
const SHORT: Duration = Duration::from_secs(2);

async fn put_on<S: Store>(store: &S, keys: &[&str], lease: LeaseId) -> Revision {
    let all = keys.iter().fold(Transaction::default(), |all, key| {
        all.and_put(*key, "", Some(lease))
    });
    store.commit(all).await.unwrap().header.revision
}

pub async fn lives_while_it_is_kept_alive_and_ends_by_itself(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(SHORT).await.unwrap();
    assert!(store.keep_alive(lease).await.unwrap());
    assert!(store.lease_exists(lease).await.unwrap());
    let at = put_on(store, &["/l/1"], lease).await;
    let mut watch = store.watch("/l/", at).await.unwrap();
    assert_eq!(next_events(&mut watch).await.len(), 1);
    assert!(!store.lease_exists(lease).await.unwrap());
    assert!(!store.keep_alive(lease).await.unwrap());
}

pub async fn takes_all_its_keys_along_in_one_revision(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(SHORT).await.unwrap();
    let at = put_on(store, &["/l/1", "/l/2", "/l/3"], lease).await;
    let mut watch = store.watch("/l/", at).await.unwrap();
    let events = next_events(&mut watch).await;
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.revision() == at.next()));
    let previous = |event: &Event| match event {
        Event::Delete { previous, .. } => previous.as_ref().and_then(|entry| entry.lease),
        Event::Put { .. } => None,
    };
    assert!(events.iter().all(|event| previous(event) == Some(lease)));
}

pub async fn tells_how_long_it_lives_if_nobody_renews_it(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(Duration::from_mins(4)).await.unwrap();
    let left = store.time_left(lease).await.unwrap().unwrap();
    let expected = Duration::from_secs(230)..=Duration::from_mins(4);
    assert!(expected.contains(&left), "{left:?}");
    store.revoke(lease).await.unwrap();
    assert_eq!(store.time_left(lease).await.unwrap(), None);
}

pub async fn tells_the_keys_that_are_on_it(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    let other = store.grant(Duration::from_mins(1)).await.unwrap();
    assert_eq!(store.keys_on(lease).await.unwrap(), Some(Vec::new()));
    put_on(store, &["/l/1", "/l/2", "/l/3"], lease).await;
    put_on(store, &["/l/2"], other).await;
    let mut keys = store.keys_on(lease).await.unwrap().unwrap();
    keys.sort();
    assert_eq!(keys, ["/l/1", "/l/3"]);
    store.revoke(lease).await.unwrap();
    assert_eq!(store.keys_on(lease).await.unwrap(), None);
}

pub async fn revokes_once_and_again(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    let at = put_on(store, &["/l/1", "/l/2"], lease).await;
    store.revoke(lease).await.unwrap();
    store.revoke(lease).await.unwrap();
    let listing = store.list("/l/", None).await.unwrap();
    assert!(listing.entries.is_empty());
    assert_eq!(listing.header.revision, at.next());
    assert!(!store.lease_exists(lease).await.unwrap());
}

pub async fn refuses_a_write_on_a_lease_that_is_gone(rig: &impl Rig) {
    let store = rig.store();
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    store.revoke(lease).await.unwrap();
    let put = Transaction::put("/l/1", "").and_put("/l/2", "", Some(lease));
    let refused = store.commit(put).await.unwrap_err();
    assert_eq!(refused, StoreError::LeaseGone(lease));
    assert!(store.list("/l/", None).await.unwrap().entries.is_empty());
}
