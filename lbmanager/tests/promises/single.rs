//! Class `single`: exactly one serves, and never none.

use std::time::Duration;

use testbed::aws::HealthCheck;
use tokio::time::Instant;

use crate::real::{A, B, REGION, Rig, single};
use crate::world::LONG;

async fn rig() -> Rig {
    let rig = Rig::start().await;
    let check = HealthCheck {
        interval: 2,
        healthy_threshold: 2,
        ..HealthCheck::default()
    };
    let lb = rig.aws.create(REGION, "web").health_check(check);
    lb.health_delay(Duration::from_secs(1));
    rig
}

/// B serves on a lease and A stands by. Gives B's lease.
async fn b_serves(rig: &Rig) -> i64 {
    rig.etcd.put(&single("web", A), "").await.unwrap();
    rig.until_serving("web", &[A]).await;
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    rig.etcd
        .put_with_lease(&single("web", B), "", lease)
        .await
        .unwrap();
    rig.until_registered("web", &[B]).await;
    rig.until_serving("web", &[B]).await;
    lease
}

/// Checks the calls that were carried out, not samples: never none in service
/// since then.
fn assert_no_gap(rig: &Rig, since: Instant) {
    let timeline = rig.lb("web").timeline();
    let least = timeline.min_in_service_between(since, Instant::now());
    assert!(least >= 1, "{timeline:#?}\n{}", rig.log());
}

#[tokio::test]
async fn when_the_active_members_lease_expires_the_standby_serves_and_then_exactly_one() {
    let rig = rig().await;
    let lease = b_serves(&rig).await;
    let begin = Instant::now();
    rig.etcd.lease_revoke(lease).await.unwrap();
    rig.until_registered("web", &[A, B]).await;
    rig.until_registered("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    assert_eq!(rig.lb("web").in_service(), crate::real::set(&[A]));
    assert_no_gap(&rig, begin);
}

#[tokio::test]
async fn the_active_members_lease_expires_while_the_manager_is_down() {
    let mut rig = rig().await;
    let lease = b_serves(&rig).await;
    let begin = Instant::now();
    rig.kill().await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    rig.run().await;
    rig.until_registered("web", &[A]).await;
    rig.until_serving("web", &[A]).await;
    assert_no_gap(&rig, begin);
}

#[tokio::test]
async fn the_last_members_lease_expires_and_it_stays() {
    let rig = rig().await;
    let lease = b_serves(&rig).await;
    assert!(rig.etcd.del(&single("web", A)).await.unwrap());
    let begin = Instant::now();
    rig.etcd.lease_revoke(lease).await.unwrap();
    rig.until_status("web", "B is held", |status| {
        crate::real::withheld(status).contains(B)
    })
    .await;
    assert_no_gap(&rig, begin);
    // Its key returns, and it serves as before.
    rig.etcd.put(&single("web", B), "").await.unwrap();
    rig.until_status("web", "nothing is held", |status| {
        crate::real::withheld(status).is_empty()
    })
    .await;
    rig.assert_kept("web", &[B]);
}
