//! Expired leases: in one incident at most half of the members are removed.

use std::collections::BTreeSet;
use std::time::Duration;

use testbed::aws::Health;
use testbed::etcd::LeaseId;
use tokio::time::{Instant, sleep};

use crate::real::{A, B, C, D, E, REGION, Rig, key, set, withheld};
use crate::world::{
    LONG, deregistrations, instances, put_leased, registered, strs, succeeds, until_page,
};

const COUNT: usize = 64;
const HALF: usize = COUNT / 2;

async fn rig() -> Rig {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    rig.set(|launch| launch.arg("--resync=2s"));
    rig.run().await;
    rig
}

async fn until_held(rig: &Rig, count: usize) -> BTreeSet<String> {
    let status = rig
        .until_status("web", &format!("{count} are held"), |status| {
            withheld(status).len() == count
        })
        .await;
    withheld(&status)
}

/// So many members, all on one lease.
async fn on_one_lease(rig: &Rig, members: &[&str]) -> LeaseId {
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    put_leased(rig, "web", members, lease).await;
    rig.until_serving("web", members).await;
    lease
}

#[tokio::test]
async fn of_64_members_on_one_lease_32_stay_in_service() {
    let mut rig = rig().await;
    let members = instances(COUNT);
    let lease = on_one_lease(&rig, &strs(&members)).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    let held = until_held(&rig, HALF).await;
    let status = rig.status("web").await;
    let why = status["withheld"][&members[COUNT - 1]]["why"].as_str();
    let arithmetic = "64 of 64 leases expired, at most 32 members may leave (max_removals 0.5)";
    assert!(why.unwrap_or_default().contains(arithmetic), "{status}");
    // All hosts choose the same: by member, as the revision is the same.
    let upper: BTreeSet<String> = members[HALF..].iter().cloned().collect();
    assert_eq!(held, upper);
    rig.until_registered("web", &strs(&members[HALF..])).await;

    // Neither resyncs nor a restart nor a crash change that.
    for signal in ["stop", "kill"] {
        match signal {
            "stop" => rig.stop().await,
            _ => rig.kill().await,
        }
        rig.aws.clear_calls();
        rig.run().await;
        rig.until_called("DescribeInstanceHealth").await;
        until_held(&rig, HALF).await;
    }
    assert_eq!(registered(&rig, "web"), upper);
    assert_eq!(deregistrations(&rig, "web"), HALF);
}

/// What a fleet of publishers does that loses its leases one by one.
struct Fleet<'a> {
    rig: &'a Rig,
    leases: Vec<LeaseId>,
}

impl Fleet<'_> {
    /// Puts a member on a lease of its own.
    async fn publish(&mut self, member: &str) {
        let lease = self.rig.etcd.lease_grant(LONG).await.unwrap();
        let key = key("web", member);
        self.rig.etcd.put_with_lease(&key, "", lease).await.unwrap();
        self.leases.push(lease);
    }

    /// Ends all leases, each in a revision of its own.
    async fn expire(&mut self) {
        for lease in self.leases.drain(..) {
            self.rig.etcd.lease_revoke(lease).await.unwrap();
        }
    }
}

#[tokio::test]
async fn of_64_members_on_64_leases_32_stay_in_service_while_half_return_and_expire_again() {
    let mut rig = rig().await;
    let members = instances(COUNT);
    let mut fleet = Fleet {
        rig: &rig,
        leases: Vec::new(),
    };
    for member in &members {
        fleet.publish(member).await;
    }
    rig.until_serving("web", &strs(&members)).await;
    let begin = Instant::now();
    fleet.expire().await;
    let held = until_held(&rig, HALF).await;
    let upper: BTreeSet<String> = members[HALF..].iter().cloned().collect();
    assert_eq!(held, upper, "in the order of the expiries");
    // Every second one returns: 16 that were removed, and 16 that were held.
    let returning: Vec<&String> = members.iter().step_by(2).collect();
    for member in &returning {
        fleet.publish(member).await;
    }
    let leases = std::mem::take(&mut fleet.leases);
    rig.until_status("web", "those that returned serve", |status| {
        let serving = crate::real::serving(status);
        returning
            .iter()
            .all(|member| serving.contains(*member) && !withheld(status).contains(*member))
    })
    .await;
    // They expire again, and the manager is killed in the middle of it.
    let (first, second) = leases.split_at(HALF / 2);
    revoke(&rig, first).await;
    rig.kill().await;
    revoke(&rig, second).await;
    rig.run().await;
    // Those that were removed before may leave again, and no others.
    until_held(&rig, HALF).await;
    rig.until_registered("web", &strs(&members[HALF..])).await;
    rig.assert_kept("web", &strs(&members[HALF..]));
    let timeline = rig.lb("web").timeline();
    let fewest = timeline.min_in_service_between(begin, Instant::now());
    assert!(fewest >= HALF, "{fewest}");
}

async fn revoke(rig: &Rig, leases: &[LeaseId]) {
    for lease in leases {
        rig.etcd.lease_revoke(*lease).await.unwrap();
    }
}

