use std::time::{Duration, Instant};

use presence::store::Store;
use presence::store::etcd::{EtcdConfig, EtcdStore};
use testbed::etcd::{Etcd, EtcdCluster};
use testbed::wait;

use crate::{DEADLINE, connected, next, put, put_in_the_end};

async fn cluster() -> (EtcdCluster, EtcdStore) {
    let cluster = EtcdCluster::start(3).await.unwrap();
    let store = connected(EtcdConfig::plain(cluster.endpoints().to_vec())).await;
    (cluster, store)
}

#[tokio::test]
async fn an_endpoint_that_is_down_costs_nothing() {
    let etcd = Etcd::start().await.unwrap();
    let nobody = format!("127.0.0.1:{}", testbed::ports::free().unwrap());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    for _ in 0..5 {
        let endpoints = [nobody.clone(), silent.clone(), etcd.endpoint()];
        let store = connected(EtcdConfig::plain(endpoints)).await;
        let begin = Instant::now();
        put(&store, "/a").await.unwrap();
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test]
async fn goes_on_whichever_member_is_killed() {
    let (mut cluster, store) = cluster().await;
    let mut watched = put(&store, "/a").await.unwrap();
    for member in 0..3 {
        cluster.kill(member).await.unwrap();
        cluster.leader().await.unwrap();
        let written = put_in_the_end(&store, "/a").await;
        let resumed = wait::until("a watch", DEADLINE, || store.watch("/a", watched)).await;
        assert!(next(&mut resumed.unwrap()).await.is_ok());
        watched = written;
        cluster.restart(member).await.unwrap();
    }
}

#[tokio::test]
async fn goes_on_whichever_member_falls_silent() {
    let (mut cluster, store) = cluster().await;
    for member in 0..3 {
        cluster.pause(member).unwrap();
        cluster.leader().await.unwrap();
        put_in_the_end(&store, "/a").await;
        let begin = Instant::now();
        put(&store, "/a").await.unwrap();
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
        cluster.resume(member).unwrap();
    }
}

#[tokio::test]
async fn leaves_a_member_that_has_lost_the_others() {
    let (mut cluster, store) = cluster().await;
    put(&store, "/a").await.unwrap();
    let alone = EtcdConfig::plain([cluster.member(0).endpoint()]);
    let alone = connected(alone).await;
    alone.get("/a").await.unwrap();
    for member in [1, 2] {
        cluster.kill(member).await.unwrap();
    }
    let lost = wait::until("no leader", DEADLINE, || async {
        match store.get("/a").await {
            Err(error) if error.to_string().contains("no leader") => Ok(()),
            other => Err(other),
        }
    });
    lost.await.unwrap();
    cluster.restart_all().await.unwrap();
    put_in_the_end(&alone, "/a").await;
    put_in_the_end(&store, "/a").await;
}
