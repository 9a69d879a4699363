use testbed::etcd::Etcd;
use testbed::proxy::{Mode, Proxy};

use crate::real::{A, B, C, D, E, REGION, Rig, key, set, withheld};

const REPLACED: &str = "the history of etcd was reset";

#[tokio::test]
async fn what_vanished_in_compacted_history_leaves_with_care() {
    let etcd = Etcd::start().await.unwrap();
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let mut rig = Rig::on(etcd, &proxy.url()).await;
    rig.run().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A, B, C, D]).await;
    rig.until_serving("web", &[A, B, C, D]).await;

    proxy.set(Mode::Refuse).await.unwrap();
    for member in [B, C, D] {
        rig.del("web", member).await;
    }
    rig.put("web", &[E]).await;
    rig.etcd.compact_now().await.unwrap();
    proxy.set(Mode::Forward).await.unwrap();

    rig.until_log("etcd compacted the history").await;
    let status = rig
        .until_status("web", "one of three is held", |status| {
            withheld(status).len() == 1 && !status["members"][E].is_null()
        })
        .await;
    let held = withheld(&status).into_iter().next().unwrap();
    let why = status["withheld"][&held]["why"].as_str().unwrap();
    let arithmetic = "3 of 4 leases expired, at most 2 members may leave (max_removals 0.5)";
    assert!(why.starts_with(arithmetic), "{why}");
    rig.until_registered("web", &[A, E, &held]).await;

    rig.release("web").await;
    rig.until_registered("web", &[A, E]).await;
    rig.assert_kept("web", &[A, E]);
}

#[tokio::test]
async fn a_restored_snapshot_takes_nobody_out_until_it_is_released() {
    let mut rig = Rig::serving("web", &[A]).await;
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("snapshot");
    rig.etcd.snapshot(&snapshot).await.unwrap();
    rig.put("web", &[B]).await;
    rig.until_serving("web", &[A, B]).await;

    rig.etcd.restore(&snapshot).await.unwrap();
    rig.until_log(REPLACED).await;
    rig.put("web", &[C]).await;
    rig.until_registered("web", &[A, B, C]).await;
    // An explicit delete after the reset is applied; B's key was lost with it.
    rig.del("web", C).await;
    rig.until_registered("web", &[A, B]).await;
    let held = |status: &serde_json::Value| withheld(status) == set(&[B]);
    rig.until_status("web", "B held", held).await;

    rig.kill().await;
    rig.aws.clear_calls();
    rig.run().await;
    rig.until_called("DescribeInstanceHealth").await;
    rig.until_status("web", "B held", held).await;
    assert_eq!(rig.lb("web").registered(), set(&[A, B]));

    rig.release("--all").await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn an_etcd_that_starts_empty_takes_nobody_out() {
    let mut rig = Rig::serving("web", &[A, B]).await;
    rig.aws.clear_calls();
    rig.etcd.wipe().await.unwrap();
    rig.until_log(REPLACED).await;
    let status = rig
        .until_status("web", "both are held", |status| {
            withheld(status) == set(&[A, B])
        })
        .await;
    let why = status["withheld"][A]["why"].as_str().unwrap();
    assert!(why.contains("lbmanager release --all"), "{why}");
    assert!(rig.aws.calls().writes().is_empty());

    // The tree is written anew; what is not in it then, leaves when told.
    rig.put("web", &[A]).await;
    rig.release("--all").await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn a_restored_history_that_has_grown_past_the_one_before_is_noticed() {
    let etcd = Etcd::start().await.unwrap();
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let mut rig = Rig::on(etcd, &proxy.url()).await;
    rig.run().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("snapshot");
    rig.etcd.snapshot(&snapshot).await.unwrap();
    rig.put("web", &[B, C]).await;
    rig.until_serving("web", &[A, B, C]).await;

    proxy.set(Mode::Refuse).await.unwrap();
    rig.etcd.restore(&snapshot).await.unwrap();
    let others = (0..200).map(|number| (format!("/other/{number}"), ""));
    rig.etcd.put_many(others).await.unwrap();
    for number in 0..20 {
        rig.etcd.put("/other", &number.to_string()).await.unwrap();
    }
    proxy.set(Mode::Forward).await.unwrap();
    rig.until_log(REPLACED).await;
    rig.until_status("web", "B and C are held", |status| {
        withheld(status) == set(&[B, C])
    })
    .await;
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn an_etcd_that_was_emptied_while_the_manager_was_away_takes_nobody_out() {
    let mut rig = Rig::serving("web", &[A, B]).await;
    rig.stop().await;
    rig.etcd.wipe().await.unwrap();
    // Many revisions later than the last that the manager has seen.
    for number in 0..20 {
        rig.etcd.put("/other", &number.to_string()).await.unwrap();
    }
    rig.put("web", &[A]).await;
    rig.run().await;
    rig.until_log(REPLACED).await;
    rig.until_status("web", "B is held", |status| withheld(status) == set(&[B]))
        .await;
    rig.assert_kept("web", &[A, B]);
}

#[tokio::test]
async fn what_was_deleted_while_the_manager_was_away_leaves_at_once() {
    let mut rig = Rig::serving("web", &[A, B, C, D]).await;
    rig.stop().await;
    for member in [B, C, D] {
        assert!(rig.etcd.del(&key("web", member)).await.unwrap());
    }
    rig.run().await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}