/// A is listed, and of B, C, D and E, whose lease expired, two are held.
async fn two_held() -> (Rig, Vec<String>) {
    let rig = rig().await;
    rig.put("web", &[A]).await;
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    put_leased(&rig, "web", &[B, C, D, E], lease).await;
    rig.until_serving("web", &[A, B, C, D, E]).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    let held = until_held(&rig, 2).await;
    assert_eq!(held, set(&[D, E]));
    rig.until_registered("web", &[A, D, E]).await;
    (rig, held.into_iter().collect())
}

#[tokio::test]
async fn a_held_member_whose_key_returns_serves_on() {
    let (rig, held) = two_held().await;
    rig.put("web", &strs(&held)).await;
    rig.until_serving("web", &[A, D, E]).await;
    until_held(&rig, 0).await;
    rig.assert_kept("web", &[A, D, E]);
}

#[tokio::test]
async fn a_held_member_that_becomes_unhealthy_is_removed() {
    let (rig, _) = two_held().await;
    rig.lb("web").set_health(E, Health::Never);
    rig.until_registered("web", &[A, D]).await;
    rig.assert_kept("web", &[A, D]);
}

#[tokio::test]
async fn a_held_member_is_removed_by_an_explicit_delete() {
    let (rig, _) = two_held().await;
    rig.put("web", &[E]).await;
    rig.del("web", E).await;
    rig.until_registered("web", &[A, D]).await;
    until_held(&rig, 1).await;
    rig.assert_kept("web", &[A, D]);
}

#[tokio::test]
async fn a_release_of_the_balancer_removes_its_held_members() {
    let (rig, _) = two_held().await;
    let balancer = format!("elb/{REGION}/web");
    succeeds(&rig, &["release", &balancer]).await;
    rig.until_registered("web", &[A]).await;
    until_held(&rig, 0).await;
}

#[tokio::test]
async fn a_release_written_before_a_lease_expired_does_not_cover_it() {
    let rig = rig().await;
    let lease = on_one_lease(&rig, &[A, B, C, D]).await;
    succeeds(&rig, &["release", "--all"]).await;
    succeeds(&rig, &["release", &format!("elb/{REGION}/web")]).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    let held = until_held(&rig, 2).await;
    let held: Vec<String> = held.into_iter().collect();
    rig.until_registered("web", &strs(&held)).await;
    assert_eq!(deregistrations(&rig, "web"), 2);
}

#[tokio::test]
async fn held_removals_show_in_status_and_in_a_metric() {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    let url = crate::world::listen(&mut rig);
    rig.run().await;
    let lease = on_one_lease(&rig, &[A, B]).await;
    rig.etcd.lease_revoke(lease).await.unwrap();
    until_held(&rig, 1).await;
    let shown = succeeds(&rig, &["status"]).await;
    let arithmetic = "2 of 2 leases expired, at most 1 member";
    assert!(shown.contains(arithmetic), "{shown}");
    let metrics = format!("{url}/metrics");
    until_page(&metrics, "a metric of held members", |page| {
        crate::world::has_metric(page, "held")
    })
    .await;
}

#[tokio::test]
#[ignore = "soak"]
async fn of_64_members_on_one_lease_32_are_in_service_after_ten_minutes() {
    let rig = rig().await;
    let members = instances(COUNT);
    let lease = on_one_lease(&rig, &strs(&members)).await;
    let begin = Instant::now();
    rig.etcd.lease_revoke(lease).await.unwrap();
    until_held(&rig, HALF).await;
    rig.until_registered("web", &strs(&members[HALF..])).await;
    for minute in 1..=10 {
        // The promise is about this time.
        sleep(Duration::from_mins(1)).await;
        let registered = registered(&rig, "web").len();
        assert_eq!(registered, HALF, "after {minute} minutes\n{}", rig.log());
    }
    let timeline = rig.lb("web").timeline();
    let fewest = timeline.min_in_service_between(begin, Instant::now());
    assert_eq!(fewest, HALF);
    assert_eq!(deregistrations(&rig, "web"), HALF);
}

/// Real expiries: each member's lease is kept alive until its turn comes.
#[tokio::test]
#[ignore = "soak"]
async fn of_64_leases_that_expire_over_30_s_32_members_stay_in_service() {
    let rig = rig().await;
    let members = instances(COUNT);
    let mut keep_alive = tokio::task::JoinSet::new();
    for (turn, member) in members.iter().enumerate() {
        let lease = rig.etcd.lease_grant(10).await.unwrap();
        let key = key("web", member);
        rig.etcd.put_with_lease(&key, "", lease).await.unwrap();
        let client = testbed::etcd::Client::clone(&rig.etcd);
        let time = Duration::from_millis(20_000 + 30_000 / COUNT as u64 * turn as u64);
        keep_alive.spawn(async move {
            let id = format!("{lease:x}");
            let command = ["lease", "keep-alive", &id];
            let _ = tokio::time::timeout(time, client.etcdctl(&command)).await;
        });
    }
    rig.until_serving("web", &strs(&members)).await;
    let begin = Instant::now();
    while keep_alive.join_next().await.is_some() {}
    until_held(&rig, HALF).await;
    // The promise is about this time.
    sleep(Duration::from_mins(2)).await;
    assert_eq!(registered(&rig, "web").len(), HALF, "{}", rig.log());
    let timeline = rig.lb("web").timeline();
    let fewest = timeline.min_in_service_between(begin, Instant::now());
    assert_eq!(fewest, HALF);
}
