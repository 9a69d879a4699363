use std::time::{Duration, Instant};

use presence::store::Store;
use testbed::wait;

use crate::{DEADLINE, next, put, put_in_the_end, started, store_at, unavailable};

/// Keep-alive's 10 s and 3 s, and some for a slow machine.
const SILENCE: Duration = Duration::from_secs(16);

#[tokio::test]
async fn goes_on_after_etcd_was_killed_and_restarted() {
    let (mut etcd, store) = started().await;
    let before = put(&store, "/a/1").await.unwrap();
    let mut watch = store.watch("/a/", before).await.unwrap();
    etcd.kill().await.unwrap();
    unavailable(next(&mut watch).await, "does not answer");
    unavailable(put(&store, "/a/2").await, &etcd.endpoint());
    unavailable(
        store.watch("/a/", before).await.map(drop),
        "Connection refused",
    );

    etcd.restart().await.unwrap();
    let after = put_in_the_end(&store, "/a/2").await;
    assert_eq!(after, before.next());
    let mut watch = store.watch("/a/", before).await.unwrap();
    assert!(next(&mut watch).await.is_ok());
}

#[tokio::test]
async fn notices_an_idle_connection_that_etcd_left_without_an_error() {
    let (mut etcd, store) = started().await;
    put(&store, "/a/1").await.unwrap();
    etcd.restart().await.unwrap();
    put(&store, "/a/2").await.unwrap();
}

#[tokio::test]
async fn times_out_while_etcd_is_stopped_and_goes_on_after_it() {
    let (mut etcd, store) = started().await;
    let before = put(&store, "/a/1").await.unwrap();
    let mut watch = store.watch("/a/", before).await.unwrap();
    etcd.pause().unwrap();
    let begin = Instant::now();
    let (ended, listed) = tokio::join!(next(&mut watch), async {
        let listed = store.list("/a/", None).await;
        (listed, begin.elapsed())
    });
    unavailable(ended, "broken pipe");
    assert!(begin.elapsed() <= SILENCE, "{:?}", begin.elapsed());
    unavailable(listed.0, "no answer within 5s");
    assert!(listed.1 < Duration::from_secs(7), "{:?}", listed.1);

    unavailable(store.get("/a/1").await, "no answer within 2s");
    etcd.resume().unwrap();
    put_in_the_end(&store, "/a/2").await;
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_named_with_the_reason() {
    let port = testbed::ports::free().unwrap();
    let store = store_at(&format!("127.0.0.1:{port}")).await;
    for _ in 0..2 {
        let error = store.list("/a/", None).await;
        unavailable(error, &format!("http://127.0.0.1:{port} does not answer: "));
        unavailable(store.get("/a").await, "Connection refused");
    }
}

#[tokio::test]
async fn an_etcd_that_starts_later_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let builder = testbed::etcd::Etcd::builder().data_dir(directory.path().join("data"));
    let mut etcd = builder.start().await.unwrap();
    etcd.stop().await.unwrap();
    let store = store_at(&etcd.endpoint()).await;
    unavailable(store.get("/a").await, "Connection refused");
    etcd.restart().await.unwrap();
    put_in_the_end(&store, "/a").await;
}

#[tokio::test]
async fn many_who_wait_for_an_etcd_that_is_silent_wait_only_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = store_at(&listener.local_addr().unwrap().to_string()).await;
    let begin = Instant::now();
    let calls = (0..20).map(|_| store.get("/a"));
    for answer in futures::future::join_all(calls).await {
        unavailable(answer, "no answer within 2s");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_lease_outlives_a_restart_of_etcd() {
    let (mut etcd, store) = started().await;
    let lease = store.grant(Duration::from_secs(20)).await.unwrap();
    etcd.kill().await.unwrap();
    unavailable(store.keep_alive(lease).await, &etcd.endpoint());
    etcd.restart().await.unwrap();
    let kept = wait::until("a renewal", DEADLINE, || store.keep_alive(lease));
    assert!(kept.await.unwrap());
}
