use std::time::Duration;

use testbed::aws::{Effect, Fault};
use testbed::etcd::LeaseId;
use tokio::time::sleep;

use crate::real::{A, B, C, D, REGION, Rig, key, serving, set, withheld};

const LONG: u64 = 600;

/// Keeps a lease alive for as long as `work` takes, and no longer.
async fn kept_alive<T>(rig: &Rig, lease: LeaseId, work: impl Future<Output = T>) -> T {
    let id = format!("{lease:x}");
    let command = ["lease", "keep-alive", &id];
    tokio::select! {
        ended = rig.etcd.etcdctl(&command) => panic!("{ended:?}"),
        done = work => done,
    }
}

async fn leased(rig: &Rig, lb: &str, members: &[&str], lease: LeaseId) {
    for member in members {
        let key = key(lb, member);
        rig.etcd.put_with_lease(&key, "", lease).await.unwrap();
    }
}

#[tokio::test]
async fn one_member_whose_lease_ends_leaves() {
    let rig = Rig::serving("web", &[A, B]).await;
    let lease = rig.etcd.lease_grant(4).await.unwrap();
    kept_alive(&rig, lease, async {
        leased(&rig, "web", &[C], lease).await;
        rig.until_registered("web", &[A, B, C]).await;
    })
    .await;
    rig.until_registered("web", &[A, B]).await;
    let left = |status: &serde_json::Value| {
        let changes = status["changes"].as_array().unwrap();
        changes.last().unwrap()["reason"] == "lease-ended"
    };
    rig.until_status("web", "the lease ended", left).await;
    rig.assert_kept("web", &[A, B]);
}

#[tokio::test]
async fn when_all_leases_of_several_load_balancers_end_half_of_each_stays() {
    let rig = Rig::start().await;
    rig.aws.create(REGION, "web");
    rig.aws.create(REGION, "api");
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    leased(&rig, "web", &[A, B, C, D], lease).await;
    leased(&rig, "api", &[A], lease).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    rig.until_serving("api", &[A]).await;

    rig.etcd.lease_revoke(lease).await.unwrap();
    let status = rig
        .until_status("web", "two are held", |status| withheld(status).len() == 2)
        .await;
    rig.until_status("api", "the last is held", |status| {
        withheld(status) == set(&[A])
    })
    .await;
    let held: Vec<String> = withheld(&status).into_iter().collect();
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    rig.until_registered("web", &held).await;
    rig.assert_kept("web", &held);
    rig.assert_kept("api", &[A]);

    // Their owners are back before anybody had to decide.
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    leased(&rig, "web", &[A, B, C, D], lease).await;
    leased(&rig, "api", &[A], lease).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    rig.until_status("api", "nothing is held", |status| {
        withheld(status).is_empty()
    })
    .await;
    rig.assert_kept("api", &[A]);
}

#[tokio::test]
async fn who_is_held_leaves_when_the_load_balancer_calls_it_unhealthy() {
    let rig = Rig::serving("web", &[A]).await;
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    leased(&rig, "web", &[B, C, D], lease).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    let status = rig
        .until_status("web", "one is held", |status| withheld(status).len() == 1)
        .await;
    let held = withheld(&status).into_iter().next().unwrap();
    rig.lb("web").set_health(&held, testbed::aws::Health::Never);
    rig.until_registered("web", &[A]).await;
    rig.assert_kept("web", &[A]);
}

#[tokio::test]
async fn who_is_held_leaves_when_nothing_has_reported_its_health_for_long() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--hold=6s"));
    rig.run().await;
    rig.aws.create(REGION, "web");
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    leased(&rig, "web", &[A, B, C], lease).await;
    rig.until_serving("web", &[A, B, C]).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    rig.until_status("web", "two are held", |status| withheld(status).len() == 2)
        .await;
    // Time counts only while nothing reports their health.
    sleep(Duration::from_secs(8)).await;
    assert_eq!(rig.lb("web").registered().len(), 2);
    let denied = Fault::new(Effect::AccessDenied).operation("DescribeInstanceHealth");
    rig.aws.faults().add(denied);
    // The last one stays whatever the time.
    rig.until_status("web", "one is held", |status| withheld(status).len() == 1)
        .await;
    rig.until_status("web", "one serves", |status| serving(status).len() == 1)
        .await;
}

#[tokio::test]
async fn leases_that_end_while_etcd_is_frozen_take_half_at_most() {
    let mut rig = Rig::start().await;
    rig.aws.create(REGION, "web");
    let lease = rig.etcd.lease_grant(4).await.unwrap();
    kept_alive(&rig, lease, async {
        leased(&rig, "web", &[A, B, C, D], lease).await;
        rig.until_serving("web", &[A, B, C, D]).await;
    })
    .await;
    rig.etcd.pause().unwrap();
    sleep(Duration::from_secs(6)).await;
    rig.etcd.resume().unwrap();
    // The status says who is held before the others leave.
    rig.until_status("web", "two are held", |status| {
        withheld(status).len() == 2 && serving(status).len() == 2
    })
    .await;
    assert_eq!(rig.lb("web").registered().len(), 2);
}
