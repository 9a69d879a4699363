//! With lbmanager itself, and a load balancer of the simulated AWS.

use presence::store::etcd::{EtcdConfig, EtcdStore};
use testbed::aws::Aws;
use testbed::etcd::Etcd;
use testbed::lbmanager::Launch;

use super::*;

#[tokio::test]
async fn it_is_served_when_the_load_balancer_serves_it_and_out_when_it_gets_no_more() {
    let etcd = Etcd::start().await.unwrap();
    let aws = Aws::start().await.unwrap();
    let web = aws.create("us-east-1", "web");
    let web = web
        .health_delay(Duration::from_secs(1))
        .draining(Duration::from_secs(2));
    aws.instances().add("i-0123abcd").add("i-99999999");
    let launch = Launch::new(&etcd, &aws).unwrap().args(["--settle=100ms"]);
    let manager = launch.start().await.unwrap();
    manager.wait_ready(DEADLINE).await.unwrap();
    let store = EtcdStore::connect(EtcdConfig::plain([etcd.endpoint()]))
        .await
        .unwrap();
    let other = "/lbManager/elb/us-east-1/web/multiple/i-99999999";
    etcd.put(other, "").await.unwrap();
    let state = tempfile::tempdir().unwrap();

    let mut running = Running::start(&store, "7-0a1b2c3d", &format!("[{ELB}]"), state.path());
    running.want(Publish::Ready);
    let standing = running.served().await;
    assert!(web.in_service().contains("i-0123abcd"), "{standing:?}");
    assert_eq!(standing.keys.words, "");

    running.want(Publish::Nothing);
    running.until("withdrawn", |now| now.keys.withdrawn).await;
    assert!(!web.in_service().contains("i-0123abcd"));
    assert!(!web.registered().contains("i-0123abcd"));
    // How long AWS drains it no manager is told.
    assert!(!running.standing.borrow().drained);
    running.stop().await;
}

#[tokio::test]
async fn why_the_load_balancer_does_not_take_it_is_said() {
    let etcd = Etcd::start().await.unwrap();
    let aws = Aws::start().await.unwrap();
    let _web = aws.create("us-east-1", "web");
    aws.instances().strict(true).add("i-99999999");
    let launch = Launch::new(&etcd, &aws).unwrap().args(["--settle=100ms"]);
    let manager = launch.start().await.unwrap();
    manager.wait_ready(DEADLINE).await.unwrap();
    let store = EtcdStore::connect(EtcdConfig::plain([etcd.endpoint()]))
        .await
        .unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut running = Running::start(&store, "7-0a1b2c3d", &format!("[{ELB}]"), state.path());
    running.want(Publish::Ready);
    let refused = |now: &Standing| {
        let words = &now.keys.words;
        words.starts_with("elb us-east-1/web: ") && words.contains("InvalidInstance")
    };
    let standing = running.until("refused", refused).await;
    assert!(!standing.keys.served);
    running.stop().await;
}

#[tokio::test]
async fn an_add_only_load_balancer_keeps_it_and_confirms_nothing() {
    let etcd = Etcd::start().await.unwrap();
    let aws = Aws::start().await.unwrap();
    let web = aws.create("us-east-1", "web");
    aws.instances().add("i-0123abcd").add("i-99999999");
    let launch = Launch::new(&etcd, &aws).unwrap().args(["--settle=100ms"]);
    let manager = launch.start().await.unwrap();
    manager.wait_ready(DEADLINE).await.unwrap();
    let store = EtcdStore::connect(EtcdConfig::plain([etcd.endpoint()]))
        .await
        .unwrap();
    let config = "/lbManager/elb/us-east-1/web/config";
    etcd.put(config, r#"{"ownership": "add-only"}"#)
        .await
        .unwrap();
    let other = "/lbManager/elb/us-east-1/web/multiple/i-99999999";
    etcd.put(other, "").await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut running = Running::start(&store, "7-0a1b2c3d", &format!("[{ELB}]"), state.path());
    running.want(Publish::Ready);
    running.served().await;

    running.want(Publish::Nothing);
    let standing = running.until("kept", |now| now.keys.kept.is_some()).await;
    assert!(standing.keys.withdrawn && !standing.drained, "{standing:?}");
    assert!(web.in_service().contains("i-0123abcd"));
    let words =
        "elb us-east-1/web: its ownership is add-only, so that lbmanager does not remove it";
    assert_eq!(standing.keys.kept.as_deref(), Some(words));
    running.stop().await;
}
