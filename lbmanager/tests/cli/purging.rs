//! `purge` and `release`.

use testbed::aws::Aws;

use crate::{DEADLINE, Rig, WEB};

const ONE: &str = "elb/us-east-1/web/multiple/i-00000001";

#[tokio::test]
async fn a_purge_of_a_lone_member_leaves_it_registered() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    let web = aws.create("us-east-1", "web");
    let _manager = rig.manager(&aws).await;
    rig.ok(&["set", ONE, "--wait=50s"]).await;
    let said = rig.ok(&["purge", WEB, "--wait=50s"]).await;
    assert!(
        said.contains("deleted keys of 1 member(s): i-00000001"),
        "{said}"
    );
    assert!(said.contains("1 stay registered: i-00000001"), "{said}");
    assert!(
        said.contains("no manager has a status of it any more"),
        "{said}"
    );
    assert!(web.in_service().contains("i-00000001"));
    assert_eq!(rig.etcd.count("/lbManager/").await.unwrap(), 0);
}

#[tokio::test]
async fn a_purge_of_many_members_is_one_revision() {
    let rig = Rig::start().await;
    rig.etcd
        .put_many((0..300).map(|n| (format!("/lbManager/{WEB}/multiple/i-{n:08}"), "")))
        .await
        .unwrap();
    rig.put("elb/us-east-1/web2/multiple/i-00000001", "").await;
    let before = rig.etcd.revision().await.unwrap();
    let said = rig.ok(&["purge", WEB]).await;
    assert!(said.contains("deleted keys of 300 member(s)"), "{said}");
    assert!(said.contains("no manager had looked at it"), "{said}");
    assert_eq!(
        rig.etcd.revision().await.unwrap(),
        before + 2,
        "config, purge"
    );
    assert_eq!(rig.keys(WEB).await, [""; 0]);
    assert_eq!(
        rig.keys("elb/us-east-1/web2").await,
        ["multiple/i-00000001"]
    );
}

#[tokio::test]
async fn what_is_not_managed_cannot_be_purged_or_released() {
    let rig = Rig::start().await;
    rig.put("elb/us-east-1/web/config", "{}").await;
    let stderr = rig.fails(1, &["purge", WEB]).await;
    assert!(stderr.contains("has no member in the tree"), "{stderr}");
    assert_eq!(rig.keys(WEB).await, ["config"]);
    let stderr = rig.fails(1, &["release", "elb/us-east-1/wbe"]).await;
    assert!(stderr.contains("is not in the tree"), "{stderr}");
    assert_eq!(rig.etcd.count("/lbManager-status/").await.unwrap(), 0);
}

#[tokio::test]
async fn a_release_lets_strangers_go_and_is_over_then() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    let web = aws
        .create("us-east-1", "web")
        .instances(["i-0000000a", "i-0000000b"]);
    let manager = rig.manager(&aws).await;
    rig.put(ONE, "").await;
    let status = "/lbManager-status/lb/elb/us-east-1/web";
    testbed::wait::until("the strangers to be withheld", DEADLINE, || async {
        match rig.etcd.get(status).await.unwrap() {
            Some(status) if status.contains("more than half") => Ok(()),
            other => Err(other),
        }
    })
    .await
    .unwrap();
    let said = rig.ok(&["release", WEB, "--wait=50s"]).await;
    let reason = "the tree does not list it, and did not put it there";
    assert!(
        said.contains(&format!("{WEB}: i-0000000a: {reason}")),
        "{said}"
    );
    assert!(said.ends_with(&format!("{WEB}: done\n")), "{said}");
    assert_eq!(Vec::from_iter(web.registered()), ["i-00000001"]);
    drop(manager);
    let said = rig.ok(&["release", "--all"]).await;
    assert!(said.contains("nothing was held"), "{said}");
    let key = "/lbManager-status/release/all";
    assert!(rig.etcd.get(key).await.unwrap().is_some());
}
