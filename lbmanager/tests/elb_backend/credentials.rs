//! Where credentials come from.

use std::time::{Duration, Instant};

use lbmanager::backend::aws::AwsSettings;
use lbmanager::backend::{Backend, BackendError, Urgency};
use testbed::aws::{Aws, Imds};
use tokio::process::Command;

use crate::{REGION, backend, id, settings};

#[tokio::test]
async fn who_has_no_credentials_is_told_what_to_set() {
    if !is_alone() {
        return alone("who_has_no_credentials_is_told_what_to_set", &[]).await;
    }
    let aws = Aws::start().await.unwrap();
    let imds = Imds::start().await.unwrap();
    let elb = backend(AwsSettings {
        keys: None,
        metadata_url: Some(imds.url()),
        ..settings(&aws.url())
    });
    let start = Instant::now();
    let web = id("web");
    let (described, health) = tokio::join!(elb.describe(&web), elb.health(&web, Urgency::Decision));
    for error in [described.unwrap_err(), health.unwrap_err()] {
        assert!(matches!(error, BackendError::Denied(_)), "{error:?}");
        assert!(
            error.to_string().contains("set AWS_ACCESS_KEY_ID"),
            "{error}"
        );
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(aws.calls().is_empty());
}

#[tokio::test]
async fn the_role_of_an_instance_is_taken_from_the_metadata() {
    if !is_alone() {
        return alone("the_role_of_an_instance_is_taken_from_the_metadata", &[]).await;
    }
    let aws = Aws::start().await.unwrap();
    aws.create(REGION, "web");
    let imds = Imds::start().await.unwrap();
    imds.role("lb", Duration::from_hours(1));
    let elb = backend(AwsSettings {
        keys: None,
        metadata_url: Some(imds.url()),
        ..settings(&aws.url())
    });
    for _ in 0..3 {
        assert!(elb.describe(&id("web")).await.is_ok());
    }
    let calls = aws.calls();
    assert!(
        calls
            .iter()
            .all(|call| call.writer.as_deref() == Some("ASIA00000001"))
    );
    let searches = imds.requests().len();
    assert!(elb.health(&id("web"), Urgency::Decision).await.is_ok());
    assert_eq!(
        imds.requests().len(),
        searches,
        "they are searched for once"
    );
}

#[tokio::test]
async fn the_environment_says_where_and_the_prior_names_say_who() {
    if is_alone() {
        let elb = backend(AwsSettings::from_env());
        assert!(elb.describe(&id("web")).await.is_ok());
        return;
    }
    let aws = Aws::start().await.unwrap();
    aws.create(REGION, "web");
    let url = aws.url();
    let vars = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY", "AKIAPRIOR"),
        ("AWS_SECRET_KEY", "hush-hush"),
    ];
    let test = "the_environment_says_where_and_the_prior_names_say_who";
    alone(test, &vars).await;
    assert_eq!(aws.calls().by("AKIAPRIOR").len(), 1);
}

/// The credential chain reads the environment, which a test must not change:
/// runs the test again in a process with an environment of its own.
async fn alone(test: &str, vars: &[(&str, &str)]) {
    let home = tempfile::tempdir().unwrap();
    let test = format!("credentials::{test}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env_clear()
        .env("ALONE", "1")
        .env("HOME", home.path())
        .envs(vars.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
    assert!(said.contains("1 passed"), "{said}");
}

/// Whether this is that process.
fn is_alone() -> bool {
    std::env::var_os("ALONE").is_some()
}
