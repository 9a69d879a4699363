//! A manager that is started with a mistyped prefix.

use std::collections::BTreeSet;

use testbed::wait;

use crate::network::{interfaces, until_bound, until_masqueraded};
use crate::witness::{run, saved, until_servers, until_table};
use crate::world::{HOST, Manager, SOON, VIP, World};

const A: &str = "10.9.0.11:8080";
const B: &str = "10.9.0.12:8080";
const OWN: &str = "10.8.0.2:80";
/// What the mistyped tree has.
const OTHER: &str = "10.8.0.3:80";
const MORE: [&str; 2] = ["--prefix=/lbmanager", "--bind-vips=lb0"];

fn own() -> String {
    format!("/lbManager/ipvs/{HOST}/{OWN}/multiple/{A}")
}

/// What the kernel has beside the table.
async fn network() -> (String, BTreeSet<String>) {
    let addresses = run("ip", "-o -4 address show dev lb0").await;
    let rules = run("iptables-legacy-save", "-t nat").await;
    let rules = rules.lines().filter(|line| line.starts_with("-A"));
    (addresses, rules.map(str::to_owned).collect())
}

/// A manager that has set up a service of each kind, and is stopped.
async fn stopped() -> World {
    interfaces().await;
    let mut world = World::start_with(&["--bind-vips=lb0"]).await;
    world.put(A, "").await;
    world.put(B, "").await;
    world.etcd.put(&own(), "").await.unwrap();
    until_servers(VIP, &["10.9.0.11:8080 1", "10.9.0.12:8080 1"]).await;
    until_servers(OWN, &["10.9.0.11:8080 1"]).await;
    until_bound().await;
    until_masqueraded().await;
    world.manager.stop().await;
    world
}

/// Waits until a manager of the mistyped tree has done its work, a resync
/// included: its own service appears, with everything around it.
async fn works_in_its_own_tree(world: &World, before: &BTreeSet<String>) {
    let key = format!("/lbmanager/ipvs/edge/{OTHER}/multiple/{A}");
    world.etcd.put(&key, "").await.unwrap();
    let mut table = before.clone();
    table.insert(format!("-A -t {OTHER} -s wlc"));
    table.insert(format!("-a -t {OTHER} -r {A} -m -w 1"));
    until_table(&table).await;
    run("ipvsadm", &format!("-d -t {OTHER} -r {A}")).await;
    until_table(&table).await;
    assert!(world.etcd.del(&key).await.unwrap());
    until_table(before).await;
}

async fn continues(world: &mut World) {
    world.manager.run(&["--bind-vips=lb0"]).await;
    world.del(B).await;
    until_servers(VIP, &["10.9.0.11:8080 1"]).await;
    assert!(world.etcd.del(&own()).await.unwrap());
    wait::until("the service is gone", SOON, || async {
        let table = saved().await;
        if table.iter().any(|line| line.contains(OWN)) {
            Err(table)
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
}

async fn until_network(before: &(String, BTreeSet<String>)) {
    wait::until("addresses and rules as before", SOON, || async {
        let network = network().await;
        if network == *before {
            Ok(())
        } else {
            Err(network)
        }
    })
    .await
    .unwrap();
}

pub async fn that_are_mistyped_change_nothing() {
    let mut world = stopped().await;
    let (table, around) = (saved().await, network().await);
    world.manager.run(&MORE).await;
    world
        .until_log("were created for prefix /lbManager, host ID host-1")
        .await;
    works_in_its_own_tree(&world, &table).await;
    until_network(&around).await;
    for (region, service) in [("edge", VIP), (HOST, OWN)] {
        let status = format!("/lbmanager-status/hosts/{HOST}/ipvs/{region}/{service}");
        wait::until("the status shows it", SOON, || async {
            let status = world.etcd.get(&status).await.unwrap().unwrap_or_default();
            if status.contains("created for prefix /lbManager,") {
                Ok(())
            } else {
                Err(status)
            }
        })
        .await
        .unwrap();
    }
    world.manager.kill().await;
    continues(&mut world).await;
}

pub async fn that_are_mistyped_change_nothing_with_a_fresh_state_directory() {
    let mut world = stopped().await;
    let (table, around) = (saved().await, network().await);
    let mut other = Manager::new(HOST, &world.etcd.endpoint()).shared();
    other.run(&MORE).await;
    works_in_its_own_tree(&world, &table).await;
    until_network(&around).await;
    other.kill().await;
    assert_eq!(network().await, around);
    continues(&mut world).await;
}
