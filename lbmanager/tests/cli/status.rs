//! `status`.

use testbed::process::{Signal, Stream};

use crate::{DEADLINE, Rig, WEB, json};

const ONE: &str = "elb/us-east-1/web/multiple/i-00000001";
const STATUS: &str = "/lbManager-status/lb/elb/us-east-1/web";

const RECORD: &str = r#"{
    "revision": 2, "manager": "lb-1", "class": "multiple",
    "members": {
        "i-00000001": {"mod_revision": 2, "wanted": "serve", "state": "serving"},
        "i-00000002": {"wanted": "out", "state": "serving", "placed": true,
            "removal": {"reason": "lease-ended", "since": "2026-11-20T12:00:00.5Z"}}
    },
    "withheld": {"i-00000002": {"reason": "lease-ended", "why": "no more may leave",
        "until": "2199-01-01T00:00:00Z"}},
    "problems": ["config: the field \"x\" is not known"],
    "error": {"at": "2026-11-20T12:00:00Z", "what": "access denied"},
    "changes": [{"at": "2026-11-20T11:59:00Z", "action": "deregister", "count": 12,
        "members": ["i-00000003", "i-00000004"], "reason": "deleted"}]
}"#;

#[tokio::test]
async fn who_was_not_looked_at_is_shown_as_that() {
    let rig = Rig::start().await;
    assert_eq!(
        rig.ok(&["status"]).await,
        "The tree has no load balancer.\n"
    );
    rig.put(ONE, "").await;
    rig.put("elb/us-east-1/empty/config", "{}").await;
    rig.put("elb/us-east-1/web/both/i-00000001", "").await;
    let shown = rig.ok(&["status"]).await;
    for line in [
        "elb/us-east-1/web: 1 member(s) in the tree; no manager has looked yet\n",
        "elb/us-east-1/empty: no member in the tree, so it is not managed\n",
        "class \"both\" is not valid: single or multiple is expected\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let stderr = rig.fails(1, &["status", "elb/us-east-1/wbe"]).await;
    let there = "there are: elb/us-east-1/empty elb/us-east-1/web";
    assert!(stderr.contains(there), "{stderr}");
}

#[tokio::test]
async fn everything_that_a_manager_reports_is_shown() {
    let rig = Rig::start().await;
    rig.put(ONE, "").await;
    rig.etcd.put(STATUS, RECORD).await.unwrap();
    rig.put(ONE, r#"{"weight":2}"#).await;
    let shown = rig.ok(&["status", WEB]).await;
    for part in [
        "elb/us-east-1/web: class multiple, 1 of 1 serve, managed by lb-1\n",
        "the manager is at revision 2 yet; the tree is at 4\n",
        "ERROR since 2026-11-20T12:00:00Z (",
        "): access denied\n",
        "problem: config: the field \"x\" is not known\n",
        "  MEMBER      WANTED  STATE    DETAIL\n",
        "  i-00000001  serve   serving\n",
        "  i-00000002  out     serving  its lease ended, 2026-11-20T12:00:00Z (",
        "i-00000002 is not taken out though its lease ended: no more may leave; at the latest \
         2199-01-01T00:00:00Z (in ",
        "deregistered i-00000003 i-00000004 and 10 more: its key was deleted\n",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
}

#[tokio::test]
async fn json_has_the_record_as_it_is() {
    let rig = Rig::start().await;
    rig.put(ONE, "").await;
    rig.etcd.put(STATUS, RECORD).await.unwrap();
    let shown = json(&rig.ok(&["status", "--format=json"]).await);
    let web = &shown["load_balancers"][0];
    assert_eq!(web["load_balancer"], WEB);
    assert_eq!(web["members"], 1);
    assert_eq!(web["revision"], 2);
    let (status, record) = (&web["status"], json(RECORD));
    for field in ["manager", "withheld", "problems", "error", "changes"] {
        assert_eq!(status[field], record[field], "{field}");
    }
    assert_eq!(shown["ignored"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn each_host_of_a_virtual_service_is_shown() {
    let rig = Rig::start().await;
    let id = "ipvs/edge/10.0.0.1:80";
    rig.put(&format!("{id}/multiple/10.0.0.2:80"), "").await;
    for host in ["lb-1", "lb-2"] {
        let key = format!("/lbManager-status/hosts/{host}/{id}");
        rig.etcd.put(&key, RECORD).await.unwrap();
    }
    let shown = rig.ok(&["status"]).await;
    assert!(
        shown.contains("ipvs/edge/10.0.0.1:80 on lb-1: class"),
        "{shown}"
    );
    assert!(
        shown.contains("ipvs/edge/10.0.0.1:80 on lb-2: class"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_changes_is_shown_again_until_a_signal() {
    let rig = Rig::start().await;
    rig.put(ONE, "").await;
    let args = ["status", "--watch", "--format=json"];
    let mut running = rig.program(&args).start().await.unwrap();
    let line = running.wait_for_line(|_| true, DEADLINE).await.unwrap();
    assert_eq!(json(&line.text)["status"], json("null"));
    rig.etcd.put(STATUS, RECORD).await.unwrap();
    let with_status = |line: &str| line.contains("access denied");
    running.wait_for_line(with_status, DEADLINE).await.unwrap();
    rig.ok(&["rm", ONE]).await;
    let without_member =
        |line: &str| line.contains("access denied") && line.contains("\"members\":0");
    running
        .wait_for_line(without_member, DEADLINE)
        .await
        .unwrap();
    running.signal(Signal::SIGTERM).unwrap();
    assert_eq!(running.wait(DEADLINE).await.unwrap().code(), Some(0));
    assert_eq!(running.text(Stream::Stdout).lines().count(), 3);
}
