//! What a status says is what the balancer does.

use std::time::Duration;

use testbed::aws::{Health, HealthCheck};
use tokio::time::Instant;

use crate::real::{A, B, C, REGION, Rig, in_state, key, set};
use crate::world::command;

const DRAIN: Duration = Duration::from_secs(6);

async fn rig() -> Rig {
    let mut rig = Rig::idle().await;
    let lb = rig.aws.create(REGION, "web");
    lb.draining(DRAIN);
    rig.set(|launch| launch.arg("--resync=2s"));
    rig.run().await;
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    rig
}

#[tokio::test]
async fn draining_shows_as_long_as_the_balancer_drains() {
    let rig = rig().await;
    rig.del("web", B).await;
    rig.until_status("web", "B is draining", |status| {
        in_state(status, "draining") == set(&[B])
    })
    .await;
    rig.until_status("web", "B is out", |status| {
        let state = &status["members"][B]["state"];
        state.is_null() || state == "absent"
    })
    .await;
    let left = rig.lb("web").leaving();
    assert!(left.is_empty(), "{left:?} drain and the status says absent");
}

#[tokio::test]
async fn rm_that_waits_returns_when_aws_has_finished_draining() {
    let rig = rig().await;
    let begin = Instant::now();
    let member = format!("elb/{REGION}/web/multiple/{B}");
    let ended = command(&rig, &["rm", "--wait=30s", &member]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(rig.lb("web").leaving().is_empty());
    // AWS cannot have finished earlier, however slow this machine is.
    assert!(begin.elapsed() >= DRAIN, "{:?}", begin.elapsed());
    let timeline = rig.lb("web").timeline();
    let drained = |event: &testbed::aws::Event| event.change == testbed::aws::Change::Drained;
    assert!(timeline.of(B).any(drained), "{timeline:#?}");
}

#[tokio::test]
async fn a_key_written_again_serves_with_its_new_revision_only_once_the_balancer_was_asked() {
    let rig = rig().await;
    rig.lb("web").set_health(A, Health::Never);
    rig.etcd.put(&key("web", A), "").await.unwrap();
    let revision = rig.mod_revision(&key("web", A)).await;
    let status = rig
        .until_status("web", "the write is seen", |status| {
            status["members"][A]["mod_revision"] == revision
        })
        .await;
    assert_ne!(status["members"][A]["state"], "serving", "{status}");
    rig.lb("web").set_health(A, Health::After(Duration::ZERO));
    rig.until_status("web", "A serves", |status| {
        status["members"][A]["state"] == "serving"
            && status["members"][A]["mod_revision"] == revision
    })
    .await;
}

#[tokio::test]
async fn a_member_that_becomes_unhealthy_is_reported_within_the_resyncs() {
    let rig = rig().await;
    rig.lb("web").set_health(A, Health::Never);
    rig.until_status("web", "A is out of service", |status| {
        in_state(status, "out-of-service") == set(&[A])
    })
    .await;
    rig.assert_kept("web", &[A, B]);
}

#[tokio::test]
async fn set_that_waits_returns_although_aws_needs_longer_than_its_health_check() {
    let rig = rig().await;
    let check = HealthCheck {
        interval: 1,
        healthy_threshold: 1,
        ..HealthCheck::default()
    };
    let lb = rig.lb("web").health_check(check);
    lb.health_delay(Duration::from_secs(8));
    let member = format!("elb/{REGION}/web/multiple/{C}");
    let ended = command(&rig, &["set", "--wait=35s", &member]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}\n{}", rig.log());
    assert!(rig.lb("web").in_service().contains(C));
}

#[tokio::test]
async fn with_one_member_deregistered_by_hand_another_ones_delete_never_empties_the_balancer() {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    // No resync comes to the rescue.
    rig.set(|launch| launch.arg("--resync=1h"));
    rig.run().await;
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    rig.lb("web").tamper_deregister(A);
    let begin = Instant::now();
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    let timeline = rig.lb("web").timeline();
    let least = timeline.min_in_service_between(begin, Instant::now());
    assert_eq!(least, 1, "{timeline:#?}");
}
