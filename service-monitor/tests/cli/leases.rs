//! `leases`.

use serde_json::Value;
use testbed::process::Signal;

use crate::acquire::{leases, until_waiting};
use crate::rig::{Rig, SOON};

async fn hold(rig: &Rig, id: &str) {
    let args = [
        "acquire-lease",
        "--label=web",
        "--host-id=one",
        "--service-id",
        id,
    ];
    rig.ok(&args).await;
}

#[tokio::test]
async fn it_says_who_holds_and_who_waits_and_for_how_long() {
    let rig = Rig::start().await;
    let nobody = rig.ok(&["leases", "--label=web"]).await;
    assert_eq!(nobody, "web: 0 of 1 (by default) held, 0 waiting\n");
    hold(&rig, "a").await;
    let waits = [
        "acquire-lease",
        "--label=web",
        "--host-id=two",
        "--service-id=b",
    ];
    let _waits = rig.program(&waits).start().await.unwrap();
    until_waiting(&rig, 1).await;
    let said = rig.ok(&["leases", "--label=web"]).await;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "web: 1 of 1 (by default) held, 1 waiting");
    assert!(
        lines[1].starts_with("  held     a  on one  since 20"),
        "{said}"
    );
    assert!(lines[1].contains("s left  token "), "{said}");
    assert!(
        lines[2].starts_with("  waiting  b  on two  since 20"),
        "{said}"
    );
    let json = leases(&rig).await;
    assert_eq!(json["label"], "web");
    assert_eq!(json["slots"], 1);
    let (held, waits) = (&json["holders"][0], &json["waiting"][0]);
    assert_eq!(
        (&held["service_id"], &held["host"]),
        (&"a".into(), &"one".into())
    );
    assert_eq!(
        (&waits["service_id"], &waits["host"]),
        (&"b".into(), &"two".into())
    );
    assert!(waits["token"].as_i64() > held["token"].as_i64());
    assert_eq!(waits.get("seconds_left"), None);
}

#[tokio::test]
async fn odd_keys_are_shown_as_they_are() {
    let rig = Rig::start().await;
    rig.etcd
        .put("/service-monitor/web/lease/slots", "many")
        .await
        .unwrap();
    rig.etcd
        .put("/service-monitor/web/lease/queue/odd", "x")
        .await
        .unwrap();
    let said = rig.ok(&["leases", "--label=web"]).await;
    let first = "web: 1 of 1 (slots is \"many\", which is no number) held, 0 waiting\n";
    assert!(said.starts_with(first), "{said}");
    assert!(
        said.contains("  held  odd  ?  ?  no lease  token "),
        "{said}"
    );
}

#[tokio::test]
async fn it_follows() {
    let rig = Rig::start().await;
    let args = ["leases", "--label=web", "--format=json", "--watch"];
    let mut follows = rig.program(&args).start().await.unwrap();
    let shows = |held: &'static [&str]| {
        move |line: &str| {
            let json: Value = serde_json::from_str(line).unwrap_or_default();
            let holders = json["holders"].as_array();
            holders.is_some_and(|now| now.iter().map(|one| &one["service_id"]).eq(held))
        }
    };
    follows.wait_for_line(shows(&[]), SOON).await.unwrap();
    hold(&rig, "a").await;
    follows.wait_for_line(shows(&["a"]), SOON).await.unwrap();
    rig.ok(&["set-slots", "--label=web", "2"]).await;
    hold(&rig, "b").await;
    follows
        .wait_for_line(shows(&["a", "b"]), SOON)
        .await
        .unwrap();
    follows.signal(Signal::SIGTERM).unwrap();
    assert!(follows.wait(SOON).await.unwrap().success());
}
