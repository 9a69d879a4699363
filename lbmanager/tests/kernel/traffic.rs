//! Connections through virtual services while their real servers change.

use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::process::{Running, Signal, Stream};
use testbed::proxy::{Mode, Proxy};
use testbed::wait;
use tokio::time::Instant;

use crate::net::{Net, server};
use crate::witness::until_servers;
use crate::world::{HOST, Manager, SOON, VIP, World, config, key};

struct Scene {
    // Before what it runs on.
    load: Running,
    world: World,
    net: Net,
}

impl Scene {
    /// Four real servers, of which some serve under load.
    async fn new(class: &str, serving: &[u8]) -> Self {
        let net = Net::new(4).await;
        let world = World::start_with(&["--sysctl=apply"]).await;
        for number in serving {
            let key = key(VIP, class, &server(*number));
            world.etcd.put(&key, "").await.unwrap();
        }
        until(serving).await;
        let load = net.load("10.8.0.1", 80).await;
        Self { load, world, net }
    }

    async fn put(&self, number: u8, value: &str) {
        self.world.put(&server(number), value).await;
    }

    async fn del(&self, number: u8) {
        self.world.del(&server(number)).await;
    }

    /// Ends the load, of which nothing may have failed; gives what it said.
    async fn judge(&mut self) -> String {
        self.load.signal(Signal::SIGTERM).unwrap();
        self.load.wait(SOON).await.unwrap();
        let said = self.load.text(Stream::Stdout);
        let errors = self.load.text(Stream::Stderr);
        let log = self.world.manager.log();
        assert!(said.contains(", 0 failures"), "{said}{errors}\n{log}");
        said
    }
}

/// Waits until these serve, and nobody else is there any more.
async fn until(numbers: &[u8]) {
    let servers = numbers
        .iter()
        .map(|number| format!("{} 1", server(*number)));
    let servers: Vec<String> = servers.collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    until_servers(VIP, &servers).await;
}

pub async fn is_served_while_real_servers_come_and_go() {
    let mut scene = Scene::new("multiple", &[1, 2]).await;
    scene.put(3, "").await;
    until(&[1, 2, 3]).await;
    scene.put(2, r#"{"drain": true}"#).await;
    until(&[1, 3]).await;
    scene.put(2, "").await;
    until(&[1, 2, 3]).await;
    // One that returns while it is on its way out.
    scene.del(3).await;
    scene.put(3, "").await;
    until(&[1, 2, 3]).await;
    scene.judge().await;
}

/// Each in its turn, while those that leave have connections to finish.
pub async fn is_served_while_all_are_replaced() {
    let mut scene = Scene::new("multiple", &[1, 2]).await;
    for (comes, goes, left) in [(3, 1, [2, 3]), (4, 2, [3, 4]), (1, 3, [1, 4])] {
        scene.put(comes, "").await;
        scene.del(goes).await;
        until(&left).await;
    }
    let said = scene.judge().await;
    for number in 1..=4 {
        assert!(said.contains(&format!("server-{number}:")), "{said}");
    }
}

pub async fn of_a_single_service_follows_each_switch() {
    let mut scene = Scene::new("single", &[1]).await;
    for number in [2, 3, 1, 4] {
        let key = key(VIP, "single", &server(number));
        scene.world.etcd.put(&key, "").await.unwrap();
        until(&[number]).await;
    }
    let said = scene.judge().await;
    assert!(said.contains("server-4:"), "{said}");
}

/// A connection that does not end is served until the drain's end, also where
/// the manager is killed meanwhile.
pub async fn that_does_not_end_is_served_until_the_deadline() {
    const DRAIN: Duration = Duration::from_secs(7);
    const NEARLY: Duration = Duration::from_secs(5);
    let mut scene = Scene::new("multiple", &[1]).await;
    let drain = format!(r#"{{"drain": "{}s"}}"#, DRAIN.as_secs());
    scene.world.etcd.put(&config(VIP), &drain).await.unwrap();
    let kept = scene.net.keep("tcp", "10.8.0.1", 80).await;
    assert!(kept.lines()[0].text.starts_with("server-1 "));
    scene.put(2, "").await;
    until(&[1, 2]).await;

    let told = Instant::now();
    scene.del(1).await;
    let [leaves, stays] = [(1, 0), (2, 1)].map(|(number, weight)| {
        let server = server(number);
        format!("{server} {weight}")
    });
    until_servers(VIP, &[&leaves, &stays]).await;
    scene.world.manager.kill().await;
    scene.world.manager.run(&["--sysctl=apply"]).await;
    until(&[2]).await;
    assert!(told.elapsed() >= DRAIN, "{:?}", told.elapsed());
    let ended = kept.wait_for_line(|line| line.starts_with("none: "), SOON);
    ended.await.unwrap();
    let mut answers = kept.lines().into_iter();
    let last = answers.rfind(|line| line.text.starts_with("server-1 "));
    let served = last.unwrap().at - told;
    assert!(served >= NEARLY, "{served:?}");
    scene.judge().await;
}

/// Until the leases have expired.
pub async fn is_served_while_the_host_is_cut_off_from_etcd() {
    cut_off(Duration::ZERO).await;
}

pub async fn is_served_while_the_host_is_cut_off_from_etcd_for_a_minute() {
    cut_off(Duration::from_mins(1)).await;
}

/// A host is cut off from etcd at least for this long, until the leases of its
/// own members have expired. When it is back, its launcher writes their keys
/// again.
async fn cut_off(at_least: Duration) {
    let net = Net::new(2).await;
    let etcd = Etcd::start().await.unwrap();
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let mut manager = Manager::new(HOST, &proxy.url());
    manager.run(&["--sysctl=apply"]).await;
    let world = World { manager, etcd };
    let own = |number| format!("/lbManager/ipvs/{HOST}/{VIP}/multiple/{}", server(number));
    let lease = world.etcd.lease_grant(5).await.unwrap();
    for number in [1, 2] {
        let key = own(number);
        world.etcd.put_with_lease(&key, "", lease).await.unwrap();
    }
    until(&[1, 2]).await;
    let load = net.load("10.8.0.1", 80).await;
    let mut scene = Scene { load, world, net };

    proxy.set(Mode::Refuse).await.unwrap();
    let members = format!("/lbManager/ipvs/{HOST}/{VIP}/");
    wait::until_true("the leases have expired", SOON, || async {
        scene.world.etcd.count(&members).await.unwrap() == 0
    })
    .await
    .unwrap();
    tokio::time::sleep(at_least).await;
    proxy.set(Mode::Forward).await.unwrap();
    let status = format!("/lbManager-status/hosts/{HOST}/ipvs/{HOST}/{VIP}");
    let until_status = async |what: &str, is_so: fn(&serde_json::Value) -> bool| {
        let reached = wait::until(what, SOON, || async {
            let text = scene.world.etcd.get(&status).await.unwrap();
            let status = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
            if is_so(&status) { Ok(()) } else { Err(status) }
        });
        reached.await.unwrap();
    };
    until_status("both are held", |status| {
        status["withheld"]
            .as_object()
            .is_some_and(|held| held.len() == 2)
    })
    .await;
    for number in [1, 2] {
        scene.world.etcd.put(&own(number), "").await.unwrap();
    }
    until_status("none is held", |status| status["withheld"].is_null()).await;
    until(&[1, 2]).await;
    scene.judge().await;
}
