//! Several trees in one etcd.

use testbed::process::Stream;

use crate::real::{A, B, C, D, REGION, Rig, SOON, status_key};
use crate::world::{
    Other, RELEASE_ALL, apply_a_delete, assert_never_frozen, command, deregistrations, succeeds,
};

const TYPO: &str = "--prefix=/lbmanager";

/// A rig whose managers look at their balancers every second, with a balancer
/// for the tree below the mistyped prefix.
async fn rig(members: &[&str]) -> Rig {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--resync=1s"));
    rig.aws.create(REGION, "web");
    rig.aws.create(REGION, "other");
    rig.run().await;
    rig.put("web", members).await;
    rig.until_serving("web", members).await;
    rig
}

/// Waits until a manager of the mistyped prefix has done all that it would do
/// at its start, and more.
async fn until_settled(rig: &Rig, other: &Other) {
    let key = format!("/lbmanager/elb/{REGION}/other/multiple/{A}");
    rig.etcd.put(&key, "").await.unwrap();
    let put_in = |aws: &testbed::aws::Aws| aws.registered(REGION, "other").contains(A);
    let reached = rig.aws.wait_until("A in the other tree", put_in, SOON);
    let log = || other.running.text(Stream::Stderr);
    reached
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", log()));
    let seen = rig.aws.calls().by(other.writer).to("other").len();
    other.until_described(rig, "other", seen + 3).await;
}

#[tokio::test]
async fn a_mistyped_prefix_with_a_fresh_state_directory_changes_nothing_in_the_other_tree() {
    let mut rig = rig(&[A, B, C, D]).await;
    let mut other = Other::start(&rig, "TYPO", &[TYPO]).await;
    until_settled(&rig, &other).await;
    other.stop().await;

    let calls = rig.aws.calls().by(other.writer).to("web");
    assert!(calls.is_empty(), "{calls:#?}");
    assert!(!rig.status("web").await.is_null(), "the status was deleted");
    assert_eq!(deregistrations(&rig, "web"), 0);
    // The other tree's manager continues, also after a restart.
    rig.stop().await;
    rig.run().await;
    rig.del("web", D).await;
    rig.until_registered("web", &[A, B, C]).await;
    assert_never_frozen(&rig).await;
}

#[tokio::test]
async fn a_mistyped_prefix_with_the_same_state_directory_changes_nothing_and_is_corrected_without_a_release()
 {
    let mut rig = rig(&[A, B, C, D]).await;
    rig.stop().await;
    let mut other = Other::start_same(&rig, "TYPO", &[TYPO]).await;
    until_settled(&rig, &other).await;
    // The tree changes while nobody manages it.
    rig.del("web", C).await;
    rig.put("web", &[crate::real::E]).await;
    other.stop().await;
    let calls = rig.aws.calls().by(other.writer).to("web");
    assert!(calls.is_empty(), "{calls:#?}");
    assert!(!rig.status("web").await.is_null(), "the status was deleted");

    rig.run().await;
    rig.until_registered("web", &[A, B, D, crate::real::E])
        .await;
    rig.del("web", D).await;
    rig.until_registered("web", &[A, B, crate::real::E]).await;
    assert_never_frozen(&rig).await;
    assert_eq!(rig.etcd.get(RELEASE_ALL).await.unwrap(), None);
}

#[tokio::test]
async fn two_trees_in_one_etcd_never_touch_each_other() {
    let mut rig = rig(&[A, B]).await;
    let state = tempfile::tempdir().unwrap();
    let directory = format!("--state-dir={}", state.path().display());
    let second = ["--prefix=/lbManager2", &directory];
    let mut other = Other::start_same(&rig, "SECOND", &second).await;
    let key = |member: &str| format!("/lbManager2/elb/{REGION}/other/multiple/{member}");
    for member in [C, D] {
        rig.etcd.put(&key(member), "").await.unwrap();
    }
    let both = |aws: &testbed::aws::Aws| aws.registered(REGION, "other").len() == 2;
    rig.aws.wait_until("C and D", both, SOON).await.unwrap();

    // A balancer is retired in one tree; each manager is restarted in turn.
    other.stop().await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    rig.del("web", A).await;
    rig.until_gone(&status_key("web")).await;
    let mut other = Other::start_same(&rig, "SECOND", &second).await;
    assert!(rig.etcd.del(&key(D)).await.unwrap());
    let one = |aws: &testbed::aws::Aws| aws.registered(REGION, "other").len() == 1;
    rig.aws.wait_until("C alone", one, SOON).await.unwrap();
    rig.stop().await;
    rig.run().await;
    rig.put("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    apply_a_delete(&rig, "web", &[A]).await;

    assert!(rig.aws.calls().by("SECOND").to("web").is_empty());
    assert!(rig.aws.calls().by("AKIATEST").to("other").is_empty());
    assert_eq!(deregistrations(&rig, "other"), 1);
    assert_never_frozen(&rig).await;
    let frozen = rig.etcd.get("/lbManager2-status/frozen/aws").await.unwrap();
    assert_eq!(frozen, None);
    let status = format!("/lbManager2-status/lb/elb/{REGION}/other");
    assert!(rig.etcd.get(&status).await.unwrap().is_some());
    other.stop().await;
}

#[tokio::test]
async fn plan_and_status_with_a_mistyped_prefix_see_an_empty_tree() {
    let rig = rig(&[A, B]).await;
    let plan = rig.launch.clone().env("AWS_ACCESS_KEY_ID", "PLAN");
    let ended = plan.subcommand("plan", &[TYPO]).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("web"), "{ended:?}");
    assert!(rig.aws.calls().by("PLAN").writes().is_empty());
    let shown = succeeds(&rig, &["status", TYPO]).await;
    assert!(!shown.contains("web"), "{shown}");
}

#[tokio::test]
async fn a_prefix_that_cannot_be_a_tree_is_rejected() {
    let rig = Rig::idle().await;
    for prefix in ["", "/", "/lbManager-status", "/lbManager-status/"] {
        let argument = format!("--prefix={prefix}");
        let ended = command(&rig, &["status", &argument]).await;
        assert_eq!(ended.code, Some(64), "{prefix:?}: {ended:?}");
    }
    succeeds(&rig, &["status", "--prefix=/lbManager/"]).await;
}
