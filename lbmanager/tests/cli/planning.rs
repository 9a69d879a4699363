//! `plan`.

use testbed::aws::Aws;
use testbed::lbmanager::environment;

use crate::{Answer, Rig, WEB, finish, json};

const ONE: &str = "elb/us-east-1/web/multiple/i-00000001";
const TWO: &str = "elb/us-east-1/web/multiple/i-00000002";

async fn plan(rig: &Rig, aws: &Aws, more: &[&str]) -> Answer {
    let args = [&["plan"], more].concat();
    finish(rig.program(&args).envs(environment(aws))).await
}

#[tokio::test]
async fn a_plan_says_what_is_to_be_done_and_does_nothing() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    aws.create("us-east-1", "web")
        .instances(["i-00000001", "i-00000002", "i-0000000a"]);
    rig.put(ONE, "").await;
    rig.put(TWO, "").await;
    let answer = plan(&rig, &aws, &[]).await;
    assert_eq!(answer.code, Some(2), "{answer:?}");
    for part in [
        "elb/us-east-1/web, class multiple: 0 to be put in, 1 to be taken out, 0 withheld\n",
        "  - i-0000000a  take out: the tree does not list it, and did not put it there; once",
        "Nothing was changed.\n",
    ] {
        assert!(answer.stdout.contains(part), "{part:?}: {answer:?}");
    }
    rig.put("elb/us-east-1/web/multiple/i-00000003", "").await;
    let before = rig.etcd.revision().await.unwrap();
    let planned = plan(&rig, &aws, &[WEB, "--format=json"]).await;
    assert_eq!(planned.code, Some(2), "{planned:?}");
    let planned = json(&planned.stdout);
    assert_eq!(planned["in_sync"], false);
    let web = &planned["load_balancers"][0];
    assert_eq!(web["register"][0]["member"], "i-00000003");
    assert_eq!(web["withheld"][0]["member"], "i-0000000a");
    assert_eq!(web["withheld"][0]["reason"], "stranger");
    assert_eq!(web["waiting"], true);
    assert_eq!(rig.etcd.revision().await.unwrap(), before);
    assert_eq!(aws.calls().writes().len(), 0);
}

#[tokio::test]
async fn a_plan_after_a_manager_is_in_sync() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    let web = aws.create("us-east-1", "web");
    rig.put(ONE, "").await;
    manage_once(&rig, &aws).await;
    assert!(web.in_service().contains("i-00000001"));
    let answer = plan(&rig, &aws, &[]).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let first = "elb/us-east-1/web, class multiple: in sync\n";
    assert!(answer.stdout.starts_with(first), "{answer:?}");
    web.tamper_deregister("i-00000001");
    assert_eq!(plan(&rig, &aws, &[]).await.code, Some(2), "drift");
}

#[tokio::test]
async fn a_plan_knows_why_members_are_gone_that_left_while_nobody_looked() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    aws.create("us-east-1", "web");
    let lease = rig.etcd.lease_grant(600).await.unwrap();
    rig.put(ONE, "").await;
    rig.put(TWO, "").await;
    let third = "/lbManager/elb/us-east-1/web/multiple/i-00000003";
    rig.etcd.put_with_lease(third, "", lease).await.unwrap();
    manage_once(&rig, &aws).await;
    rig.ok(&["rm", TWO]).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    let answer = plan(&rig, &aws, &[]).await;
    assert_eq!(answer.code, Some(2), "{answer:?}");
    for part in [
        "  - i-00000002  take out: its key was deleted\n",
        "  - i-00000003  take out: its lease ended\n",
    ] {
        assert!(answer.stdout.contains(part), "{part:?}: {answer:?}");
    }
    rig.ok(&["purge", WEB]).await;
    let answer = plan(&rig, &aws, &[]).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stdout.contains("web: in sync\n"), "{answer:?}");
}

#[tokio::test]
async fn a_plan_says_what_would_be_withheld_and_why() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    aws.create("us-east-1", "web").instances(["i-0000000a"]);
    rig.put(ONE, "").await;
    let answer = plan(&rig, &aws, &[]).await;
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let held = "  ! i-0000000a  withheld, though the tree does not list it";
    assert!(answer.stdout.contains(held), "{answer:?}");
    assert!(answer.stdout.contains("more than half"), "{answer:?}");
    rig.ok(&["pause", WEB]).await;
    let answer = plan(&rig, &aws, &[]).await;
    assert!(
        answer.stdout.contains("problem: paused; go on with"),
        "{answer:?}"
    );
    assert!(
        answer.stdout.contains("0 to be put in, 0 to be taken"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_load_balancer_that_cannot_be_looked_at_is_told_beside_the_others() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    aws.create("us-east-1", "web");
    rig.put(ONE, "").await;
    rig.put("elb/us-east-1/wbe/multiple/i-00000001", "").await;
    let answer = plan(&rig, &aws, &[]).await;
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let unseen = "elb/us-east-1/wbe, class multiple: cannot be looked at: ";
    assert!(answer.stdout.contains(unseen), "{answer:?}");
    assert!(answer.stdout.contains("+ i-00000001"), "{answer:?}");
    rig.put("ipvs/lb-1/10.0.0.1:80/multiple/10.0.0.2:80", "")
        .await;
    let answer = plan(&rig, &aws, &["ipvs/lb-1/10.0.0.1:80"]).await;
    assert_eq!(answer.code, Some(64), "{answer:?}");
    assert!(answer.stderr.contains("--ipvs-region"), "{answer:?}");
}

async fn manage_once(rig: &Rig, aws: &Aws) {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().to_str().unwrap();
    let args = ["run", "--once", "--settle=0s", "--state-dir", directory];
    let answer = finish(rig.program(&args).envs(environment(aws))).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
}
