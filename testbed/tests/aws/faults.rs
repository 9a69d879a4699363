//! What can be made to go wrong.

use std::time::Duration;

use testbed::aws::{Bucket, Class, Effect, Fault, Outcome};
use tokio::time::{advance, timeout};

use crate::caller::{Caller, DEREGISTER, DESCRIBE, REGION, REGISTER, SECONDS, ids, members, start};

#[tokio::test]
async fn faults_befall_only_whom_they_are_for() {
    let (aws, caller, web) = start().await;
    let other = Caller {
        key: "AKIA2".to_owned(),
        ..caller.clone()
    };
    let far = Caller {
        region: "us-east-1".to_owned(),
        ..caller.clone()
    };
    aws.create("us-east-1", "web");
    aws.create(REGION, "api");
    let fault = Fault::new(Effect::Throttle)
        .operation(REGISTER)
        .region(REGION)
        .writer("AKIA1");
    let id = aws
        .faults()
        .add(fault.load_balancer("web").instance("i-1").times(2));
    caller.ok(DEREGISTER, &members("web", &["i-1"])).await;
    caller.register("api", &["i-1"]).await;
    caller.register("web", &["i-2"]).await;
    other.register("web", &["i-3"]).await;
    far.register("web", &["i-1"]).await;
    assert_eq!(aws.faults().hits(id), 0);
    for _ in 0..2 {
        let error = caller
            .error(REGISTER, &members("web", &["i-2", "i-1"]))
            .await;
        assert_eq!(error, (400, "Throttling".to_owned()));
    }
    assert_eq!(aws.faults().hits(id), 2);
    assert_eq!(web.registered(), ids(&["i-2", "i-3"]));
    caller.register("web", &["i-1"]).await;

    aws.faults().add(Fault::new(Effect::AccessDenied).writes());
    caller.ok(DESCRIBE, "").await;
    assert_eq!(
        caller.error(REGISTER, &members("web", &["i-1"])).await.1,
        "AccessDenied"
    );
    aws.faults().clear();
    caller.register("web", &["i-1"]).await;
}

#[tokio::test]
async fn each_effect_is_as_it_says() {
    let (aws, caller, web) = start().await;
    let errors = [
        (Effect::InternalFailure, 500, "InternalFailure"),
        (Effect::ServiceUnavailable, 503, "ServiceUnavailable"),
        (Effect::ExpiredToken, 403, "ExpiredToken"),
    ];
    for (effect, status, code) in errors {
        aws.faults().add(Fault::new(effect).times(1));
        let error = caller.error(REGISTER, &members("web", &["i-1"])).await;
        assert_eq!(error, (status, code.to_owned()));
    }
    aws.faults().add(Fault::new(Effect::Drop).times(1));
    assert!(
        caller
            .try_call(REGISTER, &members("web", &["i-1"]))
            .await
            .is_err()
    );
    assert!(web.registered().is_empty() && aws.calls().applied().is_empty());

    aws.faults().add(Fault::new(Effect::ApplyThenFail).times(1));
    assert_eq!(
        caller.error(REGISTER, &members("web", &["i-1"])).await.0,
        500
    );
    aws.faults().add(Fault::new(Effect::ApplyThenDrop).times(1));
    assert!(
        caller
            .try_call(REGISTER, &members("web", &["i-2"]))
            .await
            .is_err()
    );
    assert_eq!(web.registered(), ids(&["i-1", "i-2"]));
    let outcomes: Vec<Outcome> = aws
        .calls()
        .applied()
        .into_iter()
        .map(|call| call.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Error("InternalFailure".to_owned()),
            Outcome::Dropped
        ]
    );
}

#[tokio::test]
async fn a_hanging_call_goes_on_only_if_somebody_waits() {
    let (aws, caller, web) = start().await;
    let id = aws.faults().add(Fault::new(Effect::Hang));
    let gone = caller.clone();
    let given_up = async move { gone.register("web", &["i-gone"]).await };
    assert!(timeout(Duration::from_millis(100), given_up).await.is_err());
    let waiting = tokio::spawn(async move { caller.register("web", &["i-1"]).await });
    aws.wait_for_call(|call| call.outcome == Outcome::Abandoned, SECONDS)
        .await
        .unwrap();
    aws.wait_for_call(|call| call.instances == ["i-1"], SECONDS)
        .await
        .unwrap();
    assert!(web.registered().is_empty());
    aws.faults().remove(id);
    waiting.await.unwrap();
    assert_eq!(web.registered(), ids(&["i-1"]));
}

#[tokio::test]
async fn a_delayed_write_arrives_though_its_writer_is_gone() {
    let (aws, caller, web) = start().await;
    aws.faults()
        .add(Fault::new(Effect::Delay(Duration::from_millis(200))));
    let call = caller.register("web", &["i-late"]);
    assert!(timeout(Duration::from_millis(50), call).await.is_err());
    assert!(web.registered().is_empty());
    let late = aws
        .wait_for_call(|call| call.answered.is_some(), SECONDS)
        .await
        .unwrap();
    assert_eq!((late.outcome, late.applied), (Outcome::Abandoned, true));
    assert_eq!(web.registered(), ids(&["i-late"]));
}

#[tokio::test(start_paused = true)]
async fn buckets_throttle_each_class_and_region() {
    let (aws, caller, _web) = start().await;
    let far = Caller {
        region: "us-east-1".to_owned(),
        ..caller.clone()
    };
    aws.throttle(
        Class::Describe,
        Some(Bucket {
            burst: 2.0,
            per_second: 1.0,
        }),
    );
    caller.ok(DESCRIBE, "").await;
    caller.ok(DESCRIBE, "").await;
    assert_eq!(
        caller.error(DESCRIBE, "").await,
        (400, "Throttling".to_owned())
    );
    far.ok(DESCRIBE, "").await;
    caller.register("web", &["i-1"]).await;
    advance(Duration::from_secs(1)).await;
    caller.ok(DESCRIBE, "").await;
    assert_eq!(caller.error(DESCRIBE, "").await.1, "Throttling");
    aws.throttle(Class::Describe, None);
    caller.ok(DESCRIBE, "").await;
}
