//! An AWS manager and an IPVS manager on one host with one host ID. There is
//! no virtual service here, so that the kernel of this machine is left alone;
//! the kernel tests have the rest.

use testbed::process::{Running, Signal};

use crate::real::{A, B, C, REGION, Rig, SOON, status_key};
use crate::world::{assert_never_frozen, until_key, value};

const AWS: &str = "/lbManager-status/managers/test-host/aws";
const IPVS: &str = "/lbManager-status/managers/test-host/ipvs";

/// Starts the IPVS manager of the rig's host with a state directory of its
/// own.
async fn ipvs(rig: &Rig, state: &tempfile::TempDir) -> Running {
    let state = format!("--state-dir={}", state.path().display());
    let launch = rig.launch.clone().arg(state).arg("--backends=ipvs");
    launch.start().await
}

async fn stop(manager: &mut Running) {
    manager.signal(Signal::SIGTERM).unwrap();
    manager.wait(SOON).await.unwrap();
}

/// Each role's claim names its kinds and no others.
async fn assert_claims(rig: &Rig) {
    let (aws, ipvs) = (until_key(rig, AWS).await, until_key(rig, IPVS).await);
    assert_eq!(aws["backends"], serde_json::json!(["elb"]), "{aws}");
    assert_eq!(ipvs["backends"], serde_json::json!(["ipvs"]), "{ipvs}");
    assert_eq!(ipvs["regions"], serde_json::json!(["test-host"]), "{ipvs}");
    assert_eq!(aws["machine_id"], ipvs["machine_id"]);
}

#[tokio::test]
async fn two_managers_of_one_host_keep_their_claims_and_never_freeze() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--backends=elb"));
    let state = tempfile::tempdir().unwrap();
    rig.aws.create(REGION, "web");
    rig.aws.create(REGION, "api");
    rig.run().await;
    let mut table = ipvs(&rig, &state).await;
    rig.put("web", &[A, B, C]).await;
    rig.put("api", &[A]).await;
    rig.until_serving("web", &[A, B, C]).await;
    rig.until_serving("api", &[A]).await;
    assert_claims(&rig).await;

    // Each is restarted in turn, with a balancer retired in between.
    rig.stop().await;
    rig.run().await;
    assert_claims(&rig).await;
    rig.del("api", A).await;
    rig.until_gone(&status_key("api")).await;
    stop(&mut table).await;
    let mut table = ipvs(&rig, &state).await;
    assert_claims(&rig).await;
    rig.etcd.restart().await.unwrap();
    rig.del("web", C).await;
    rig.until_registered("web", &[A, B]).await;
    assert_claims(&rig).await;

    // The AWS manager leaves, and only its claim does.
    rig.kill().await;
    rig.until_gone(AWS).await;
    assert!(value(&rig, IPVS).await.is_some());
    stop(&mut table).await;
    let _table = ipvs(&rig, &state).await;
    rig.run().await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    assert_claims(&rig).await;
    assert_never_frozen(&rig).await;
    let hosts = "/lbManager-status/frozen/hosts/test-host";
    assert_eq!(value(&rig, hosts).await, None);
}
