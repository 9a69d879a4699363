use presence::model::Revision;
use presence::store::{Event, Store, WatchMessage};

use crate::{next, started};

#[tokio::test]
async fn a_key_that_is_no_text_is_escaped() {
    let (etcd, store) = started().await;
    let mut raw = etcd_client::Client::connect([etcd.endpoint()], None)
        .await
        .unwrap();
    raw.put(b"/a/\xff\n".to_vec(), "1", None).await.unwrap();
    raw.put("/a/ü", "2", None).await.unwrap();
    let listing = store.list("/a/", None).await.unwrap();
    let keys: Vec<_> = listing
        .entries
        .iter()
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(keys, ["/a/ü", r"/a/\xff\n"]);

    let mut watch = store.watch("/a/", Revision(1)).await.unwrap();
    let WatchMessage::Events { events, .. } = next(&mut watch).await.unwrap() else {
        panic!("expected events");
    };
    assert_eq!(events[0].key(), r"/a/\xff\n");
    assert!(matches!(&events[0], Event::Put { entry, .. } if &*entry.value == b"1"));
}
