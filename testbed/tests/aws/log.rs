//! The log of calls and the timeline of what they did.

use std::time::Duration;

use testbed::aws::{Effect, Fault};
use tokio::time::{Instant, timeout};

use crate::caller::{DEREGISTER, DESCRIBE, REGION, REGISTER, SECONDS, ids, members, start};

#[tokio::test]
async fn every_call_is_logged() {
    let (aws, caller, _web) = start().await;
    caller.register("web", &["i-1", "i-2"]).await;
    caller.ok(DESCRIBE, "").await;
    caller.error(DEREGISTER, &members("other", &["i-1"])).await;
    let calls = aws.calls();
    assert_eq!(
        calls.iter().map(|call| call.seq).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let register = &calls[0];
    assert_eq!(
        (register.operation.as_str(), register.region.as_str()),
        (REGISTER, REGION)
    );
    assert_eq!(register.load_balancers, ["web"]);
    assert_eq!(register.instances, ["i-1", "i-2"]);
    assert!(register.is_ok() && register.applied && register.answered >= Some(register.arrived));
    assert!(register.signed_at.unwrap() < register.arrived_wall);
    assert_eq!(calls[2].error(), Some("LoadBalancerNotFound"));
    assert_eq!(aws.calls().writes().len(), 2);
    assert_eq!(aws.calls().describes().len(), 1);
    assert_eq!(
        aws.calls()
            .of(REGISTER)
            .to("web")
            .by("AKIA1")
            .in_region(REGION)
            .len(),
        1
    );
    assert_eq!(aws.calls().with_instance("i-1").len(), 2);
    aws.clear_calls();
    assert!(aws.calls().is_empty());
    let error = aws
        .wait_for_call(|_| true, Duration::from_millis(20))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("eu-west-1/web: registered {\"i-1\", \"i-2\"}"),
        "{error}"
    );
}

#[tokio::test]
async fn the_timeline_tells_who_was_there_when() {
    let (aws, caller, web) = start().await;
    let web = web.instances(["i-1"]);
    let begin = Instant::now();
    caller.register("web", &["i-1", "i-2"]).await;
    caller.deregister("web", &["i-1"]).await;
    aws.tamper_register(REGION, "web", "i-3");
    assert_eq!(
        web.timeline().min_in_service_between(begin, Instant::now()),
        1
    );
    assert!(web.timeline().never_deregistered("i-2"));
    assert!(!web.timeline().never_deregistered("i-1"));
    aws.tamper_deregister(REGION, "web", "i-2");
    let calls: Vec<Option<u64>> = web
        .timeline()
        .events()
        .iter()
        .map(|event| event.call)
        .collect();
    assert_eq!(calls, [None, Some(1), Some(2), None, None]);
    assert_eq!(aws.calls().len(), 2);
    web.delete();
    assert!(!web.exists());
    assert_eq!(
        web.timeline().min_in_service_between(begin, Instant::now()),
        0
    );
    assert_eq!(
        aws.timeline(REGION, "web").registered_at(begin),
        ids(&["i-1"])
    );
}

#[tokio::test]
async fn nothing_is_left_when_the_last_handle_goes() {
    let (aws, caller, web) = start().await;
    aws.faults().add(Fault::new(Effect::Hang));
    let hanging = caller.clone();
    let hanging = tokio::spawn(async move { hanging.try_call(DESCRIBE, "").await });
    aws.wait_for_call(|_| true, SECONDS).await.unwrap();
    drop((aws, web));
    assert!(timeout(SECONDS, hanging).await.unwrap().unwrap().is_err());
    assert!(caller.try_call(DESCRIBE, "").await.is_err());
}
