//! Registering, health and draining.

use std::time::Duration;

use testbed::aws::{Aws, Change, Health, HealthState};
use tokio::time::{Instant, advance};

use crate::caller::{
    DEREGISTER, DESCRIBE, HEALTH, REGION, REGISTER, ids, in_service, members, start, texts,
};

#[tokio::test(start_paused = true)]
async fn health_takes_its_time() {
    let (aws, caller, web) = start().await;
    let web = web.health_delay(Duration::from_secs(20));
    web.set_health("i-never", Health::Never);
    let state = HealthState::new(
        "Unknown",
        "ELB",
        "A transient error occurred. Please try again later.",
    );
    web.set_health("i-odd", Health::Fixed(state));
    web.set_health("i-quick", Health::After(Duration::from_secs(1)));
    caller
        .register("web", &["i-1", "i-never", "i-odd", "i-quick"])
        .await;
    assert!(web.in_service().is_empty());
    let health = caller.health("web").await;
    assert_eq!(health[0].1, "Instance registration is still in progress.");
    assert!(health[1].1.starts_with("Instance has failed"));
    assert_eq!(health[2].0, "Unknown");

    advance(Duration::from_secs(1)).await;
    assert_eq!(web.in_service(), ids(&["i-quick"]));
    let begin = Instant::now();
    let both = |aws: &Aws| aws.in_service(REGION, "web").len() == 2;
    aws.wait_until("the slow one", both, Duration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(begin.elapsed().as_secs(), 19);
    assert_eq!(caller.health("web").await[0], in_service("N/A"));

    web.set_health("i-1", Health::Never);
    assert_eq!(web.in_service(), ids(&["i-quick"]));
    assert_eq!(
        web.timeline().min_in_service_between(begin, Instant::now()),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_draining_instance_goes_when_its_time_is_over() {
    let (_aws, caller, web) = start().await;
    let web = web
        .draining(Duration::from_secs(30))
        .instances(["i-1", "i-2"]);
    let left = caller.deregister("web", &["i-1", "i-unknown"]).await;
    assert_eq!(texts(&left, "InstanceId"), ["i-2"]);
    assert_eq!(web.leaving(), ids(&["i-1"]));
    let draining = in_service("Instance deregistration currently in progress.");
    assert_eq!(
        caller.health("web").await,
        [draining.clone(), in_service("N/A")]
    );
    assert_eq!(texts(&caller.ok(DESCRIBE, "").await, "InstanceId"), ["i-2"]);
    let web = web.list_draining(true);
    assert_eq!(
        texts(&caller.ok(DESCRIBE, "").await, "InstanceId"),
        ["i-1", "i-2"]
    );

    caller.register("web", &["i-1"]).await;
    assert_eq!(web.in_service(), ids(&["i-1", "i-2"]));
    caller.deregister("web", &["i-1", "i-2"]).await;
    web.end_draining("i-2");
    assert_eq!(caller.health("web").await, [draining]);
    advance(Duration::from_secs(30)).await;
    assert!(caller.health("web").await.is_empty());
    let changes: Vec<Change> = web.timeline().of("i-1").map(|event| event.change).collect();
    let there_and_back = [Change::Registered, Change::Deregistered, Change::Revived];
    assert_eq!(
        changes,
        [
            &there_and_back[..],
            &[Change::Deregistered, Change::Drained]
        ]
        .concat()
    );
}

#[tokio::test]
async fn one_bad_instance_fails_the_whole_call() {
    let (aws, caller, web) = start().await;
    aws.instances()
        .strict(true)
        .add("i-1")
        .add("i-stopped")
        .set_running("i-stopped", false);
    aws.instances().add_in_zone("i-far", "eu-west-1b");
    let invalid = (400, "InvalidInstance".to_owned());
    for bad in ["i-stopped", "i-unknown"] {
        assert_eq!(
            caller.error(REGISTER, &members("web", &["i-1", bad])).await,
            invalid
        );
    }
    assert!(web.registered().is_empty() && web.timeline().events().is_empty());
    assert_eq!(
        caller
            .error(DEREGISTER, &members("web", &["i-unknown"]))
            .await,
        invalid
    );
    assert_eq!(
        caller.error(HEALTH, &members("web", &["i-unknown"])).await,
        invalid
    );
    let elsewhere = caller.ok(HEALTH, &members("web", &["i-1"])).await;
    assert!(
        elsewhere.contains("not currently registered"),
        "{elsewhere}"
    );
    caller.register("web", &["i-1", "i-far"]).await;
    assert_eq!(web.in_service(), ids(&["i-1"]));
    assert!(
        caller.health("web").await[1]
            .1
            .contains("Availability Zone")
    );
    let web = web.zones(["eu-west-1a", "eu-west-1b"]);
    aws.instances().strict(false);
    caller.deregister("web", &["i-far"]).await;
    caller.register("web", &["i-far"]).await;
    assert_eq!(web.in_service(), ids(&["i-1", "i-far"]));
}

#[tokio::test]
async fn a_thousand_instances_are_the_limit() {
    let (_aws, caller, web) = start().await;
    let _ = web
        .clone()
        .instances((0..1000).map(|number| format!("i-{number}")));
    caller.register("web", &["i-999"]).await;
    assert_eq!(
        caller.error(REGISTER, &members("web", &["i-1000"])).await.1,
        "LimitExceeded"
    );
    assert_eq!(web.registered().len(), 1000);
}
