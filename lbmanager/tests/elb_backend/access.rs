//! Who may not, who is not known, and what is not there.

use std::sync::Arc;

use futures::future::join_all;
use lbmanager::backend::aws::{Aws as Client, AwsSettings, Counters};
use lbmanager::backend::elb::Elb;
use lbmanager::backend::{Backend, BackendError, Urgency};
use lbmanager::observed::Health;
use presence::model::{BalancerId, Kind};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use testbed::aws::{Effect, Fault};

use crate::{REGION, backend, id, members, settings, start};

#[tokio::test]
async fn what_is_forbidden_is_named() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web");
    aws.faults()
        .add(Fault::new(Effect::AccessDenied).operation("DescribeInstanceHealth"));
    let Ok(Health::Unreadable(why)) = elb.health(&id("web"), Urgency::Decision).await else {
        panic!("it was denied");
    };
    assert!(
        why.contains("allow elasticloadbalancing:DescribeInstanceHealth"),
        "{why}"
    );

    aws.faults()
        .add(Fault::new(Effect::AccessDenied).operation("DescribeLoadBalancers"));
    let error = elb.describe(&id("web")).await.unwrap_err();
    assert!(matches!(error, BackendError::Denied(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("allow elasticloadbalancing:DescribeLoadBalancers")
    );
}

#[tokio::test]
async fn bad_credentials_are_an_error_of_all_without_a_secret_in_it() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web");
    let expired = aws.faults().add(Fault::new(Effect::ExpiredToken));
    let errors = [
        elb.describe(&id("web")).await.unwrap_err(),
        elb.health(&id("web"), Urgency::Decision).await.unwrap_err(),
        elb.register(&id("web"), &members([1])).await.error.unwrap(),
    ];
    aws.faults().remove(expired);
    aws.accept_only(["AKIAOTHER"]);
    let invalid = elb.describe(&id("web")).await.unwrap_err();
    for error in errors {
        assert!(matches!(error, BackendError::Denied(_)), "{error:?}");
        assert!(
            error.to_string().contains("renew the session token"),
            "{error}"
        );
    }
    assert!(matches!(invalid, BackendError::Denied(_)), "{invalid:?}");
    assert!(
        invalid.to_string().contains("check the access key"),
        "{invalid}"
    );
    assert!(!invalid.to_string().contains("hush-hush"), "{invalid}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_asked_once() {
    let port = testbed::ports::free().unwrap();
    let mut registry = Registry::default();
    let elb = Elb::new(Client::new(
        settings(&format!("http://127.0.0.1:{port}")),
        Counters::registered(&mut registry),
        Arc::new(|| Ok(())),
    ));
    let all: Vec<BalancerId> = (0..50).map(|i| id(&format!("lb{i}"))).collect();
    for answer in join_all(all.iter().map(|one| elb.describe(one))).await {
        let error = answer.unwrap_err();
        assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
    let mut metrics = String::new();
    encode(&mut metrics, &registry).unwrap();
    assert!(metrics.contains(r#"outcome="unavailable"} 1"#), "{metrics}");
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_says_so() {
    let elb = backend(settings("localhost"));
    let error = elb.describe(&id("web")).await.unwrap_err();
    assert!(error.to_string().contains("AWS_ENDPOINT_URL"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_from_one_that_is_not_there() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web");
    aws.faults().add(Fault::new(Effect::ApplyThenDrop).writes());
    let outcome = elb.register(&id("web"), &members([1])).await;
    let error = outcome.error.unwrap();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(
        error.to_string().contains("broke before the answer"),
        "{error}"
    );
    let dropped = aws
        .faults()
        .add(Fault::new(Effect::Drop).load_balancer("other"));
    let (web, other) = (id("web"), id("other"));
    let (web, other) = tokio::join!(elb.describe(&web), elb.describe(&other));
    assert!(web.is_ok() && other.is_err());
    assert!(aws.faults().hits(dropped) > 0);
}

#[tokio::test]
async fn a_region_that_is_not_there_is_doubted() {
    let elb = backend(AwsSettings {
        endpoint_url: None,
        ..settings("")
    });
    let nowhere = BalancerId::new(Kind::Elb, "xx-nowhere-1", "web").unwrap();
    let error = elb.describe(&nowhere).await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("is the region right"), "{error}");
}
