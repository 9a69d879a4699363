use presence::model::Revision;
use presence::store::{Listing, Store, StoreError, Transaction};

use crate::{Rig, delete, put};

fn keys(listing: &Listing) -> Vec<&str> {
    listing
        .entries
        .iter()
        .map(|(key, _)| key.as_str())
        .collect()
}

pub async fn lists_below_a_prefix_and_nothing_beside_it(rig: &impl Rig) {
    let store = rig.store();
    for key in ["/a/2", "/a/1", "/ab", "/a", "/a0", "/b/1", "/a/1/x"] {
        put(store, key, key).await;
    }
    let listing = store.list("/a/", None).await.unwrap();
    assert_eq!(keys(&listing), ["/a/1", "/a/1/x", "/a/2"]);
    assert!(
        listing
            .entries
            .iter()
            .all(|(key, entry)| *entry.value == *key.as_bytes())
    );
    let nothing = store.list("/c/", None).await.unwrap();
    assert_eq!(nothing.header, listing.header);
    assert!(nothing.entries.is_empty());
}

pub async fn lists_more_than_a_page_at_one_revision(rig: &impl Rig) {
    let store = rig.store();
    let names: Vec<_> = (0..2_500).map(|n| format!("/many/{n:06}")).collect();
    for some in names.chunks(100) {
        let all = some.iter().fold(Transaction::default(), |all, key| {
            all.and_put(key.as_str(), vec![b'x'; 4_000], None)
        });
        store.commit(all).await.unwrap();
    }
    let at = put(store, "/other", "").await;
    let listing = store.list("/many/", None).await.unwrap();
    assert_eq!(listing.header.revision, at);
    assert_eq!(keys(&listing), names);
}

pub async fn lists_at_an_old_revision(rig: &impl Rig) {
    let store = rig.store();
    put(store, "/a/1", "old").await;
    let at = put(store, "/a/2", "").await;
    put(store, "/a/1", "new").await;
    delete(store, "/a/2").await;
    let listing = store.list("/a/", Some(at)).await.unwrap();
    assert_eq!(listing.header.revision, at);
    assert_eq!(keys(&listing), ["/a/1", "/a/2"]);
    assert_eq!(&*listing.entries[0].1.value, b"old");
    rig.compact(at).await;
    assert_eq!(
        store.list("/a/", Some(at)).await.unwrap().entries,
        listing.entries
    );
}

pub async fn refuses_what_is_compacted(rig: &impl Rig) {
    let store = rig.store();
    let at = put(store, "/a/1", "1").await;
    let now = put(store, "/a/1", "2").await;
    rig.compact(now).await;
    let refused = store.list("/a/", Some(at)).await;
    assert_eq!(refused.unwrap_err(), StoreError::Compacted);
    assert!(store.list("/a/", None).await.is_ok());
}

pub async fn refuses_what_is_in_the_future(rig: &impl Rig) {
    let refused = rig.store().list("/a/", Some(Revision(1_000))).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StoreError::Rejected { .. }), "{refused}");
}

pub async fn gets_a_key_and_the_header_in_any_case(rig: &impl Rig) {
    let store = rig.store();
    let at = put(store, "/a/1", "1").await;
    let now = put(store, "/b", "").await;
    let fetched = store.get("/a/1").await.unwrap();
    let entry = fetched.entry.unwrap();
    assert_eq!(
        (&*entry.value, entry.mod_revision, entry.lease),
        (&b"1"[..], at, None)
    );
    assert_eq!(fetched.header.revision, now);
    let absent = store.get("/a/").await.unwrap();
    assert_eq!(absent.entry, None);
    assert_eq!(absent.header, fetched.header);
}
