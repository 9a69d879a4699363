//! The AWS manager moves between hosts, hosts are renamed, etcd restarts: the
//! claims are right throughout, and nothing freezes.

use crate::real::{A, B, C, REGION, Rig, status_key};
use crate::world::{assert_never_frozen, until_key, value};

fn claim(host: &str) -> String {
    format!("/lbManager-status/managers/{host}/aws")
}

/// Waits for a host's claim, which names what it manages.
async fn until_claimed(rig: &Rig, host: &str) {
    let claim = until_key(rig, &claim(host)).await;
    let backends = claim["backends"].as_array().unwrap();
    assert!(backends.iter().any(|kind| kind == "elb"), "{claim}");
    assert!(claim["machine_id"].is_string(), "{claim}");
    assert!(claim["version"].is_string(), "{claim}");
}

/// Runs as the manager of a host with a state directory of its own.
fn on_host(rig: &mut Rig, host: &str, state: &tempfile::TempDir) {
    let state = format!("--state-dir={}", state.path().display());
    let host = format!("--host-id={host}");
    rig.set(|launch| launch.arg(host).arg(state).arg("--backends=elb"));
}

#[tokio::test]
async fn the_manager_moves_to_another_host_and_back_while_a_balancer_is_retired() {
    let mut rig = Rig::idle().await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    rig.aws.create(REGION, "web");
    rig.aws.create(REGION, "api");
    on_host(&mut rig, "h1", &first);
    rig.run().await;
    rig.put("web", &[A, B, C]).await;
    rig.put("api", &[A]).await;
    rig.until_serving("web", &[A, B, C]).await;
    rig.until_serving("api", &[A]).await;
    until_claimed(&rig, "h1").await;

    rig.stop().await;
    on_host(&mut rig, "h2", &second);
    rig.run().await;
    rig.del("api", A).await;
    rig.until_gone(&status_key("api")).await;
    until_claimed(&rig, "h2").await;

    rig.stop().await;
    on_host(&mut rig, "h1", &first);
    rig.run().await;
    rig.etcd.restart().await.unwrap();
    rig.del("web", C).await;
    rig.until_registered("web", &[A, B]).await;
    until_claimed(&rig, "h1").await;
    rig.until_gone(&claim("h2")).await;

    rig.kill().await;
    on_host(&mut rig, "h2", &second);
    rig.run().await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    assert_never_frozen(&rig).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn a_renamed_host_keeps_its_state_directory_and_continues() {
    let mut rig = Rig::serving("web", &[A, B, C]).await;
    rig.stop().await;
    rig.set(|launch| launch.arg("--host-id=renamed"));
    rig.del("web", C).await;
    rig.run().await;
    rig.until_registered("web", &[A, B]).await;
    until_claimed(&rig, "renamed").await;
    rig.until_gone(&claim("test-host")).await;

    rig.stop().await;
    rig.set(|launch| launch.arg("--host-id=test-host"));
    rig.run().await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    assert_never_frozen(&rig).await;
}

#[tokio::test]
async fn an_aws_manager_leaves_the_claim_of_the_other_role_alone() {
    let mut rig = Rig::idle().await;
    let ipvs = "/lbManager-status/managers/test-host/ipvs";
    let other = r#"{"machine_id":"2","version":"1","backends":["ipvs"],"regions":["test-host"]}"#;
    rig.etcd.put(ipvs, other).await.unwrap();
    rig.set(|launch| launch.arg("--backends=elb"));
    rig.run().await;
    until_claimed(&rig, "test-host").await;
    rig.stop().await;
    rig.run().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    let found = value(&rig, ipvs).await;
    assert_eq!(found, Some(serde_json::from_str(other).unwrap()));
}

#[tokio::test]
async fn a_status_deleted_by_an_operator_freezes_nothing() {
    let mut rig = Rig::serving("web", &[A, B, C]).await;
    rig.stop().await;
    assert!(rig.etcd.del(&status_key("web")).await.unwrap());
    rig.run().await;
    rig.until_serving("web", &[A, B, C]).await;
    rig.del("web", C).await;
    rig.until_registered("web", &[A, B]).await;
    assert_never_frozen(&rig).await;
}
