//! Everything that can fail, at random, for as long as is wanted.

use std::sync::Arc;
use std::time::Duration;

use presence::semaphore::{Claim, Held};
use presence::store::Store;
use presence::store::etcd::{EtcdConfig, EtcdStore};
use testbed::etcd::EtcdCluster;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::site::Site;
use crate::{Acquiring, connected, lock, semaphore};

const WORKERS: usize = 12;

/// Longer than it takes after the last fault: leases end, members come back.
const CALM: Duration = Duration::from_mins(1);

#[tokio::test]
async fn half_a_minute_of_faults_at_one_slot() {
    mix(1, Duration::from_secs(30)).await;
}

#[tokio::test]
async fn half_a_minute_of_faults_at_three_slots() {
    mix(3, Duration::from_secs(30)).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn many_minutes_of_faults() {
    for round in 0..testbed::soak::rounds().unwrap() {
        let slots = usize::try_from(1 + round % 3).unwrap();
        mix(slots, Duration::from_mins(1)).await;
    }
}

async fn mix(slots: usize, time: Duration) {
    let mut cluster = EtcdCluster::start(3).await.unwrap();
    let store = connect(&cluster).await;
    let many = u32::try_from(slots).unwrap();
    semaphore(&store).set_slots(many).await.unwrap();
    let site = Site::new();
    let mut workers = JoinSet::new();
    let end = Instant::now() + time;
    for n in 0..WORKERS {
        let store = connect(&cluster).await;
        workers.spawn(work(store, n, site.clone(), slots, end));
    }
    while Instant::now() < end {
        sleep(Duration::from_millis(fastrand::u64(200..2000))).await;
        fault(&mut cluster, &store, &site).await;
    }
    timeout(CALM, workers.join_all())
        .await
        .expect("everybody came to hold once more");
    println!("{} grants at {slots} slots in {time:?}", site.grants());
    assert!(site.grants() > WORKERS * 2, "{} grants", site.grants());
}

async fn connect(cluster: &EtcdCluster) -> EtcdStore {
    connected(EtcdConfig::plain(cluster.endpoints().to_vec())).await
}

async fn work(store: EtcdStore, n: usize, site: Arc<Site>, slots: usize, end: Instant) {
    let semaphore = semaphore(&store);
    let mut ending = false;
    while !ending {
        ending = Instant::now() >= end;
        let next = Acquiring::start(&semaphore, claim(n));
        if !ending && fastrand::u8(..10) == 0 {
            // Killed, whatever it does.
            sleep(Duration::from_millis(fastrand::u64(..500))).await;
            next.task.abort();
            continue;
        }
        let held = next.task.await.unwrap().unwrap().unwrap();
        if !site.enter(&held, slots) {
            let lost = timeout(claim(n).ttl, held.keep());
            lost.await.expect("refused, as another has come since");
            continue;
        }
        be_inside(&held, &site, slots).await;
        if fastrand::u8(..5) > 0 {
            // Left before it is free: who comes next may be faster than we hear of it.
            site.leave(held.token());
            let _ = held.release().await;
        }
    }
}

/// Writes as long as it holds.
async fn be_inside(held: &Held<EtcdStore>, site: &Site, slots: usize) {
    let stay = Duration::from_millis(fastrand::u64(1..300));
    let writes = async {
        let end = Instant::now() + stay;
        while Instant::now() < end {
            let accepted = slots > 1 || site.write(held.token());
            let robbed = !site.has(held.token());
            let sure = !held.until().has_passed();
            assert!(accepted || robbed || !sure, "refused");
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = held.keep() => site.leave(held.token()),
        () = writes => {}
    }
}

fn claim(n: usize) -> Claim {
    Claim {
        // Odd ones wait on the lease that they hold on.
        waiting: Duration::from_secs(if n.is_multiple_of(2) { 2 } else { 3 }),
        ..lock(&format!("worker-{n}"))
    }
}

async fn fault(cluster: &mut EtcdCluster, store: &EtcdStore, site: &Site) {
    match fastrand::u8(..6) {
        0 => {
            let leader = cluster.leader().await.unwrap();
            cluster.kill(leader).await.unwrap();
            sleep(Duration::from_millis(fastrand::u64(..3000))).await;
            cluster.restart(leader).await.unwrap();
        }
        1 => {
            let member = fastrand::usize(..3);
            cluster.pause(member).unwrap();
            sleep(Duration::from_millis(fastrand::u64(..5000))).await;
            cluster.resume(member).unwrap();
        }
        2 => rob(store, site).await,
        3 => {
            let queue = semaphore(store).queue().await;
            let places = queue.map(|queue| queue.places).unwrap_or_default();
            let waiting: Vec<_> = places.iter().filter(|place| !place.holds()).collect();
            if let Some(lease) = fastrand::choice(waiting).and_then(|place| place.lease) {
                let _ = store.revoke(lease).await;
            }
        }
        4 => {
            if let Ok(queue) = semaphore(store).queue().await {
                let _ = cluster.compact(queue.revision.0).await;
            }
        }
        _ => drop(cluster.move_leader(fastrand::usize(..3)).await),
    }
}

/// Ends the lease of one that holds. It cannot know at once, so the site is
/// told before.
async fn rob(store: &EtcdStore, site: &Site) {
    if let Some((token, lease)) = fastrand::choice(site.inside()) {
        site.leave(token);
        let _ = store.revoke(lease).await;
    }
}
