use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::proxy::{Mode, Proxy};
use tokio::time::sleep;

use crate::real::{A, B, C, D, Rig, key};

const AWAY: &str = "cannot be followed";

#[tokio::test]
async fn etcd_stopped_for_30_s_changes_nothing_and_what_comes_after_is_done() {
    let mut rig = Rig::serving("web", &[A, B]).await;
    rig.aws.clear_calls();
    let before = rig.cpu();
    rig.etcd.pause().unwrap();
    // The fault itself; nothing is awaited.
    let frozen = Duration::from_secs(30);
    sleep(frozen).await;
    rig.assert_idle(before, frozen);
    assert!(rig.log().contains(AWAY), "{}", rig.log());
    assert!(rig.aws.calls().writes().is_empty());
    rig.etcd.resume().unwrap();
    rig.put("web", &[C]).await;
    rig.until_registered("web", &[A, B, C]).await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A, C]).await;
    rig.assert_kept("web", &[A, C]);
}

#[tokio::test]
async fn etcd_killed_and_started_again_changes_nothing() {
    let mut rig = Rig::serving("web", &[A, B]).await;
    rig.aws.clear_calls();
    for member in [C, D] {
        rig.etcd.kill().await.unwrap();
        rig.etcd.restart().await.unwrap();
        rig.put("web", &[member]).await;
    }
    rig.until_registered("web", &[A, B, C, D]).await;
    rig.assert_kept("web", &[A, B, C, D]);
    assert!(rig.status("web").await["withheld"].is_null());
}

#[tokio::test]
async fn etcd_down_for_20_s_is_waited_for_without_a_hot_loop() {
    let rig = Rig::serving("web", &[A, B]).await;
    etcd_down(rig, Duration::from_secs(20)).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn etcd_down_for_2_min_is_waited_for_without_a_hot_loop() {
    let rig = Rig::serving("web", &[A, B]).await;
    etcd_down(rig, Duration::from_mins(2)).await;
}

async fn etcd_down(mut rig: Rig, time: Duration) {
    rig.aws.clear_calls();
    let (cpu, lines) = (rig.cpu(), rig.manager().lines().len());
    rig.etcd.kill().await.unwrap();
    sleep(time).await;
    rig.assert_idle(cpu, time);
    let said = rig.manager().lines().len() - lines;
    assert!(said > 2, "an outage is told");
    assert!(said < 60, "{said} lines in {time:?}: {}", rig.log());
    assert!(rig.aws.calls().writes().is_empty());
    rig.etcd.restart().await.unwrap();
    rig.put("web", &[C]).await;
    rig.until_registered("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn a_manager_that_starts_before_etcd_waits_and_touches_nothing() {
    let mut rig = Rig::idle().await;
    rig.aws.create(super::real::REGION, "web").instances([A, B]);
    rig.put("web", &[A, B]).await;
    rig.etcd.stop().await.unwrap();
    rig.run().await;
    rig.until_log("waiting for etcd, nothing is changed").await;
    assert!(rig.aws.calls().is_empty(), "{:?}", rig.aws.calls());
    rig.etcd.restart().await.unwrap();
    rig.put("web", &[C]).await;
    rig.until_registered("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_noticed_and_made_anew() {
    let etcd = Etcd::start().await.unwrap();
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let mut rig = Rig::on(etcd, &proxy.url()).await;
    rig.run().await;
    rig.aws.create(super::real::REGION, "web");
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    proxy.set(Mode::BlackHole).await.unwrap();
    rig.put("web", &[C]).await;
    assert!(rig.etcd.del(&key("web", B)).await.unwrap());
    rig.until_log(AWAY).await;
    assert_eq!(rig.lb("web").registered(), super::real::set(&[A, B]));
    proxy.set(Mode::Forward).await.unwrap();
    rig.until_registered("web", &[A, C]).await;
    rig.assert_kept("web", &[A, C]);
}
