use std::time::Duration;

use testbed::aws::{Effect, Fault, Health, HealthCheck, LbHandle};
use tokio::time::Instant;

use crate::real::{A, B, C, Launch, REGION, Rig, in_state, key, withheld};

const REGISTER: &str = "RegisterInstancesWithLoadBalancer";
const DEREGISTER: &str = "DeregisterInstancesFromLoadBalancer";
const DESCRIBE: &str = "DescribeLoadBalancers";
const HEALTH: &str = "DescribeInstanceHealth";

/// Checks that since then at least one was in service at any moment.
fn assert_no_gap(rig: &Rig, since: Instant) {
    let timeline = rig.lb("web").timeline();
    let least = timeline.min_in_service_between(since, Instant::now());
    assert!(least >= 1, "{timeline:#?}");
}

fn quick(lb: &LbHandle) {
    let check = HealthCheck {
        interval: 1,
        healthy_threshold: 2,
        ..HealthCheck::default()
    };
    lb.clone().health_check(check);
}

#[tokio::test]
async fn one_deregistered_by_hand_is_back_before_another_that_is_deleted_leaves() {
    let rig = Rig::serving("web", &[A, B]).await;
    let begin = Instant::now();
    rig.lb("web").tamper_deregister(A);
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    assert_no_gap(&rig, begin);
}

#[tokio::test]
async fn a_delete_that_cannot_be_described_is_retried_and_the_status_shows_why() {
    let rig = Rig::serving("web", &[A, B]).await;
    let fault = Fault::new(Effect::InternalFailure).operation(DESCRIBE);
    let fault = rig.aws.faults().add(fault);
    rig.del("web", B).await;
    rig.until_status("web", "the failure is told", |status| {
        let what = status["error"]["what"].as_str().unwrap_or_default();
        what.contains("InternalFailure")
    })
    .await;
    rig.assert_kept("web", &[A, B]);
    rig.aws.faults().remove(fault);
    rig.until_registered("web", &[A]).await;
    rig.until_status("web", "the failure is over", |status| {
        status["error"].is_null()
    })
    .await;
}

#[tokio::test]
async fn a_member_without_health_counts_as_in_service_after_its_time() {
    let rig = Rig::start().await;
    let lb = rig.aws.create(REGION, "web").without_health([A]);
    quick(&lb);
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    let describes = rig.aws.calls().of(DESCRIBE).len();
    let health = rig.aws.calls().of(HEALTH).len();
    assert!(describes <= 1 + 3 * health, "{describes} and {health}");
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn a_key_that_is_written_again_serves_only_once_that_was_observed() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.lb("web").set_health(A, Health::Never);
    rig.etcd
        .put(&key("web", A), r#"{"weight": 2}"#)
        .await
        .unwrap();
    let revision = rig.mod_revision(&key("web", A)).await;
    let status = rig
        .until_status("web", "the new revision", |status| {
            status["members"][A]["mod_revision"] == revision
        })
        .await;
    assert!(!in_state(&status, "serving").contains(A), "{status:#}");
    rig.lb("web").set_health(A, Health::After(Duration::ZERO));
    rig.until_serving("web", &[A, B]).await;
}

#[tokio::test]
async fn a_member_that_fails_its_checks_does_not_serve_for_ever() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--resync=1s"));
    rig.run().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    rig.lb("web").set_health(A, Health::Never);
    rig.until_serving("web", &[B]).await;
    rig.assert_kept("web", &[A, B]);
}

#[tokio::test]
async fn rm_waits_until_the_member_has_drained() {
    let rig = Rig::serving("web", &[A, B]).await;
    rig.lb("web").draining(Duration::from_secs(8));
    let etcd = format!("--endpoints={}", rig.etcd.endpoint());
    let member = format!("elb/{REGION}/web/multiple/{A}");
    let rm = ["rm", &member, "--wait=60s", &etcd];
    let removing = async { Launch::bare(&rm).ended().await };
    let draining = rig.until_status("web", "A drains", |status| {
        in_state(status, "draining").contains(A)
    });
    let (removed, _) = tokio::join!(removing, draining);
    removed.said(0, &[]);
    assert!(rig.lb("web").leaving().is_empty(), "it still drains");
    let status = rig.status("web").await;
    assert!(status["members"][A].is_null(), "{status:#}");
    let outs = rig.aws.calls().of(DEREGISTER);
    assert_eq!(outs.len(), 1, "{outs:#?}");
}

#[tokio::test]
async fn a_rejected_deregistration_is_not_reported_as_done() {
    let rig = Rig::start().await;
    rig.aws.create(REGION, "web");
    for member in [A, B] {
        rig.aws.instances().add(member);
    }
    rig.aws.instances().strict(true);
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    rig.aws.instances().remove(A);
    rig.del("web", A).await;
    let status = rig
        .until_status("web", "the rejection", |status| {
            let why = status["withheld"][A]["why"].as_str().unwrap_or_default();
            why.contains("InvalidInstance")
        })
        .await;
    assert!(in_state(&status, "serving").contains(A), "{status:#}");
    let changes = status["changes"].as_array().unwrap();
    let done = |change: &&serde_json::Value| change["action"] == "deregister";
    assert_eq!(changes.iter().find(done), None);
    // AWS drops it in the end.
    rig.lb("web").tamper_deregister(A);
    let status = rig
        .until_status("web", "A is dropped", |status| {
            status["members"][A].is_null() && withheld(status).is_empty()
        })
        .await;
    let changes = status["changes"].as_array().unwrap();
    assert_eq!(changes.iter().find(done), None);
    assert!(!rig.log().contains("deregistered i-"), "{}", rig.log());
}

#[tokio::test]
async fn a_delete_precedes_the_polls_of_many() {
    const MANY: usize = 600;
    let mut rig = Rig::idle().await;
    let names: Vec<String> = (0..MANY).map(|number| format!("lb{number}")).collect();
    for name in &names {
        let lb = rig.aws.create(REGION, name).instances([C]);
        lb.set_health(C, Health::Never);
    }
    rig.aws.create(REGION, "web");
    rig.put("web", &[A, B]).await;
    rig.run().await;
    rig.until_serving("web", &[A, B]).await;
    let keys = names.iter().map(|name| (key(name, C), ""));
    rig.etcd.put_many(keys).await.unwrap();
    let polls = |aws: &testbed::aws::Aws| aws.calls().of(HEALTH).len();
    rig.aws
        .wait_until("they poll", |aws| polls(aws) > 50, crate::real::SOON)
        .await
        .unwrap();
    let before = polls(&rig.aws);
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    let during = polls(&rig.aws) - before;
    assert!(during < MANY / 3, "{during} polls went first");
    assert!(rig.aws.calls().of(REGISTER).to(&names[0]).is_empty());
}
