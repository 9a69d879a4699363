//! The etcd rig against the real thing.

use std::time::{Duration, Instant};

use testbed::certs::Certificates;
use testbed::etcd::{Etcd, EtcdCluster};
use testbed::proxy::{Mode, Proxy};
use testbed::{Error, wait};

fn stderr<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Command { stderr, .. }) => stderr,
        other => panic!("expected a failed command, got {other:?}"),
    }
}

#[tokio::test]
async fn keys_and_leases_come_and_go() {
    let etcd = tokio::spawn(Etcd::start()).await.unwrap().unwrap();
    assert_eq!(etcd.get("a").await.unwrap(), None);
    let before = etcd.revision().await.unwrap();
    etcd.put("a", "-1").await.unwrap();
    etcd.put("ab", "two\nlines").await.unwrap();
    assert_eq!(etcd.revision().await.unwrap(), before + 2);
    assert_eq!(etcd.get("a").await.unwrap().as_deref(), Some("-1"));
    assert_eq!(etcd.get_prefix("a").await.unwrap()["ab"], "two\nlines");
    assert!(etcd.del("a").await.unwrap());
    assert!(!etcd.del("a").await.unwrap());
    assert_eq!(etcd.del_prefix("a").await.unwrap(), 1);

    let lease = etcd.lease_grant(60).await.unwrap();
    etcd.put_with_lease("leased", "x", lease).await.unwrap();
    assert_eq!(etcd.leases().await.unwrap(), [lease]);
    etcd.lease_revoke(lease).await.unwrap();
    assert_eq!(etcd.get("leased").await.unwrap(), None);

    let done = etcd
        .txn("version(\"t\") = \"0\"\n\nput t 1\n\nput t 2\n\n")
        .await
        .unwrap();
    assert!(done.starts_with("SUCCESS"), "{done}");
    assert!(stderr(etcd.etcdctl(&["no-such-command"]).await).contains("unknown command"));
}

#[tokio::test]
async fn it_serves_another_network_as_well() {
    let other = std::net::Ipv4Addr::new(127, 0, 0, 2);
    let etcd = Etcd::builder().address(other).start().await.unwrap();
    let there = etcd.at(&etcd.endpoint_at(other));
    there.put("a", "from there").await.unwrap();
    assert_eq!(etcd.get("a").await.unwrap().as_deref(), Some("from there"));
}

#[tokio::test]
async fn pause_kill_and_restart_keep_the_data_and_the_port() {
    let mut etcd = Etcd::start().await.unwrap();
    etcd.put("k", "v").await.unwrap();
    let endpoint = etcd.endpoint();

    etcd.pause().unwrap();
    assert!(
        etcd.etcdctl(&["--command-timeout=300ms", "get", "k"])
            .await
            .is_err()
    );
    etcd.resume().unwrap();
    assert_eq!(etcd.get("k").await.unwrap().as_deref(), Some("v"));

    etcd.kill().await.unwrap();
    assert_eq!(etcd.pid(), None);
    assert!(etcd.pause().is_err());
    etcd.restart().await.unwrap();
    etcd.restart().await.unwrap();
    assert_eq!(etcd.endpoint(), endpoint);
    assert_eq!(etcd.get("k").await.unwrap().as_deref(), Some("v"));

    etcd.stop().await.unwrap();
    etcd.stop().await.unwrap();
}

