//! What goes over the wire: shapes, pages, errors, credentials.

use hyper::Method;
use testbed::aws::Aws;
use testbed::http;
use testbed::moto::boto3;

use crate::caller::{
    Caller, DEREGISTER, DESCRIBE, HEALTH, REGION, REGISTER, SECONDS, members, start, texts,
};

#[tokio::test]
async fn answers_have_the_shape_of_aws() {
    let (_aws, caller, _web) = start().await;
    let expected = "<RegisterInstancesWithLoadBalancerResponse \
        xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/\">\
        <RegisterInstancesWithLoadBalancerResult><Instances><member><InstanceId>i-1</InstanceId></member>\
        <member><InstanceId>i-2</InstanceId></member></Instances></RegisterInstancesWithLoadBalancerResult>\
        <ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000001</RequestId></ResponseMetadata>\
        </RegisterInstancesWithLoadBalancerResponse>";
    assert_eq!(caller.register("web", &["i-1", "i-2"]).await, expected);
    let expected = "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/\">\
        <Error><Type>Sender</Type><Code>LoadBalancerNotFound</Code>\
        <Message>There is no ACTIVE Load Balancer named 'other'</Message></Error>\
        <RequestId>00000000-0000-4000-8000-000000000002</RequestId></ErrorResponse>";
    assert_eq!(
        caller
            .call(REGISTER, &members("other", &["i-1"]))
            .await
            .body,
        expected
    );
    let health = caller.ok(HEALTH, &members("web", &["i-1"])).await;
    let expected = "<InstanceStates><member><InstanceId>i-1</InstanceId><State>InService</State>\
        <ReasonCode>N/A</ReasonCode><Description>N/A</Description></member></InstanceStates>";
    assert!(health.contains(expected), "{health}");
    assert_eq!(
        caller.error("NoSuchOperation", "").await,
        (400, "InvalidAction".to_owned())
    );
    assert_eq!(
        caller.error(REGISTER, "LoadBalancerName=web").await,
        (400, "ValidationError".to_owned())
    );
}

#[tokio::test]
async fn boto3_understands_the_answers() {
    let aws = Aws::start().await.unwrap();
    let url = aws.url();
    let boto3 = async |verb: &str, args: &[&str]| boto3(&url, REGION, verb, args).await;
    boto3("create_load_balancer", &["web"]).await.unwrap();
    let web = aws.load_balancer(REGION, "web").draining(SECONDS);
    boto3("register", &["web", "i-1", "i-2"]).await.unwrap();
    boto3("deregister", &["web", "i-2"]).await.unwrap();
    assert_eq!(
        boto3("instances", &["web"]).await.unwrap(),
        serde_json::json!(["i-1"])
    );
    let health = boto3("health", &["web"]).await.unwrap();
    assert_eq!(
        health[1]["Description"],
        "Instance deregistration currently in progress."
    );
    let attributes = boto3("attributes", &["web"]).await.unwrap();
    assert_eq!(
        attributes["ConnectionDraining"],
        serde_json::json!({"Enabled": true, "Timeout": 10})
    );
    for number in 0..450 {
        aws.create(REGION, &format!("lb-{number}"));
    }
    let all = boto3("descriptions", &[]).await.unwrap();
    assert_eq!(all.as_array().unwrap().len(), 451);
    assert_eq!(all[450]["HealthCheck"]["Target"], "TCP:80");
    assert_eq!(
        all[450]["AvailabilityZones"],
        serde_json::json!(["eu-west-1a"])
    );
    let error = boto3("instances", &["other"])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("LoadBalancerNotFound"), "{error}");
    assert_eq!(aws.calls()[0].writer.as_deref(), Some("testbed"));
    assert!(aws.calls()[0].signed_at.is_some());
    assert!(web.exists());
}

#[tokio::test]
async fn descriptions_come_in_pages() {
    let aws = Aws::start().await.unwrap();
    let caller = Caller::new(&aws);
    for number in 0..401 {
        aws.create(REGION, &format!("lb-{number:03}"));
    }
    aws.create("us-east-1", "elsewhere");
    let first = caller.ok(DESCRIBE, "").await;
    assert_eq!(texts(&first, "LoadBalancerName").len(), 400);
    let marker = texts(&first, "NextMarker").pop().unwrap();
    let second = caller.ok(DESCRIBE, &format!("Marker={marker}")).await;
    assert_eq!(texts(&second, "LoadBalancerName"), ["lb-400"]);
    assert!(texts(&second, "NextMarker").is_empty());
    let small = caller.ok(DESCRIBE, "PageSize=3").await;
    assert_eq!(
        texts(&small, "LoadBalancerName"),
        ["lb-000", "lb-001", "lb-002"]
    );
    for size in ["0", "401", "x"] {
        assert_eq!(
            caller.error(DESCRIBE, &format!("PageSize={size}")).await.1,
            "ValidationError"
        );
    }
}

#[tokio::test]
async fn one_unknown_name_fails_the_whole_call() {
    let (aws, caller, _web) = start().await;
    aws.create("us-east-1", "elsewhere");
    let not_found = (400, "LoadBalancerNotFound".to_owned());
    let names = "LoadBalancerNames.member.1=web";
    assert_eq!(
        texts(&caller.ok(DESCRIBE, names).await, "LoadBalancerName"),
        ["web"]
    );
    let both = "LoadBalancerNames.member.1=web&LoadBalancerNames.member.2=elsewhere";
    assert_eq!(caller.error(DESCRIBE, both).await, not_found);
    for operation in [
        REGISTER,
        DEREGISTER,
        HEALTH,
        "DescribeLoadBalancerAttributes",
    ] {
        assert_eq!(
            caller
                .error(operation, &members("elsewhere", &["i-1"]))
                .await,
            not_found
        );
    }
}

#[tokio::test]
async fn credentials_are_asked_for() {
    let (aws, caller, _web) = start().await;
    let body = "Action=DescribeLoadBalancers&Version=2012-06-01";
    let answer = http::request(Method::POST, &aws.url(), &[], body)
        .await
        .unwrap();
    assert_eq!(answer.status, 403);
    assert!(
        answer.body.contains("MissingAuthenticationToken"),
        "{}",
        answer.body
    );
    aws.accept_only(["AKIA2"]);
    assert_eq!(
        caller.error(DESCRIBE, "").await,
        (403, "InvalidClientTokenId".to_owned())
    );
    aws.accept_only(["AKIA1", "AKIA2"]);
    caller.ok(DESCRIBE, "").await;
}
