//! What an operator orders with `lbmanager`'s own commands.

use crate::witness::until_servers;
use crate::world::{VIP, World, config, key};

const A: &str = "10.8.1.1:8080";
const B: &str = "10.8.1.2:8080";

pub async fn of_operators_are_carried_out() {
    let world = World::start().await;
    let member = |name: &str| key(VIP, "multiple", name);
    let service = format!("ipvs/edge/{VIP}");
    // Each waits until the status shows it.
    for (name, weight) in [(A, "--weight=3"), (B, "--weight=5")] {
        world
            .order(&["set", &member(name), weight, "--wait=20s"])
            .await;
    }
    until_servers(VIP, &["10.8.1.1:8080 3", "10.8.1.2:8080 5"]).await;
    world.order(&["drain", &member(A), "--wait=20s"]).await;
    until_servers(VIP, &["10.8.1.2:8080 5"]).await;
    world.order(&["undrain", &member(A), "--wait=20s"]).await;
    until_servers(VIP, &["10.8.1.1:8080 3", "10.8.1.2:8080 5"]).await;

    world.order(&["pause", &service]).await;
    world.del(A).await;
    let held = |status: &serde_json::Value| {
        status["withheld"][A]["why"]
            .as_str()
            .is_some_and(|why| why.contains("resume"))
    };
    world.until_status(VIP, "A is held", held).await;
    until_servers(VIP, &["10.8.1.1:8080 3", "10.8.1.2:8080 5"]).await;
    world.order(&["resume", &service]).await;
    until_servers(VIP, &["10.8.1.2:8080 5"]).await;
    assert_eq!(world.etcd.get(&config(VIP)).await.unwrap(), None);
    world.order(&["rm", &member(B), "--wait=20s"]).await;
    until_servers(VIP, &[]).await;
}
