//! `set`, `rm`, `drain`, `undrain`, `pause`, `resume`.

use testbed::aws::Aws;
use tokio::time::Instant;

use crate::{DEADLINE, Rig, WEB, json};

const ONE: &str = "elb/us-east-1/web/multiple/i-00000001";
const TWO: &str = "elb/us-east-1/web/multiple/i-00000002";

#[tokio::test]
async fn a_member_is_put_in_and_taken_out_by_its_key() {
    let rig = Rig::start().await;
    let said = rig.ok(&["set", ONE]).await;
    assert!(
        said.starts_with(&format!("{ONE}: written at revision ")),
        "{said}"
    );
    assert_eq!(rig.value(ONE).await.as_deref(), Some(""));
    let whole = format!("/lbManager/{ONE}");
    rig.ok(&["rm", &whole]).await;
    assert_eq!(rig.value(ONE).await, None);
}

#[tokio::test]
async fn a_key_to_be_deleted_that_is_missing_is_told_with_those_there_are() {
    let rig = Rig::start().await;
    rig.put(TWO, "").await;
    let stderr = rig.fails(1, &["rm", ONE]).await;
    let expected = format!("{ONE} is not in the tree; there are: multiple/i-00000002");
    assert!(stderr.contains(&expected), "{stderr}");
    let stderr = rig.fails(1, &["drain", WEB, "i-00000001"]).await;
    assert!(
        stderr.contains("there are: multiple/i-00000002"),
        "{stderr}"
    );
    assert_eq!(rig.keys(WEB).await, ["multiple/i-00000002"]);
}

