//! `watch` while etcd is away.

use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::http;
use testbed::process::Running;
use testbed::proxy::{Mode, Proxy};
use testbed::wait;
use testbed::web::{Act, Web};
use tokio::time::sleep;

use crate::rig::{Rig, SOON, key, service_monitor, terminate};

/// Longer than the lease.
const AWAY: Duration = Duration::from_secs(12);

async fn watched() -> (Rig, Web, Running) {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let watch = rig.watch("web-1", &web.url(), &[]).await;
    rig.until("web-1", "up").await;
    (rig, web, watch)
}

#[tokio::test]
async fn etcd_frozen_for_longer_than_the_lease_brings_the_key_back() {
    let (mut rig, _web, mut watch) = watched().await;
    let lease = rig.etcd.leases().await.unwrap();
    let cpu = watch.cpu_time().unwrap();
    rig.etcd.pause().unwrap();
    // The fault itself; nothing is awaited.
    sleep(AWAY).await;
    assert!(!watch.has_ended());
    let spent = watch.cpu_time().unwrap().saturating_sub(cpu);
    assert!(spent < AWAY / 10, "{spent:?} of CPU in {AWAY:?}");
    rig.etcd.resume().unwrap();
    wait::until("another lease", SOON, || async {
        let leases = rig.etcd.leases().await.unwrap();
        if leases.len() == 1 && leases != lease {
            Ok(())
        } else {
            Err(leases)
        }
    })
    .await
    .unwrap();
    rig.until("web-1", "up").await;
    terminate(&mut watch).await;
    assert_eq!(rig.value("web-1").await, None);
}

#[tokio::test]
async fn etcd_killed_for_a_while_or_started_empty_brings_the_key_back() {
    let (mut rig, web, mut watch) = watched().await;
    rig.etcd.kill().await.unwrap();
    web.set(Act::Answer(503, String::new()));
    let down = |line: &str| line.contains("the service is down");
    watch.wait_for_line(down, SOON).await.unwrap();
    rig.etcd.restart().await.unwrap();
    rig.until("web-1", "down").await;
    rig.etcd.wipe().await.unwrap();
    rig.until("web-1", "down").await;
    web.set(Act::Answer(200, String::new()));
    rig.until("web-1", "up").await;
    terminate(&mut watch).await;
    assert_eq!(rig.value("web-1").await, None);
}

#[tokio::test]
#[ignore = "soak"]
async fn etcd_away_for_a_minute_is_waited_for() {
    let (mut rig, _web, mut watch) = watched().await;
    for _ in 0..testbed::soak::rounds().unwrap() {
        rig.etcd.kill().await.unwrap();
        sleep(Duration::from_mins(1)).await;
        assert!(!watch.has_ended());
        rig.etcd.restart().await.unwrap();
        rig.until("web-1", "up").await;
    }
    terminate(&mut watch).await;
}

#[tokio::test]
async fn a_watch_that_starts_before_etcd_waits_for_it() {
    let mut rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    rig.etcd.stop().await.unwrap();
    let address = format!("127.0.0.1:{}", testbed::ports::free().unwrap());
    let watch = rig
        .watch("web-1", &web.url(), &["--listen", &address])
        .await;
    let away = |line: &str| line.contains("keys cannot be published: etcd at");
    watch.wait_for_line(away, SOON).await.unwrap();
    let ready = http::get(&format!("http://{address}/readyz"))
        .await
        .unwrap();
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("not published: etcd at"), "{ready:?}");
    rig.etcd.restart().await.unwrap();
    rig.until("web-1", "up").await;
}

#[tokio::test]
async fn it_ends_in_time_also_where_etcd_is_silent() {
    let etcd = Etcd::start().await.unwrap();
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let web = Web::start().await.unwrap();
    let rig = Rig { etcd };
    let url = web.url();
    let args = [
        "watch",
        "--label=web",
        "--service-id=web-1",
        "--host-ip=10.0.0.7",
    ];
    let program = service_monitor(&proxy.url(), &args).args(["--monitor-url", &url]);
    let mut watch = program.start().await.unwrap();
    rig.until("web-1", "up").await;
    proxy.set(Mode::BlackHole).await.unwrap();
    terminate(&mut watch).await;
    // The lease ends by itself.
    let gone = || async { rig.etcd.get(&key("web-1")).await.unwrap().is_none() };
    wait::until_true("the key to go", SOON, gone).await.unwrap();
}