#[tokio::test]
async fn a_proxy_cuts_etcd_off() {
    let etcd = Etcd::start().await.unwrap();
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let through = etcd.at(&proxy.url());
    through.put("k", "v").await.unwrap();
    let short = [
        "--dial-timeout=300ms",
        "--command-timeout=300ms",
        "get",
        "k",
    ];
    for mode in [Mode::BlackHole, Mode::Refuse] {
        proxy.set(mode).await.unwrap();
        assert!(through.etcdctl(&short).await.is_err());
    }
    proxy.set(Mode::Forward).await.unwrap();
    assert_eq!(through.get("k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test]
async fn compaction_forgets_history() {
    let etcd = Etcd::start().await.unwrap();
    for value in ["1", "2", "3"] {
        etcd.put("k", value).await.unwrap();
    }
    let revision = etcd.compact_now().await.unwrap();
    assert_eq!(etcd.compact_now().await.unwrap(), revision);
    etcd.defrag().await.unwrap();
    let earlier = format!("--rev={}", revision - 1);
    assert!(stderr(etcd.etcdctl(&["get", "k", &earlier]).await).contains("has been compacted"));
}

#[tokio::test]
async fn a_snapshot_brings_the_past_back_and_a_wipe_brings_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("snapshot");
    let mut etcd = Etcd::start().await.unwrap();
    etcd.put("k", "old").await.unwrap();
    let then = etcd.revision().await.unwrap();
    etcd.snapshot(&snapshot).await.unwrap();
    etcd.put("k", "new").await.unwrap();
    let members = etcd.etcdctl(&["member", "list"]).await.unwrap();

    etcd.restore(&snapshot).await.unwrap();
    assert_eq!(etcd.get("k").await.unwrap().as_deref(), Some("old"));
    assert_eq!(etcd.revision().await.unwrap(), then);

    etcd.wipe().await.unwrap();
    assert_eq!(etcd.get("k").await.unwrap(), None);
    assert_eq!(etcd.revision().await.unwrap(), 1);
    assert_eq!(etcd.etcdctl(&["member", "list"]).await.unwrap(), members);
}

#[tokio::test]
async fn data_can_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("kept");
    let first = Etcd::builder().data_dir(&kept).start().await.unwrap();
    first.put("k", "v").await.unwrap();
    drop(first);
    // On other ports than it was made with: a member alone never dials itself.
    let second = Etcd::builder().data_dir(&kept).start().await.unwrap();
    assert_eq!(second.get("k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test]
async fn only_certificates_of_the_authority_get_in() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(directory.path()).unwrap();
    let etcd = Etcd::builder().tls(&certificates).start().await.unwrap();
    assert!(etcd.endpoint().starts_with("https://"));
    etcd.put("k", "v").await.unwrap();
    for bad in [&certificates.expired, &certificates.untrusted] {
        let refused = etcd.with_certificate(bad);
        assert!(
            refused
                .etcdctl(&["--dial-timeout=1s", "--command-timeout=1s", "get", "k"])
                .await
                .is_err()
        );
    }
    assert!(etcd.put_many([("a", "b")]).await.is_err());
}

#[tokio::test]
async fn users_are_kept_to_their_prefix() {
    let mut etcd = Etcd::builder().auth("secret").start().await.unwrap();
    etcd.add_user("web", "pw", "/web/").await.unwrap();
    let web = etcd.as_user("web", "pw");
    web.put("/web/a", "1").await.unwrap();
    web.put_many([("/web/b", "2")]).await.unwrap();
    assert!(stderr(web.put("/other", "1").await).contains("permission denied"));
    assert!(web.put_many([("/other", "2")]).await.is_err());
    assert!(
        stderr(etcd.as_user("web", "wrong").get("/web/a").await).contains("authentication failed")
    );
    etcd.restart().await.unwrap();
    assert_eq!(etcd.get_prefix("/").await.unwrap().len(), 2);
    etcd.wipe().await.unwrap();
    etcd.put("/k", "v").await.unwrap();
    assert!(web.put("/web/a", "1").await.is_err());
}

#[tokio::test]
async fn a_hundred_thousand_keys_take_seconds() {
    let etcd = Etcd::start().await.unwrap();
    let begin = Instant::now();
    let value = "x".repeat(200);
    etcd.put_many((0..100_000).map(|n| (format!("/bulk/{n:06}"), &value)))
        .await
        .unwrap();
    println!("100,000 keys in {:?}", begin.elapsed());
    assert_eq!(etcd.count("/bulk/").await.unwrap(), 100_000);
    assert!(begin.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn extra_arguments_reach_etcd() {
    let etcd = Etcd::builder()
        .arg("--quota-backend-bytes=1048576")
        .start()
        .await
        .unwrap();
    let value = "x".repeat(100_000);
    let full = wait::until(
        "the quota to be reached",
        Duration::from_secs(20),
        async || match etcd
            .put_many([("k", &value), ("l", &value), ("m", &value)])
            .await
        {
            Ok(_) => Err("there is space".to_owned()),
            Err(error) => Ok(error.to_string()),
        },
    );
    assert!(full.await.unwrap().contains("space exceeded"));
    let refused = Etcd::builder()
        .arg("--no-such-flag")
        .start()
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Ended { .. }), "{refused}");
}

#[tokio::test]
async fn a_cluster_survives_its_leader() {
    let mut cluster = EtcdCluster::start(3).await.unwrap();
    cluster.put("k", "v").await.unwrap();
    let first = cluster.leader().await.unwrap();
    cluster.kill(first).await.unwrap();
    let second = cluster.leader().await.unwrap();
    assert_ne!(first, second);
    assert_eq!(
        cluster.client_of(second).get("k").await.unwrap().as_deref(),
        Some("v")
    );
    cluster.restart(first).await.unwrap();
    cluster.move_leader(first).await.unwrap();
    assert_eq!(cluster.leader().await.unwrap(), first);
    cluster.pause(first).unwrap();
    assert_ne!(cluster.leader().await.unwrap(), first);
    cluster.put("k", "v2").await.unwrap();
    cluster.resume(first).unwrap();
    for index in 0..3 {
        cluster.kill(index).await.unwrap();
    }
    cluster.restart(0).await.unwrap();
    cluster.restart_all().await.unwrap();
    assert_eq!(cluster.get("k").await.unwrap().as_deref(), Some("v2"));
}
