//! Who is held when leases end.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::process::{Program, Running};
use testbed::wait;

use crate::net::{serve, virtual_addresses};
use crate::witness::{FOREIGN, make_foreign, set, until_servers, until_table};
use crate::world::{HOST, SOON, VIP, World, key};

const LONG: u64 = 600;
const OWN: &str = "10.8.0.2:80";
const PORTS: [u16; 4] = [8081, 8082, 8083, 8084];

fn member(port: u16) -> String {
    format!("10.8.0.1:{port}")
}

/// Real servers on this host, for as long as these are kept.
async fn real_servers() -> Vec<(String, Running)> {
    virtual_addresses().await;
    let mut servers = Vec::new();
    for port in PORTS {
        let perl = Program::new("/usr/bin/perl");
        servers.push((member(port), serve(perl, "one", port).await));
    }
    servers
}

fn withheld(status: &Value) -> BTreeSet<String> {
    let withheld = status["withheld"].as_object().into_iter().flatten();
    withheld.map(|(member, _)| member.clone()).collect()
}

/// One lease of many members ends. In the host's own region that is the truth,
/// as their addresses are used again. In a shared one half of them are held,
/// each for as long as it answers, and the last until somebody lets it go.
pub async fn are_for_those_of_shared_regions_who_answer() {
    make_foreign().await;
    let mut answering = real_servers().await;
    let world = World::start().await;
    let lease = world.etcd.lease_grant(LONG).await.unwrap();
    let members: Vec<String> = PORTS.map(member).to_vec();
    for member in &members {
        let own = format!("/lbManager/ipvs/{HOST}/{OWN}/multiple/{member}");
        for key in [key(VIP, "multiple", member), own] {
            world.etcd.put_with_lease(&key, "", lease).await.unwrap();
        }
    }
    let all: Vec<String> = members.iter().map(|member| format!("{member} 1")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    until_servers(VIP, &all).await;
    until_servers(OWN, &all).await;

    world.etcd.lease_revoke(lease).await.unwrap();
    until_servers(OWN, &[]).await;
    let status = world
        .until_status(VIP, "two are held", |status| withheld(status).len() == 2)
        .await;
    let held: Vec<String> = withheld(&status).into_iter().collect();
    let [one, other] = [0, 1].map(|place| format!("{} 1", held[place]));
    until_servers(VIP, &[&one, &other]).await;

    answering.retain(|(member, _)| *member != held[0]);
    until_servers(VIP, &[&other]).await;
    let last = BTreeSet::from([held[1].clone()]);
    world
        .until_status(VIP, "the last is held", |status| withheld(status) == last)
        .await;

    world.order(&["release", &format!("ipvs/edge/{VIP}")]).await;
    until_table(&set(&FOREIGN)).await;
    let gone = "the status of what is not managed any more to be gone";
    wait::until_true(gone, SOON, || async { world.status(VIP).await.is_null() })
        .await
        .unwrap();
}
