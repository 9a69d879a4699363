//! What the table becomes when etcd's history is not what it was, and when keys
//! are purged.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::process::{Program, Running};
use testbed::wait;

use crate::net::{keep, serve, virtual_addresses};
use crate::witness::{FOREIGN, make_foreign, saved, set, until_servers, until_table};
use crate::world::{SOON, VIP, World, config, key};

/// On this host, and with a connection where there is to be one.
const A: &str = "10.8.0.1:8081";
const B: &str = "10.8.1.2:8080";
const C: &str = "10.8.1.3:8080";
const OTHER: &str = "10.8.0.2:80";
const REPLACED: &str = "the history of etcd was reset";

/// Waits until a service has just these, with these weights.
async fn until(service: &str, members: &[(&str, u8)]) {
    let members = members.iter();
    let wanted: Vec<String> = members
        .map(|(member, weight)| format!("{member} {weight}"))
        .collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    until_servers(service, &wanted).await;
}

fn is_held(status: &Value, member: &str) -> bool {
    !status["withheld"][member].is_null()
}

/// A service of A and B, of which A drains for long: it has a connection, for as
/// long as what is returned is kept.
async fn draining(world: &World) -> (Running, Running) {
    virtual_addresses().await;
    let long = r#"{"drain": "10m"}"#;
    world.etcd.put(&config(VIP), long).await.unwrap();
    let real = serve(Program::new("/usr/bin/perl"), "a", 8081).await;
    world.put(A, "").await;
    until(VIP, &[(A, 1)]).await;
    let kept = keep(Program::new("/usr/bin/perl"), "tcp", "10.8.0.1", 80).await;
    world.put(B, "").await;
    until(VIP, &[(A, 1), (B, 1)]).await;
    world.del(A).await;
    until(VIP, &[(A, 0), (B, 1)]).await;
    (kept, real)
}

/// What others made, and these services with these real servers.
fn table(services: &[(&str, &[&str])]) -> BTreeSet<String> {
    let mut table = set(&FOREIGN);
    for (service, servers) in services {
        table.insert(format!("-A -t {service} -s wlc"));
        let servers = servers.iter();
        table.extend(servers.map(|server| format!("-a -t {service} -r {server} -m -w 1")));
    }
    table
}

pub async fn that_starts_over_takes_nobody_out() {
    make_foreign().await;
    let mut world = World::start().await;
    world.put_into(OTHER, B).await;
    until(OTHER, &[(B, 1)]).await;
    let connected = draining(&world).await;
    world.etcd.wipe().await.unwrap();
    world.until_log(REPLACED).await;
    world.put(C, "").await;
    until(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    // Its connection ends, and yet nobody is removed.
    drop(connected);
    world.put(B, r#"{"weight": 1}"#).await;
    world
        .until_status(VIP, "A is held, and B is not", |status| {
            is_held(status, A) && !is_held(status, B)
        })
        .await;
    let status = world
        .until_status(OTHER, "B is held", |status| is_held(status, B))
        .await;
    let why = status["withheld"][B]["why"].as_str().unwrap();
    assert!(why.contains("lbmanager release --all"), "{why}");
    until(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    until(OTHER, &[(B, 1)]).await;

    world.order(&["release", "--all"]).await;
    until_table(&table(&[(VIP, &[B, C])])).await;
}

pub async fn that_goes_back_takes_nobody_out() {
    make_foreign().await;
    let mut world = World::start().await;
    world.put(A, "").await;
    until(VIP, &[(A, 1)]).await;
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("snapshot");
    world.etcd.snapshot(&snapshot).await.unwrap();
    world.put(B, "").await;
    world.put_into(OTHER, B).await;
    until_table(&table(&[(VIP, &[A, B]), (OTHER, &[B])])).await;
    let in_status = |status: &Value| !status["members"][B].is_null();
    world.until_status(OTHER, "B is in it", in_status).await;

    world.etcd.restore(&snapshot).await.unwrap();
    world.until_log(REPLACED).await;
    world.put(C, "").await;
    until_table(&table(&[(VIP, &[A, B, C]), (OTHER, &[B])])).await;
    world.manager.kill().await;
    world.manager.run(&[]).await;
    world
        .until_status(VIP, "B is held", |status| is_held(status, B))
        .await;
    until_table(&table(&[(VIP, &[A, B, C]), (OTHER, &[B])])).await;

    world.order(&["release", "--all"]).await;
    until_table(&table(&[(VIP, &[A, C])])).await;
}

/// A purge leaves the kernel as it is: who serves goes on, and who was on its
/// way out is out, as nobody would see to it any more.
pub async fn of_what_is_purged_ends_with_nobody_half_way_out() {
    make_foreign().await;
    let mut world = World::start().await;
    let connected = draining(&world).await;
    world.put(C, "").await;
    let other = [
        (config(OTHER), "{}"),
        (key(OTHER, "multiple", B), ""),
        (key(OTHER, "multiple", C), ""),
    ];
    world.etcd.put_many(other).await.unwrap();
    until(VIP, &[(A, 0), (B, 1), (C, 1)]).await;
    until(OTHER, &[(B, 1), (C, 1)]).await;

    let prefix = format!("/lbManager/ipvs/edge/{VIP}/");
    assert_eq!(world.etcd.del_prefix(&prefix).await.unwrap(), 3);
    world.order(&["purge", &format!("ipvs/edge/{OTHER}")]).await;
    let left = table(&[(VIP, &[B, C]), (OTHER, &[B, C])]);
    until_table(&left).await;
    let statuses = "/lbManager-status/hosts/";
    wait::until_true("no status any more", SOON, || async {
        world.etcd.count(statuses).await.unwrap() == 0
    })
    .await
    .unwrap();
    drop(connected);
    // Nor does a manager that starts anew take them for its own.
    world.manager.stop().await;
    world.manager.run(&[]).await;
    let third = "10.8.0.3:80";
    world.put_into(third, B).await;
    until(third, &[(B, 1)]).await;
    assert!(left.is_subset(&saved().await));
}
