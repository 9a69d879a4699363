//! A Docker daemon that answers.

use testbed::Error;
use testbed::docker::Docker;

#[tokio::test]
async fn it_answers_or_says_what_was_wrong() {
    let docker = Docker::start_or_use().await.unwrap();
    let version = ["version", "--format", "{{.Server.Version}}"];
    let version = docker.run(&version).await.unwrap();
    assert!(version.contains('.'), "{version}");
    let error = docker.run(&["inspect", "no-such-thing"]).await.unwrap_err();
    assert!(matches!(error, Error::Command { .. }), "{error}");
    assert!(error.to_string().contains("no-such-thing"), "{error}");
}
