use std::time::Duration;

use testbed::aws::{Change, Effect, Fault, HealthCheck};

use crate::real::{A, B, C, D, REGION, Rig, in_state, key};

const DEREGISTER: &str = "DeregisterInstancesFromLoadBalancer";

/// Members of this load balancer are in service within 4 s.
async fn serving(members: &[&str]) -> Rig {
    let rig = Rig::start().await;
    let check = HealthCheck {
        interval: 2,
        healthy_threshold: 2,
        ..HealthCheck::default()
    };
    rig.aws.create(REGION, "web").health_check(check);
    rig.put("web", members).await;
    rig.until_serving("web", members).await;
    rig
}

async fn swap(rig: &Rig, old: &str, new: &str) {
    let (old, new) = (key("web", old), key("web", new));
    let swap = format!("mod(\"{old}\") > \"0\"\n\nput {new} \"\"\ndel {old}\n\n\n\n");
    let said = rig.etcd.txn(&swap).await.unwrap();
    assert!(said.starts_with("SUCCESS"), "{said}");
}

#[tokio::test]
async fn where_health_may_not_be_read_the_time_of_the_health_check_is_waited() {
    let rig = serving(&[A]).await;
    let denied = Fault::new(Effect::AccessDenied).operation("DescribeInstanceHealth");
    rig.aws.faults().add(denied);
    swap(&rig, A, B).await;
    let status = rig
        .until_status("web", "health cannot be read", |status| {
            let detail = status["members"][B]["detail"].as_str().unwrap_or_default();
            detail.contains("health cannot be read") && detail.contains("counts as in service from")
        })
        .await;
    let detail = status["members"][B]["detail"].as_str().unwrap();
    assert!(detail.contains("DescribeInstanceHealth"), "{detail}");
    rig.until_registered("web", &[B]).await;
    let timeline = rig.lb("web").timeline();
    let when = |instance, change| {
        let mut events = timeline.of(instance);
        events.find(|event| event.change == change).unwrap().at
    };
    let waited = when(A, Change::Deregistered) - when(B, Change::Registered);
    assert!(waited >= Duration::from_millis(3900), "{waited:?}");
    rig.assert_kept("web", &[B]);
}

#[tokio::test]
async fn a_replacement_is_in_service_before_the_last_one_leaves() {
    let rig = Rig::serving("web", &[A]).await;
    rig.lb("web").health_delay(Duration::from_secs(3));
    let begin = tokio::time::Instant::now();
    swap(&rig, A, B).await;
    rig.until_registered("web", &[B]).await;
    let timeline = rig.lb("web").timeline();
    let least = timeline.min_in_service_between(begin, tokio::time::Instant::now());
    assert_eq!(least, 1, "{timeline:#?}");
}

#[tokio::test]
async fn a_replacement_that_is_never_healthy_is_not_waited_for_for_ever() {
    let rig = serving(&[A]).await;
    rig.lb("web").set_health(B, testbed::aws::Health::Never);
    swap(&rig, A, B).await;
    rig.until_status("web", "the wait is told", |status| {
        let why = status["withheld"][A]["why"].as_str().unwrap_or_default();
        why.contains("another is on its way")
    })
    .await;
    rig.until_registered("web", &[B]).await;
    rig.until_status("web", "B is out of service", |status| {
        in_state(status, "out-of-service").contains(B)
    })
    .await;
}

#[tokio::test]
async fn who_drains_is_told_apart_and_not_taken_out_again() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--resync=1s"));
    rig.run().await;
    let lb = rig.aws.create(REGION, "web");
    lb.draining(Duration::from_mins(10)).list_draining(true);
    rig.put("web", &[A, B, C, D]).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    rig.del("web", D).await;
    rig.until_status("web", "D drains", |status| {
        in_state(status, "draining").contains(D)
    })
    .await;
    let describes = || rig.aws.calls().of("DescribeLoadBalancers").len();
    let before = describes();
    rig.aws
        .wait_until(
            "some resyncs",
            |_| describes() > before + 3,
            crate::real::SOON,
        )
        .await
        .unwrap();
    let outs = rig.aws.calls().of(DEREGISTER).with_instance(D);
    assert_eq!(outs.len(), 1, "{outs:#?}");

    // It may come back before it has finished.
    rig.put("web", &[D]).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    let timeline = rig.lb("web").timeline();
    assert!(timeline.of(D).any(|event| event.change == Change::Revived));
    rig.assert_kept("web", &[A, B, C]);
}

#[tokio::test]
async fn why_a_member_is_not_in_service_is_in_the_status() {
    let rig = serving(&[A]).await;
    rig.aws.instances().add_in_zone(B, "eu-west-1z");
    rig.put("web", &[B]).await;
    rig.until_status("web", "B is in the wrong zone", |status| {
        let detail = status["members"][B]["detail"].as_str().unwrap_or_default();
        detail.contains("Availability Zone") && in_state(status, "out-of-service").contains(B)
    })
    .await;
    rig.assert_kept("web", &[A, B]);
}
