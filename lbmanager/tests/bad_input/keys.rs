use testbed::http;

use crate::real::{A, B, C, REGION, Rig};

/// Keys that mean nothing, and what is said of each.
const MALFORMED: [(&str, &str); 12] = [
    ("/lbManager/elb/eu-west-1/web/multiple", "4 segments"),
    (
        "/lbManager/elb/eu-west-1/web/multiple/i-00000001/port",
        "6 segments",
    ),
    ("/lbManager/elb", "1 segments"),
    ("/lbManager/", "1 segments"),
    (
        "/lbManager/elc/eu-west-1/web/multiple/i-00000001",
        "one of elb, elbv2, route53, ipvs is expected",
    ),
    (
        "/lbManager/elb/EU_WEST/web/multiple/i-00000001",
        "region \"EU_WEST\"",
    ),
    ("/lbManager/elb//web/multiple/i-00000001", "region \"\""),
    (
        "/lbManager/elb/eu-west-1/a_b/multiple/i-00000001",
        "\"a_b\" is not valid",
    ),
    (
        "/lbManager/elb/eu-west-1/web/many/i-00000001",
        "class \"many\"",
    ),
    (
        "/lbManager/elb/eu-west-1/web/multiple/10.0.0.1",
        "\"10.0.0.1\" is not valid",
    ),
    (
        "/lbManager/elb/eu-west-1/web/multiple/I-00000001",
        "\"I-00000001\" is not valid",
    ),
    (
        "/lbManager/route53/global/Z1/multiple/10.0.0.1",
        "<zone-id>/<fqdn>",
    ),
];

#[tokio::test]
async fn each_malformed_key_is_told_once_and_ignored() {
    let mut rig = Rig::idle().await;
    let port = testbed::ports::free().unwrap();
    rig.set(|launch| {
        launch
            .arg("--resync=1s")
            .arg(format!("--listen=127.0.0.1:{port}"))
    });
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.run().await;
    rig.until_serving("web", &[A]).await;
    for (key, _) in MALFORMED {
        rig.etcd.put(key, "").await.unwrap();
    }
    rig.put("web", &[B]).await;
    rig.until_registered("web", &[A, B]).await;
    for (key, _) in MALFORMED {
        rig.etcd.put(key, "again").await.unwrap();
    }
    rig.put("web", &[C]).await;
    rig.until_serving("web", &[A, B, C]).await;
    rig.assert_kept("web", &[A, B, C]);

    let metrics = http::get(&format!("http://127.0.0.1:{port}/metrics")).await;
    let metrics = metrics.unwrap().body;
    let count = format!("lbmanager_keys_malformed {}", MALFORMED.len());
    assert!(metrics.contains(&count), "{metrics}");
    let log = rig.log();
    for (key, words) in MALFORMED {
        let quoted = format!("key {key:?}");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&quoted)).collect();
        assert_eq!(lines.len(), 1, "{key}: {log}");
        assert!(lines[0].contains(words), "{words:?} is not in {}", lines[0]);
    }
}

#[tokio::test]
async fn a_malformed_key_that_is_there_at_the_start_is_told_too() {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    let (key, words) = MALFORMED[4];
    rig.etcd.put(key, "").await.unwrap();
    rig.put("web", &[A]).await;
    rig.run().await;
    rig.until_serving("web", &[A]).await;
    rig.until_log(words).await;
    assert!(rig.etcd.del(key).await.unwrap());
    rig.put("web", &[B]).await;
    rig.until_serving("web", &[A, B]).await;
}
