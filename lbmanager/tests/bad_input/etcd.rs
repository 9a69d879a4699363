use testbed::etcd::Etcd;

use crate::real::{A, REGION, Rig, SOON};

#[tokio::test]
async fn a_password_that_etcd_refuses_is_told_until_it_is_right() {
    let etcd = Etcd::builder().auth("root-secret").start().await.unwrap();
    etcd.add_user("lb", "right", "/lbManager").await.unwrap();
    let endpoint = etcd.endpoint();
    let mut rig = Rig::on(etcd, &endpoint).await;
    rig.set(|launch| {
        launch
            .env("ETCDCTL_USER", "lb")
            .env("ETCDCTL_PASSWORD", "hunter2")
    });
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.run().await;
    rig.until_log("authentication failed").await;
    let log = rig.log();
    assert!(log.contains(&endpoint) && log.contains("user lb"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    assert!(rig.aws.calls().is_empty());

    let change = ["user", "passwd", "--interactive=false", "lb"];
    rig.etcd
        .etcdctl_with_input(&change, "hunter2\n")
        .await
        .unwrap();
    rig.until_serving("web", &[A]).await;
}

#[tokio::test]
async fn a_user_who_may_not_read_is_told_of_what() {
    let etcd = Etcd::builder().auth("root-secret").start().await.unwrap();
    etcd.add_user("lb", "right", "/elsewhere").await.unwrap();
    let endpoint = etcd.endpoint();
    let mut rig = Rig::on(etcd, &endpoint).await;
    rig.set(|launch| launch.env("ETCDCTL_USER", "lb:right"));
    rig.run().await;
    rig.until_log("permission denied").await;
    assert!(rig.log().contains("/lbManager-status/"), "{}", rig.log());
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_named_and_waited_for() {
    let mut rig = Rig::idle().await;
    let nobody = format!("http://127.0.0.1:{}", testbed::ports::free().unwrap());
    rig.set(|launch| launch.env("ETCDCTL_ENDPOINTS", &nobody));
    rig.run().await;
    let line = rig
        .manager()
        .wait_for_line(|line| line.contains("Connection refused"), SOON)
        .await
        .unwrap();
    assert!(line.text.contains(&nobody), "{}", line.text);
    rig.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_no_etcd_is_told() {
    let mut rig = Rig::idle().await;
    let aws = rig.aws.url();
    rig.set(|launch| launch.env("ETCDCTL_ENDPOINTS", &aws));
    rig.run().await;
    rig.until_log("does not answer").await;
    assert!(rig.log().contains(&aws), "{}", rig.log());
    rig.stop().await;
}
