//! Describes: joined, and held up by nobody.

use std::time::Duration;

use futures::future::join_all;
use lbmanager::backend::{Backend, BackendError, Urgency};
use presence::model::{BalancerId, Kind};
use testbed::aws::{Effect, Fault, HealthCheck};

use crate::{REGION, id, ids, member, members, start};

#[tokio::test]
async fn a_thousand_in_sync_cost_three_calls() {
    let (aws, elb) = start().await;
    let all: Vec<BalancerId> = (0..1000).map(|i| id(&format!("lb{i}"))).collect();
    for (number, one) in all.iter().enumerate() {
        let instance = member(number).to_string();
        aws.create(REGION, one.name()).instances([instance]);
    }
    let described = join_all(all.iter().map(|one| elb.describe(one))).await;
    for (number, described) in described.into_iter().enumerate() {
        assert_eq!(described.unwrap().registered, members([number]));
    }
    assert_eq!(aws.calls().len(), 3);
}

#[tokio::test]
async fn regions_are_apart() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web");
    aws.create("us-east-1", "web").instances(ids(&members([1])));
    let far = BalancerId::new(Kind::Elb, "us-east-1", "web").unwrap();
    let web = id("web");
    let (near, far) = tokio::join!(elb.describe(&web), elb.describe(&far));
    assert!(near.unwrap().registered.is_empty());
    assert_eq!(far.unwrap().registered, members([1]));
    assert_eq!(aws.calls().in_region("us-east-1").len(), 1);
}

#[tokio::test]
async fn healthy_after_is_threshold_times_interval() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web").health_check(HealthCheck {
        interval: 7,
        healthy_threshold: 3,
        ..HealthCheck::default()
    });
    let described = elb.describe(&id("web")).await.unwrap();
    assert_eq!(described.healthy_after, Duration::from_secs(21));
}

#[tokio::test]
async fn one_that_does_not_exist_holds_nobody_up() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web");
    let (web, typo) = (id("web"), id("wbe"));
    // Together, then each alone; the next time it alone is asked alone.
    for calls in [3, 5] {
        let (found, missing) = tokio::join!(elb.describe(&web), elb.describe(&typo));
        assert!(found.is_ok());
        let error = missing.unwrap_err();
        assert!(matches!(error, BackendError::NotFound(_)), "{error:?}");
        assert!(
            error.to_string().contains("load balancer wbe in eu-west-1"),
            "{error}"
        );
        assert_eq!(aws.calls().len(), calls);
    }
    assert!(matches!(
        elb.health(&typo, Urgency::Decision).await,
        Err(BackendError::NotFound(_))
    ));
    let outcome = elb.register(&typo, &members([1])).await;
    assert!(matches!(outcome.error, Some(BackendError::NotFound(_))));
}

#[tokio::test]
async fn one_that_hangs_holds_nobody_up_twice() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web");
    aws.create(REGION, "stuck");
    aws.faults()
        .add(Fault::new(Effect::Hang).load_balancer("stuck"));
    let (web, stuck) = (id("web"), id("stuck"));
    let (found, hung) = tokio::join!(elb.describe(&web), elb.describe(&stuck));
    assert!(found.is_ok());
    assert!(
        matches!(hung, Err(BackendError::Unavailable(_))),
        "{hung:?}"
    );

    let mut hung = Box::pin(elb.describe(&stuck));
    assert!(futures::poll!(&mut hung).is_pending());
    let quick = tokio::time::timeout(Duration::from_secs(1), elb.describe(&web)).await;
    assert!(quick.unwrap().is_ok());
    aws.faults().clear();
    assert!(hung.await.is_ok());
}

#[tokio::test]
async fn an_outage_is_no_storm() {
    let (aws, elb) = start().await;
    aws.faults().add(Fault::new(Effect::InternalFailure));
    let all: Vec<BalancerId> = (0..300).map(|i| id(&format!("lb{i}"))).collect();
    let answers = join_all(all.iter().map(|one| elb.describe(one))).await;
    for answer in answers {
        assert!(
            matches!(answer, Err(BackendError::Unavailable(_))),
            "{answer:?}"
        );
    }
    let calls = aws.calls().len();
    assert!(calls <= 10, "{calls} calls");
}
