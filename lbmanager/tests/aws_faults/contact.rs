use std::time::Duration;

use tokio::time::sleep;

use crate::real::{A, B, C, D, E, REGION, Rig, config, set, withheld};

#[tokio::test]
async fn a_tree_that_is_written_one_by_one_causes_no_flapping() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--settle=4s"));
    rig.aws.create(REGION, "web").instances([A, B, C, D]);
    rig.run().await;
    for member in [A, B, C] {
        rig.put("web", &[member]).await;
        // Of the speed of hands.
        sleep(Duration::from_secs(1)).await;
    }
    rig.until_registered("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);
    assert_eq!(rig.aws.calls().writes().len(), 1);
}

#[tokio::test]
async fn a_foreign_load_balancer_is_not_emptied_until_somebody_says_so() {
    let rig = Rig::start().await;
    rig.aws.create(REGION, "web").instances([B, C, D]);
    rig.put("web", &[A]).await;
    let status = rig
        .until_status("web", "strangers are held", |status| {
            let why = status["withheld"][B]["why"].as_str().unwrap_or_default();
            why.contains("more than half")
        })
        .await;
    assert_eq!(withheld(&status), set(&[B, C, D]));
    let why = status["withheld"][B]["why"].as_str().unwrap();
    assert!(why.contains("is this the right load balancer?"), "{why}");
    rig.until_registered("web", &[A, B, C, D]).await;
    rig.release("web").await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn a_load_balancer_may_be_adopted() {
    let rig = Rig::start().await;
    rig.aws.create(REGION, "web").instances([B, C, D]);
    rig.etcd
        .put(&config("web"), "{\"adopt\": true}")
        .await
        .unwrap();
    rig.put("web", &[A]).await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn who_is_none_of_the_trees_business_stays_where_it_owns_only_its_own() {
    let rig = Rig::start().await;
    rig.aws.create(REGION, "web").instances([D]);
    rig.etcd
        .put(&config("web"), "{\"ownership\": \"own\"}")
        .await
        .unwrap();
    rig.put("web", &[A, B]).await;
    rig.until_registered("web", &[A, B, D]).await;
    rig.del("web", A).await;
    rig.until_registered("web", &[B, D]).await;
    rig.assert_kept("web", &[B, D]);
}

#[tokio::test]
async fn a_paused_load_balancer_is_left_alone() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.aws.create(REGION, "api");
    rig.etcd
        .put(&config("web"), "{\"paused\": true}")
        .await
        .unwrap();
    rig.until_status("web", "it is paused", |status| {
        crate::real::problems(status).contains("paused")
    })
    .await;
    rig.aws.clear_calls();
    rig.put("web", &[C]).await;
    rig.del("web", B).await;
    rig.put("api", &[C]).await;
    rig.until_serving("api", &[C]).await;
    rig.until_status("web", "B is held", |status| withheld(status) == set(&[B]))
        .await;
    assert!(rig.aws.calls().writes().to("web").is_empty());
    rig.etcd.put(&config("web"), "{}").await.unwrap();
    rig.until_registered("web", &[A, C]).await;
    rig.assert_kept("web", &[A, C]);
}

#[tokio::test]
async fn who_an_operator_drains_leaves_while_its_key_stays() {
    let rig = Rig::serving("web", &[A, B]).await;
    let key = crate::real::key("web", B);
    rig.etcd.put(&key, "{\"drain\": true}").await.unwrap();
    rig.until_registered("web", &[A]).await;
    rig.etcd.put(&key, "").await.unwrap();
    rig.until_serving("web", &[A, B]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn what_somebody_changes_by_hand_is_repaired() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--resync=2s"));
    rig.aws.create(REGION, "web");
    rig.run().await;
    rig.put("web", &[A, B, C]).await;
    rig.until_serving("web", &[A, B, C]).await;
    rig.lb("web").tamper_deregister(A);
    rig.until_registered("web", &[A, B, C]).await;
    rig.lb("web").tamper_register(E);
    rig.until_registered("web", &[A, B, C]).await;
    rig.lb("web").tamper_deregister(A);
    rig.lb("web").tamper_deregister(B);
    rig.lb("web").tamper_deregister(C);
    rig.until_serving("web", &[A, B, C]).await;
    // One that is deleted and made anew is filled again.
    rig.aws.create(REGION, "web");
    rig.until_serving("web", &[A, B, C]).await;
    let by_us = |event: &&testbed::aws::Event| {
        event.change == testbed::aws::Change::Deregistered && event.call.is_some()
    };
    let timeline = rig.lb("web").timeline();
    for member in [A, B, C] {
        assert_eq!(
            timeline.of(member).filter(by_us).count(),
            0,
            "{timeline:#?}"
        );
    }
}
