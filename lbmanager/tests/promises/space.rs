//! An etcd without space.

use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::http;
use tokio::time::sleep;

use crate::real::{A, B, C, D, REGION, Rig};

/// Room for little more than the keys of a test.
const QUOTA: &str = "--quota-backend-bytes=4000000";

/// Fills etcd until it raises the alarm.
async fn fill(etcd: &Etcd) {
    let value = "x".repeat(100_000);
    for number in 0..200 {
        let put = etcd.put(&format!("/filler/{number}"), &value).await;
        if put.is_err() {
            break;
        }
    }
    let alarms = etcd.etcdctl(&["alarm", "list"]).await.unwrap();
    assert!(alarms.contains("NOSPACE"), "{alarms}");
}

/// Makes room, as etcd's documents tell operators to.
async fn make_room(etcd: &Etcd) {
    etcd.del_prefix("/filler/").await.unwrap();
    etcd.compact_now().await.unwrap();
    etcd.defrag().await.unwrap();
    etcd.etcdctl(&["alarm", "disarm"]).await.unwrap();
}

/// How many requests etcd has been sent so far, of all kinds.
async fn requests(etcd: &Etcd) -> f64 {
    let page = http::get(&format!("{}/metrics", etcd.endpoint())).await;
    let page = page.unwrap().body;
    page.lines()
        .filter(|line| line.starts_with("grpc_server_msg_received_total"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn without_space_explicit_deletes_are_applied_also_by_a_restarted_manager_without_a_hot_loop()
{
    let etcd = Etcd::builder().arg(QUOTA).start().await.unwrap();
    let endpoint = etcd.endpoint();
    let mut rig = Rig::on(etcd, &endpoint).await;
    rig.aws.create(REGION, "web");
    rig.run().await;
    rig.put("web", &[A, B, C, D]).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    fill(&rig.etcd).await;

    rig.del("web", D).await;
    rig.until_registered("web", &[A, B, C]).await;
    rig.stop().await;
    rig.run().await;
    rig.del("web", C).await;
    rig.until_registered("web", &[A, B]).await;

    let (before, cpu) = (requests(&rig.etcd).await, rig.cpu());
    let time = Duration::from_secs(10);
    sleep(time).await;
    let sent = requests(&rig.etcd).await - before;
    assert!(sent < 50.0, "{sent} messages in {time:?}\n{}", rig.log());
    rig.assert_idle(cpu, time);

    make_room(&rig.etcd).await;
    rig.until_serving("web", &[A, B]).await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
    crate::world::assert_never_frozen(&rig).await;
}
