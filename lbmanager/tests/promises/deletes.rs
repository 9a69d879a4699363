//! Explicit deletes, up to the last key of the tree.

use crate::real::{A, B, Rig, key, status_key, withheld};
use crate::world::{
    LONG, assert_never_frozen, deregistrations, put_leased, release_all, until_frozen,
};

#[tokio::test]
async fn the_only_key_of_the_only_balancer_is_deleted_while_the_manager_runs() {
    let mut rig = Rig::serving("web", &[A]).await;
    rig.del("web", A).await;
    rig.until_registered("web", &[]).await;
    rig.until_gone(&status_key("web")).await;
    // A restart finds nothing wrong with the empty tree.
    rig.stop().await;
    rig.run().await;
    rig.put("web", &[B]).await;
    rig.until_serving("web", &[B]).await;
    assert_never_frozen(&rig).await;
}

#[tokio::test]
async fn the_only_key_of_the_only_balancer_is_deleted_while_the_manager_is_stopped() {
    let mut rig = Rig::serving("web", &[A]).await;
    rig.stop().await;
    rig.del("web", A).await;
    rig.run().await;
    rig.until_registered("web", &[]).await;
    rig.until_gone(&status_key("web")).await;
    assert_never_frozen(&rig).await;
}

#[tokio::test]
async fn the_only_key_of_the_only_balancer_is_deleted_after_the_manager_was_killed() {
    let mut rig = Rig::serving("web", &[A]).await;
    rig.kill().await;
    // As a prefix that matches this key alone.
    assert_eq!(rig.etcd.del_prefix(&key("web", A)).await.unwrap(), 1);
    rig.run().await;
    rig.until_registered("web", &[]).await;
    rig.until_gone(&status_key("web")).await;
    assert_never_frozen(&rig).await;
}

#[tokio::test]
async fn an_empty_tree_that_the_history_does_not_explain_is_frozen() {
    let mut rig = Rig::serving("web", &[A]).await;
    rig.stop().await;
    rig.del("web", A).await;
    rig.etcd.compact_now().await.unwrap();
    rig.run().await;
    until_frozen(&rig).await;
    rig.until_status("web", "A is held", |status| withheld(status).contains(A))
        .await;
    assert_eq!(deregistrations(&rig, "web"), 0);
    release_all(&rig).await;
    rig.until_registered("web", &[]).await;
}

#[tokio::test]
async fn a_key_that_says_leaving_was_deleted_explicitly_although_its_lease_is_gone() {
    let mut rig = Rig::serving("web", &[A]).await;
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    put_leased(&rig, "web", &[B], lease).await;
    rig.until_serving("web", &[A, B]).await;
    // Without A it is the last one, which an expired lease never removes.
    rig.del("web", A).await;
    rig.until_registered("web", &[B]).await;
    rig.stop().await;
    let leaving = r#"{"leaving": true}"#;
    rig.etcd
        .put_with_lease(&key("web", B), leaving, lease)
        .await
        .unwrap();
    rig.del("web", B).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    rig.run().await;
    rig.until_registered("web", &[]).await;
}
