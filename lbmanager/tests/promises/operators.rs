//! What operators do: releases, hosts that are retired, keys of the old form.

use serde_json::json;

use crate::real::{A, B, REGION, Rig};
use crate::world::{
    LONG, RELEASE_ALL, command, put_leased, release_all, succeeds, until_frozen, until_key,
};

const ROOT: &str = "/lbManager-status";

#[tokio::test]
async fn a_retired_host_is_forgotten_and_nothing_else() {
    let rig = Rig::idle().await;
    let gone = [
        "hosts/old/ipvs/edge/10.0.0.1:80",
        "hosts/old/ipvs/old/udp:10.0.0.2:53",
        "written/hosts/old",
        "frozen/hosts/old",
    ];
    let kept = [
        "hosts/old-2/ipvs/edge/10.0.0.1:80",
        "hosts/ol/ipvs/edge/10.0.0.1:80",
        "written/hosts/old-2",
        "frozen/hosts/old-2",
        "written/aws",
        "frozen/aws",
        "lb/elb/eu-west-1/old",
        "release/all",
    ];
    for key in gone.iter().chain(&kept) {
        rig.etcd.put(&format!("{ROOT}/{key}"), "{}").await.unwrap();
    }
    let member = "/lbManager/ipvs/old/10.0.0.1:80/multiple/10.0.0.2:80";
    rig.etcd.put(member, "").await.unwrap();
    let before = rig.etcd.get_prefix("").await.unwrap();
    succeeds(&rig, &["forget-host", "old"]).await;
    let mut expected = before;
    for key in gone {
        expected.remove(&format!("{ROOT}/{key}"));
    }
    assert_eq!(rig.etcd.get_prefix("").await.unwrap(), expected);
}

#[tokio::test]
async fn a_host_is_forgotten_below_the_given_prefix_only() {
    let rig = Rig::idle().await;
    let keys = [
        "/lbManager-status/written/hosts/old",
        "/b-status/written/hosts/old",
    ];
    for key in keys {
        rig.etcd.put(key, "{}").await.unwrap();
    }
    succeeds(&rig, &["forget-host", "old", "--prefix=/b"]).await;
    assert!(rig.etcd.get(keys[0]).await.unwrap().is_some());
    assert_eq!(rig.etcd.get(keys[1]).await.unwrap(), None);
}

#[tokio::test]
async fn a_host_whose_manager_is_alive_is_not_forgotten() {
    let rig = Rig::idle().await;
    let claim = json!({"machine_id": "1", "version": "1", "backends": ["ipvs"], "regions": ["h"]});
    let marker = format!("{ROOT}/written/hosts/h");
    rig.etcd
        .put(&format!("{ROOT}/managers/h/ipvs"), &claim.to_string())
        .await
        .unwrap();
    rig.etcd.put(&marker, "{}").await.unwrap();
    let ended = command(&rig, &["forget-host", "h"]).await;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(rig.etcd.get(&marker).await.unwrap().is_some());
}

#[tokio::test]
async fn hosts_without_a_claim_are_listed_apart() {
    let rig = Rig::idle().await;
    let status = json!({"revision": 2, "manager": "retired", "class": "multiple", "members": {}});
    let key = format!("{ROOT}/hosts/retired/ipvs/edge/10.0.0.1:80");
    rig.etcd.put(&key, &status.to_string()).await.unwrap();
    let member = "/lbManager/ipvs/edge/10.0.0.1:80/multiple/10.0.0.2:80";
    rig.etcd.put(member, "").await.unwrap();
    let shown = succeeds(&rig, &["status"]).await;
    let line = shown.lines().find(|line| line.contains("forget-host"));
    assert!(line.is_some_and(|line| line.contains("retired")), "{shown}");
}

/// One host is frozen and alive, one is frozen and not alive.
#[tokio::test]
async fn a_release_of_all_that_waits_says_who_is_released_who_is_frozen_and_who_is_not_alive() {
    let rig = Rig::serving("web", &[A, B]).await;
    let mut rig = rig;
    rig.etcd.wipe().await.unwrap();
    rig.put("web", &[A]).await;
    until_frozen(&rig).await;
    let frozen = json!({"why": "test", "at": "2026-11-20T12:00:00Z", "revision": 1}).to_string();
    rig.etcd
        .put(&format!("{ROOT}/frozen/hosts/dead-host"), &frozen)
        .await
        .unwrap();
    let ended = command(&rig, &["release", "--all", "--wait=20s"]).await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("dead-host"), "{said}");
    assert!(said.contains("not alive"), "{said}");
    assert!(said.contains("released"), "{said}");
    rig.until_registered("web", &[A]).await;
    // The key of a host that cannot be asked stays.
    let key = format!("{ROOT}/frozen/hosts/dead-host");
    assert!(rig.etcd.get(&key).await.unwrap().is_some());
    rig.stop().await;
}

#[tokio::test]
async fn managers_never_delete_releases() {
    let mut rig = Rig::serving("web", &[A]).await;
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    put_leased(&rig, "web", &[B], lease).await;
    rig.until_serving("web", &[A, B]).await;
    release_all(&rig).await;
    let balancer = format!("elb/{REGION}/web");
    succeeds(&rig, &["release", &balancer]).await;
    let value = until_key(&rig, RELEASE_ALL).await;
    for field in ["cluster", "revision", "by", "at"] {
        assert!(!value[field].is_null(), "no {field} in {value}");
    }
    rig.stop().await;
    rig.run().await;
    crate::world::apply_a_delete(&rig, "web", &[A, B]).await;
    assert_eq!(until_key(&rig, RELEASE_ALL).await, value);
    until_key(&rig, &format!("{ROOT}/release/elb/{REGION}/web")).await;
}

#[tokio::test]
async fn a_manager_that_was_stopped_at_the_release_follows_it_when_it_starts() {
    let mut rig = Rig::serving("web", &[A, B]).await;
    rig.etcd.wipe().await.unwrap();
    rig.put("web", &[A]).await;
    until_frozen(&rig).await;
    rig.kill().await;
    release_all(&rig).await;
    rig.run().await;
    rig.until_registered("web", &[A]).await;
    rig.until_gone(crate::world::FROZEN).await;
}

#[tokio::test]
async fn keys_of_the_old_form_are_reported_once_and_ignored() {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    let old = [
        format!("{ROOT}/managers/old-host"),
        format!("{ROOT}/lb/ipvs/edge/10.0.0.1:80/old-host"),
    ];
    for key in &old {
        rig.etcd.put(key, "{}").await.unwrap();
    }
    rig.run().await;
    rig.put("web", &[A, B]).await;
    rig.until_serving("web", &[A, B]).await;
    // Statuses may be named one by one or counted.
    let named = [old[0].as_str(), "/lbManager-status/lb/"];
    for name in named {
        rig.until_log(name).await;
    }
    // Written again they are not reported again.
    for key in &old {
        rig.etcd.put(key, "{}").await.unwrap();
    }
    crate::world::apply_a_delete(&rig, "web", &[A, B]).await;
    for name in named {
        let lines = rig.manager().lines();
        let count = lines.iter().filter(|line| line.text.contains(name)).count();
        assert_eq!(count, 1, "{name}: {}", rig.log());
    }
    for key in &old {
        assert!(rig.etcd.get(key).await.unwrap().is_some());
    }
}
