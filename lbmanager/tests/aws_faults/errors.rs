use std::time::Duration;

use testbed::aws::{Bucket, Change, Class, Effect, Fault};

use crate::real::{A, B, C, REGION, Rig, in_state, key};

const REGISTER: &str = "RegisterInstancesWithLoadBalancer";
const DESCRIBE: &str = "DescribeLoadBalancers";

async fn until_no_error(rig: &Rig, lb: &str) {
    rig.until_status(lb, "no error", |status| status["error"].is_null())
        .await;
}

#[tokio::test]
async fn what_aws_refuses_for_now_is_tried_again_and_not_too_often() {
    let rig = Rig::serving("web", &[A]).await;
    for effect in [
        Effect::Throttle,
        Effect::InternalFailure,
        Effect::ServiceUnavailable,
        Effect::Drop,
    ] {
        for operation in [REGISTER, DESCRIBE] {
            rig.aws.clear_calls();
            let fault = Fault::new(effect).operation(operation).times(2);
            rig.aws.faults().add(fault);
            rig.put("web", &[B]).await;
            rig.until_registered("web", &[A, B]).await;
            until_no_error(&rig, "web").await;
            rig.del("web", B).await;
            rig.until_registered("web", &[A]).await;
            let calls = rig.aws.calls().writes();
            assert!(calls.len() <= 4, "{effect:?} {operation}: {calls:#?}");
            rig.aws.faults().clear();
        }
    }
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn an_error_is_in_the_status_while_it_lasts_and_gone_after() {
    let rig = Rig::serving("web", &[A]).await;
    rig.aws.faults().add(Fault::new(Effect::InternalFailure));
    rig.put("web", &[B]).await;
    let words = [DESCRIBE, "load balancer web", REGION, "InternalFailure"];
    rig.until_status("web", "the error", |status| {
        let what = status["error"]["what"].as_str().unwrap_or_default();
        words.iter().all(|words| what.contains(words)) && status["error"]["at"].is_string()
    })
    .await;
    rig.aws.faults().clear();
    rig.until_serving("web", &[A, B]).await;
    until_no_error(&rig, "web").await;
}

#[tokio::test]
async fn a_write_that_was_carried_out_and_answered_with_an_error_is_not_undone() {
    for effect in [Effect::ApplyThenFail, Effect::ApplyThenDrop] {
        let rig = Rig::serving("web", &[A]).await;
        rig.aws.faults().add(Fault::new(effect).writes().times(1));
        rig.put("web", &[B]).await;
        rig.until_serving("web", &[A, B]).await;
        until_no_error(&rig, "web").await;
        rig.aws.faults().add(Fault::new(effect).writes().times(1));
        rig.del("web", B).await;
        rig.until_serving("web", &[A]).await;
        until_no_error(&rig, "web").await;
        let timeline = rig.lb("web").timeline();
        let changes: Vec<Change> = timeline.of(B).map(|event| event.change).collect();
        assert_eq!(changes, [Change::Registered, Change::Deregistered]);
        rig.assert_kept("web", &[A]);
    }
}

#[tokio::test]
async fn a_throttled_account_still_gets_everything_in_line() {
    let rig = Rig::start().await;
    let bucket = Bucket {
        burst: 2.0,
        per_second: 2.0,
    };
    rig.aws.throttle(Class::Write, Some(bucket));
    let names: Vec<String> = (0..12).map(|number| format!("lb{number}")).collect();
    for name in &names {
        rig.aws.create(REGION, name);
    }
    let keys = names.iter().map(|name| (key(name, A), ""));
    rig.etcd.put_many(keys).await.unwrap();
    for name in &names {
        rig.until_registered(name, &[A]).await;
    }
    // Twelve that count, and no flood of those that do not.
    let writes = rig.aws.calls().writes();
    assert!(writes.len() < 40, "{}", writes.len());
}

#[tokio::test]
async fn a_rejected_instance_is_named_and_the_others_go_in() {
    let rig = Rig::start().await;
    rig.aws.create(REGION, "web");
    rig.aws.instances().strict(true).add(A).add(C);
    let keys = [A, B, C].map(|member| (key("web", member), ""));
    rig.etcd.put_many(keys).await.unwrap();
    let status = rig
        .until_status("web", "B is rejected", |status| {
            in_state(status, "rejected").contains(B) && in_state(status, "serving").len() == 2
        })
        .await;
    let detail = status["members"][B]["detail"].as_str().unwrap();
    assert!(
        detail.contains("InvalidInstance") && detail.contains(B),
        "{detail}"
    );
    rig.until_registered("web", &[A, C]).await;

    // It is started at last; writing its key again is another try.
    rig.aws.instances().add(B);
    rig.etcd.put(&key("web", B), "again").await.unwrap();
    rig.until_serving("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, C]);
}

#[tokio::test]
async fn an_aws_that_is_away_is_waited_for_without_a_hot_loop() {
    let rig = Rig::serving("web", &[A]).await;
    rig.aws.clear_calls();
    rig.aws.faults().add(Fault::new(Effect::Drop));
    rig.put("web", &[B]).await;
    rig.until_called(DESCRIBE).await;
    let before = rig.cpu();
    let time = Duration::from_secs(10);
    tokio::time::sleep(time).await;
    rig.assert_idle(before, time);
    let calls = rig.aws.calls();
    assert!(calls.len() < 25, "{calls:#?}");
    rig.aws.faults().clear();
    rig.until_serving("web", &[A, B]).await;
    rig.assert_kept("web", &[A, B]);
}
