use testbed::aws::{Bucket, Class, Effect, Fault};

use crate::real::{A, B, C, REGION, Rig, config};

#[tokio::test]
async fn once_brings_everything_in_line_and_exits_with_0() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--once"));
    rig.aws.create(REGION, "web").instances([C]);
    rig.aws.create(REGION, "api");
    rig.etcd
        .put(&config("web"), "{\"adopt\": true}")
        .await
        .unwrap();
    rig.put("web", &[A, B]).await;
    rig.put("api", &[A]).await;
    rig.launch.ended().await.said(0, &[]);
    assert_eq!(rig.lb("web").registered(), crate::real::set(&[A, B]));
    rig.aws.clear_calls();
    rig.launch.ended().await.said(0, &[]);
    assert!(rig.aws.calls().writes().is_empty());
}

#[tokio::test]
async fn once_exits_with_2_where_something_cannot_be_done() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--once"));
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.put("ghost", &[A]).await;
    rig.launch.ended().await.said(2, &["ghost"]);
    assert_eq!(rig.lb("web").registered(), crate::real::set(&[A]));
}

#[tokio::test]
async fn once_exits_with_2_where_strangers_are_held() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--once"));
    rig.aws.create(REGION, "web").instances([B, C]);
    rig.put("web", &[A]).await;
    rig.launch.ended().await.said(2, &[]);
    assert_eq!(rig.lb("web").registered(), crate::real::set(&[A, B, C]));
}

#[tokio::test]
async fn once_exits_with_69_where_etcd_is_away() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--once"));
    rig.etcd.stop().await.unwrap();
    let ended = rig.launch.ended().await;
    ended.said(69, &[&rig.etcd.endpoint(), "does not answer"]);
}

#[tokio::test]
async fn an_empty_tree_is_in_sync() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--once"));
    rig.launch.ended().await.said(0, &[]);
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let mut rig = Rig::idle().await;
    let state = rig.state.path().join("state");
    let flag = format!("--state-dir={}", state.display());
    rig.set(|launch| launch.arg("--dry-run").arg(flag));
    rig.aws.create(REGION, "web").instances([A, B, C]);
    rig.etcd
        .put(&config("web"), "{\"adopt\": true}")
        .await
        .unwrap();
    rig.put("web", &[A, crate::real::D]).await;
    let revision = rig.etcd.revision().await.unwrap();
    rig.run().await;
    rig.until_log("would register").await;
    rig.until_log("would deregister").await;
    let log = rig.log();
    for member in [B, C, crate::real::D] {
        let told = log
            .lines()
            .find(|line| line.contains("would") && line.contains(member));
        assert!(told.is_some(), "{member}: {log}");
    }
    // What comes later is told as well.
    rig.put("web", &["i-0000000f"]).await;
    rig.until_log("i-0000000f").await;
    rig.stop().await;
    assert_eq!(rig.etcd.revision().await.unwrap(), revision + 1);
    assert!(rig.aws.calls().writes().is_empty());
    assert!(!state.exists());
}

#[tokio::test]
async fn a_dry_run_once_exits_with_2_where_something_would_change() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--dry-run").arg("--once"));
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    let ended = rig.launch.ended().await;
    ended.said(2, &["would register", A]);
    rig.aws.load_balancer(REGION, "web").instances([A]);
    rig.launch.ended().await.said(0, &[]);
    assert!(rig.aws.calls().writes().is_empty());
}

#[tokio::test]
async fn once_exits_with_2_where_aws_does_not_answer_in_time() {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.aws.faults().add(Fault::new(Effect::InternalFailure));
    rig.set(|launch| launch.arg("--once").arg("--timeout=3s"));
    let missing = ["elb/eu-west-1/web: not in line", "InternalFailure"];
    rig.launch.ended().await.said(2, &missing);
    rig.set(|launch| launch.arg("--dry-run"));
    rig.launch.ended().await.said(2, &missing);
    rig.aws.faults().clear();
    let none = Bucket {
        burst: 0.0,
        per_second: 0.0,
    };
    rig.aws.throttle(Class::Describe, Some(none));
    rig.launch.ended().await.said(2, &["elb/eu-west-1/web"]);
}

#[tokio::test]
async fn once_waits_for_what_fails_only_for_a_moment() {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    let fault = Fault::new(Effect::InternalFailure).times(2);
    rig.aws.faults().add(fault);
    rig.set(|launch| launch.arg("--once"));
    rig.launch.ended().await.said(0, &[]);
    assert_eq!(rig.lb("web").registered(), crate::real::set(&[A]));
}
