use serde_json::Value;
use testbed::aws::{Effect, Fault};

use crate::real::{A, B, REGION, Rig, key};

fn error(status: &Value) -> &str {
    status["error"]["what"].as_str().unwrap_or_default()
}

/// Waits until the status names an error with all these words.
async fn until_error(rig: &Rig, lb: &str, words: &[&str]) {
    let what = format!("an error with {words:?}");
    rig.until_status(lb, &what, |status| {
        words.iter().all(|words| error(status).contains(words))
    })
    .await;
}

async fn until_no_error(rig: &Rig, lb: &str) {
    rig.until_status(lb, "no error", |status| status["error"].is_null())
        .await;
}

#[tokio::test]
async fn a_load_balancer_that_does_not_exist_is_told_and_holds_nobody_up() {
    let mut rig = Rig::idle().await;
    let port = testbed::ports::free().unwrap();
    rig.set(|launch| launch.arg(format!("--listen=127.0.0.1:{port}")));
    rig.run().await;
    rig.aws.create(REGION, "web");
    rig.put("ghost", &[A]).await;
    rig.put("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    let words = ["load balancer ghost", REGION, "LoadBalancerNotFound"];
    until_error(&rig, "ghost", &words).await;
    let metrics = testbed::http::get(&format!("http://127.0.0.1:{port}/metrics")).await;
    let metrics = metrics.unwrap().body;
    let line = "lbmanager_balancers_with_errors{class=\"not_found\"} 1";
    assert!(metrics.contains(line), "{metrics}");

    rig.aws.create(REGION, "ghost");
    rig.until_serving("ghost", &[A]).await;
    until_no_error(&rig, "ghost").await;
}

#[tokio::test]
async fn a_region_where_nobody_answers_is_doubted() {
    let mut rig = Rig::idle().await;
    // By RFC 6761 no name below this one ever exists.
    rig.set(|launch| {
        launch
            .env("AWS_ENDPOINT_URL", "http://elb.xx-nowhere-1.invalid")
            .env("RES_OPTIONS", "timeout:1 attempts:1")
    });
    rig.run().await;
    let key = "/lbManager/elb/xx-nowhere-1/web/multiple/i-0000000a";
    rig.etcd.put(key, "").await.unwrap();
    rig.until_log("in xx-nowhere-1: there is no connection to AWS")
        .await;
    rig.until_log("is the region right?").await;
}

#[tokio::test]
async fn a_region_that_refuses_connections_is_told() {
    let mut rig = Rig::idle().await;
    let nobody = format!("http://127.0.0.1:{}", testbed::ports::free().unwrap());
    rig.set(|launch| launch.env("AWS_ENDPOINT_URL", &nobody));
    rig.run().await;
    rig.put("web", &[A]).await;
    until_error(&rig, "web", &["there is no connection to AWS", "refused"]).await;
}

#[tokio::test]
async fn who_has_no_credentials_is_told_what_to_set() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| {
        launch
            .without("AWS_ACCESS_KEY_ID")
            .without("AWS_SECRET_ACCESS_KEY")
    });
    rig.aws.create(REGION, "web");
    rig.run().await;
    rig.put("web", &[A]).await;
    let words = ["no AWS credentials were found", "AWS_ACCESS_KEY_ID"];
    until_error(&rig, "web", &words).await;
    assert!(rig.aws.calls().is_empty());

    // They are found where they are put, without a restart.
    let directory = rig.state.path().join(".aws");
    std::fs::create_dir(&directory).unwrap();
    let file = "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n";
    std::fs::write(directory.join("credentials"), file).unwrap();
    rig.until_serving("web", &[A]).await;
    assert_eq!(rig.aws.calls()[0].writer.as_deref(), Some("AKIAFILE"));
}

#[tokio::test]
async fn the_prior_names_of_the_keys_are_taken_with_a_warning() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| {
        launch
            .without("AWS_ACCESS_KEY_ID")
            .without("AWS_SECRET_ACCESS_KEY")
            .env("AWS_ACCESS_KEY", "AKIAPRIOR")
            .env("AWS_SECRET_KEY", "x")
    });
    rig.aws.create(REGION, "web");
    rig.run().await;
    rig.until_log("rename them to AWS_ACCESS_KEY_ID").await;
    rig.put("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    assert_eq!(rig.aws.calls()[0].writer.as_deref(), Some("AKIAPRIOR"));
}

#[tokio::test]
async fn what_is_denied_names_the_permission_and_holds_up_only_what_needs_it() {
    let rig = Rig::serving("web", &[A]).await;
    rig.aws.create(REGION, "api");
    let register = "RegisterInstancesWithLoadBalancer";
    let fault = Fault::new(Effect::AccessDenied).operation(register);
    rig.aws.faults().add(fault.load_balancer("web"));
    rig.put("web", &[B]).await;
    rig.put("api", &[A]).await;
    rig.until_serving("api", &[A]).await;
    let action = format!("allow elasticloadbalancing:{register} in IAM");
    until_error(&rig, "web", &["AccessDenied", &action]).await;
    rig.aws.faults().clear();
    // Writing the key again is another try.
    rig.etcd.put(&key("web", B), "again").await.unwrap();
    rig.until_registered("web", &[A, B]).await;
    until_no_error(&rig, "web").await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn an_expired_token_is_told_and_others_are_searched() {
    let rig = Rig::serving("web", &[A]).await;
    rig.aws.faults().add(Fault::new(Effect::ExpiredToken));
    rig.put("web", &[B]).await;
    until_error(&rig, "web", &["ExpiredToken", "renew the session token"]).await;
    rig.aws.faults().clear();
    rig.etcd.put(&key("web", B), "again").await.unwrap();
    rig.until_registered("web", &[A, B]).await;
    rig.assert_kept("web", &[A]);
}
