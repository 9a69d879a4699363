use std::time::Duration;

use testbed::aws::{Health, HealthCheck};
use tokio::time::Instant;

use crate::real::{A, B, C, REGION, Rig, single};

async fn rig() -> Rig {
    let rig = Rig::start().await;
    let check = HealthCheck {
        interval: 2,
        healthy_threshold: 2,
        ..HealthCheck::default()
    };
    let lb = rig.aws.create(REGION, "web").health_check(check);
    lb.health_delay(Duration::from_secs(1));
    put(&rig, A).await;
    rig.until_serving("web", &[A]).await;
    rig
}

async fn put(rig: &Rig, member: &str) {
    rig.etcd.put(&single("web", member), "").await.unwrap();
}

/// Checks that since then at least one was in service at any moment.
fn assert_no_gap(rig: &Rig, since: Instant) {
    let timeline = rig.lb("web").timeline();
    let least = timeline.min_in_service_between(since, Instant::now());
    assert!(least >= 1, "{timeline:#?}");
}

#[tokio::test]
async fn the_newest_takes_over_without_a_gap_and_a_rewrite_rolls_back() {
    let rig = rig().await;
    let begin = Instant::now();
    put(&rig, B).await;
    rig.until_registered("web", &[A, B]).await;
    rig.until_registered("web", &[B]).await;
    put(&rig, A).await;
    rig.until_registered("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    assert_no_gap(&rig, begin);

    // The one that serves goes, the other takes over.
    assert!(rig.etcd.del(&single("web", A)).await.unwrap());
    rig.until_registered("web", &[B]).await;
    assert_no_gap(&rig, begin);
}

#[tokio::test]
async fn one_that_is_never_healthy_is_taken_out_again_and_named() {
    let rig = rig().await;
    let begin = Instant::now();
    rig.lb("web").set_health(C, Health::Never);
    put(&rig, C).await;
    rig.until_registered("web", &[A, C]).await;
    rig.until_registered("web", &[A]).await;
    rig.until_status("web", "C has failed", |status| {
        status["failed"]["member"] == C && status["members"][A]["state"] == "serving"
    })
    .await;
    rig.assert_kept("web", &[A]);

    // Writing its key again is another try, now that it is well.
    rig.lb("web").set_health(C, Health::After(Duration::ZERO));
    put(&rig, C).await;
    rig.until_registered("web", &[C]).await;
    rig.until_status("web", "nobody has failed", |status| {
        status["failed"].is_null()
    })
    .await;
    assert_no_gap(&rig, begin);
}

#[tokio::test]
async fn a_publisher_that_writes_its_key_again_takes_nothing_over() {
    let rig = rig().await;
    let since = rig.mod_revision(&single("web", A)).await;
    put(&rig, B).await;
    rig.until_registered("web", &[B]).await;
    let value = format!("{{\"since\": {since}}}");
    rig.etcd.put(&single("web", A), &value).await.unwrap();
    let seen = rig.mod_revision(&single("web", A)).await;
    rig.until_status("web", "the write is seen", |status| {
        status["members"][A]["mod_revision"] == seen
    })
    .await;
    rig.assert_kept("web", &[B]);
    assert_eq!(rig.lb("web").registered().len(), 1);
}

#[tokio::test]
async fn a_member_that_aws_registers_for_longer_than_its_health_check_takes_serves() {
    let rig = Rig::start().await;
    let check = HealthCheck {
        interval: 5,
        healthy_threshold: 2,
        ..HealthCheck::default()
    };
    rig.aws.create(REGION, "web").health_check(check);
    put(&rig, A).await;
    rig.until_serving("web", &[A]).await;
    // AWS reports that registration is in progress all that time.
    rig.lb("web").health_delay(Duration::from_secs(20));
    let begin = Instant::now();
    put(&rig, B).await;
    rig.until_registered("web", &[A, B]).await;
    rig.until_registered("web", &[B]).await;
    rig.until_serving("web", &[B]).await;
    assert_no_gap(&rig, begin);
    rig.assert_kept("web", &[B]);
}