#[tokio::test]
async fn flags_change_one_option_and_keep_the_others_and_the_lease() {
    let rig = Rig::start().await;
    let lease = rig.etcd.lease_grant(600).await.unwrap();
    let key = format!("/lbManager/{ONE}");
    let value = r#"{"ready":false,"note":"x","since":3}"#;
    rig.etcd.put_with_lease(&key, value, lease).await.unwrap();
    let said = rig.ok(&["set", ONE, "--weight", "5", "--drain"]).await;
    assert!(
        said.contains("on the lease of whoever publishes it"),
        "{said}"
    );
    let value = rig.value(ONE).await.unwrap();
    assert_eq!(
        value,
        r#"{"drain":true,"note":"x","ready":false,"weight":5}"#
    );
    assert_eq!(rig.field(ONE, "lease").await, lease);
    rig.ok(&["set", ONE, r#"{"weight": 7}"#]).await;
    assert_eq!(rig.value(ONE).await.as_deref(), Some(r#"{"weight":7}"#));
    assert_eq!(rig.field(ONE, "lease").await, lease);
}

#[tokio::test]
async fn the_other_class_is_refused_and_switched_to_in_one_revision() {
    let rig = Rig::start().await;
    let lease = rig.etcd.lease_grant(600).await.unwrap();
    let key = format!("/lbManager/{ONE}");
    rig.etcd.put_with_lease(&key, "", lease).await.unwrap();
    rig.put(TWO, r#"{"weight":2}"#).await;
    let ranks = [
        rig.field(ONE, "mod_revision").await,
        rig.field(TWO, "mod_revision").await,
    ];
    let single = "elb/us-east-1/web/single/i-00000003";
    let stderr = rig.fails(1, &["set", single]).await;
    assert!(
        stderr.contains("has 2 member(s) in class multiple"),
        "{stderr}"
    );
    let answer = rig.run(&["set", single, "--switch-class"]).await;
    let said = "2 moved over to class single";
    assert!(answer.stdout.contains(said), "{answer:?}");
    let warned = "1 of those that moved over are published";
    assert!(answer.stderr.contains(warned), "{answer:?}");
    let expected = [
        "single/i-00000001",
        "single/i-00000002",
        "single/i-00000003",
    ];
    assert_eq!(rig.keys(WEB).await, expected);
    let moved = [
        "elb/us-east-1/web/single/i-00000001",
        "elb/us-east-1/web/single/i-00000002",
    ];
    let at = rig.field(single, "mod_revision").await;
    for key in moved {
        assert_eq!(rig.field(key, "mod_revision").await, at);
    }
    assert_eq!(rig.field(moved[0], "lease").await, lease);
    let since = format!(r#"{{"since":{}}}"#, ranks[0]);
    assert_eq!(
        rig.value(moved[0]).await,
        Some(since),
        "the one named is to serve"
    );
    let since = format!(r#"{{"since":{},"weight":2}}"#, ranks[1]);
    assert_eq!(rig.value(moved[1]).await, Some(since));
    assert_eq!(rig.value(single).await.as_deref(), Some(""));
}

#[tokio::test]
async fn more_members_than_a_transaction_takes_are_not_moved_over() {
    let rig = Rig::start().await;
    for n in 0..65 {
        rig.put(&format!("{WEB}/multiple/i-000000{n:02}"), "").await;
    }
    let single = "elb/us-east-1/web/single/i-00000001";
    let stderr = rig.fails(1, &["set", single, "--switch-class"]).await;
    assert!(
        stderr.contains("65 members are too many to move over"),
        "{stderr}"
    );
    assert!(
        stderr.contains("etcdctl del --prefix /lbManager/elb/us-east-1/web/multiple/"),
        "{stderr}"
    );
    assert_eq!(rig.keys(WEB).await.len(), 65);
    rig.ok(&["rm", "elb/us-east-1/web/multiple/i-00000064"])
        .await;
    rig.ok(&["set", single, "--switch-class"]).await;
    assert_eq!(rig.keys(&format!("{WEB}/single")).await.len(), 64);
}

#[tokio::test]
async fn a_drained_member_keeps_everything_else() {
    let rig = Rig::start().await;
    let lease = rig.etcd.lease_grant(600).await.unwrap();
    let key = format!("/lbManager/{ONE}");
    let value = r#"{"weight":5,"note":{"a":[1]}}"#;
    rig.etcd.put_with_lease(&key, value, lease).await.unwrap();
    rig.ok(&["drain", ONE]).await;
    let drained = r#"{"drain":true,"note":{"a":[1]},"weight":5}"#;
    assert_eq!(rig.value(ONE).await.as_deref(), Some(drained));
    assert_eq!(rig.field(ONE, "lease").await, lease);
    let at = rig.field(ONE, "mod_revision").await;
    let said = rig.ok(&["drain", WEB, "i-00000001"]).await;
    assert_eq!(
        said,
        format!("{ONE}: drained already; nothing was written\n")
    );
    assert_eq!(rig.field(ONE, "mod_revision").await, at);
    rig.ok(&["undrain", WEB, "i-00000001"]).await;
    let back = r#"{"note":{"a":[1]},"weight":5}"#;
    assert_eq!(rig.value(ONE).await.as_deref(), Some(back));
    assert_eq!(rig.field(ONE, "lease").await, lease);
}

#[tokio::test]
async fn draining_and_back_does_not_change_which_single_member_serves() {
    let rig = Rig::start().await;
    let old = "elb/us-east-1/web/single/i-00000001";
    rig.put(old, "").await;
    let rank = rig.field(old, "mod_revision").await;
    rig.put("elb/us-east-1/web/single/i-00000002", "").await;
    rig.ok(&["drain", old]).await;
    rig.ok(&["undrain", old]).await;
    let since = format!(r#"{{"since":{rank}}}"#);
    assert_eq!(rig.value(old).await, Some(since));
    rig.ok(&["set", old]).await;
    assert_eq!(rig.value(old).await.as_deref(), Some(""), "the rollback");
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_shown_and_kept() {
    let rig = Rig::start().await;
    for value in [r#"{"weight":"#, r#"{"weight":"five"}"#] {
        rig.put(ONE, value).await;
        for args in [["drain", ONE].as_slice(), &["set", ONE, "--weight=5"]] {
            let stderr = rig.fails(78, args).await;
            let shown = format!("The value is: {value}");
            assert!(stderr.contains(&shown), "{args:?}: {stderr}");
            assert_eq!(rig.value(ONE).await.as_deref(), Some(value));
        }
    }
    rig.ok(&["set", ONE, r#"{"weight":5}"#]).await;
    assert_eq!(rig.value(ONE).await.as_deref(), Some(r#"{"weight":5}"#));
}

#[tokio::test]
async fn a_pause_changes_one_option_of_the_config() {
    let rig = Rig::start().await;
    let config = "elb/us-east-1/web/config";
    rig.put(config, r#"{"adopt":true}"#).await;
    rig.put(ONE, "").await;
    rig.ok(&["pause", WEB]).await;
    let paused = r#"{"adopt":true,"paused":true}"#;
    assert_eq!(rig.value(config).await.as_deref(), Some(paused));
    assert!(rig.ok(&["pause", WEB]).await.contains("paused already"));
    rig.ok(&["pause", "--all"]).await;
    assert_eq!(
        rig.value("config").await.as_deref(),
        Some(r#"{"paused":true}"#)
    );
    let answer = rig.run(&["resume", WEB]).await;
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(
        answer.stderr.contains("lbmanager resume --all"),
        "{answer:?}"
    );
    assert_eq!(
        rig.value(config).await.as_deref(),
        Some(r#"{"adopt":true}"#)
    );
    rig.ok(&["resume", "--all"]).await;
    assert_eq!(rig.value("config").await, None);
}

#[tokio::test]
async fn whose_own_config_says_otherwise_is_named_when_everything_is_paused() {
    let rig = Rig::start().await;
    rig.put("elb/us-east-1/web/config", r#"{"paused":false}"#)
        .await;
    let answer = rig.run(&["pause", "--all"]).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("NOT paused"), "{answer:?}");
    assert!(answer.stderr.contains(WEB), "{answer:?}");
}

#[tokio::test]
async fn waiting_ends_when_the_member_serves_and_when_it_is_out() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    let web = aws.create("us-east-1", "web");
    let _manager = rig.manager(&aws).await;
    rig.ok(&["set", ONE, "--wait=50s"]).await;
    assert!(web.in_service().contains("i-00000001"));
    rig.ok(&["set", TWO, "--wait=50s"]).await;
    rig.ok(&["drain", ONE, "--wait=50s"]).await;
    assert!(!web.registered().contains("i-00000001"));
    rig.ok(&["undrain", ONE, "--wait=50s"]).await;
    assert!(web.in_service().contains("i-00000001"));
    rig.ok(&["rm", TWO, "--wait=50s"]).await;
    assert!(!web.registered().contains("i-00000002"));
}

#[tokio::test]
async fn waiting_for_nobody_ends_and_says_so() {
    let rig = Rig::start().await;
    let answer = rig.run(&["set", ONE, "--wait=100ms"]).await;
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let words = "not done after 100ms: no manager has looked at the load balancer";
    assert!(answer.stderr.contains(words), "{answer:?}");
    assert!(
        rig.value(ONE).await.is_some(),
        "it was written all the same"
    );
}

#[tokio::test]
async fn what_two_write_at_once_is_both_there() {
    let rig = Rig::start().await;
    rig.put(ONE, "{}").await;
    for weight in 1..=10 {
        let weight_flag = format!("--weight={weight}");
        let weigh = ["set", ONE, &weight_flag];
        let (drain, back) = (["drain", ONE], ["undrain", ONE]);
        let flip = if weight % 2 == 1 { &drain } else { &back };
        tokio::join!(rig.ok(&weigh), rig.ok(flip));
        let value = json(&rig.value(ONE).await.unwrap());
        assert_eq!(value["weight"], weight, "{value}");
        assert_eq!(value["drain"] == true, weight % 2 == 1, "{value}");
    }
}

#[tokio::test]
async fn switching_the_class_leaves_no_moment_without_a_member() {
    let rig = Rig::start().await;
    let aws = Aws::start().await.unwrap();
    let web = aws.create("us-east-1", "web");
    let _manager = rig.manager(&aws).await;
    rig.ok(&["set", ONE, "--wait=50s"]).await;
    rig.ok(&["set", TWO, "--wait=50s"]).await;
    let begin = Instant::now();
    let single = "elb/us-east-1/web/single/i-00000003";
    rig.ok(&["set", single, "--switch-class", "--wait=50s"])
        .await;
    let only = |aws: &Aws, id: &str| Vec::from_iter(aws.registered("us-east-1", "web")) == [id];
    let alone = aws.wait_until("one to serve", |aws| only(aws, "i-00000003"), DEADLINE);
    alone.await.unwrap();
    rig.ok(&["set", ONE, "--switch-class", "--wait=50s"]).await;
    let all = aws.wait_until("all to serve", |_| web.in_service().len() == 3, DEADLINE);
    all.await.unwrap();
    let timeline = web.timeline();
    assert!(timeline.min_in_service_between(begin, Instant::now()) > 0);
}
