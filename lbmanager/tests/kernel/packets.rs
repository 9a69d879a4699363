//! Packets of every kind through the services that the manager makes: that they
//! arrive, and by the tale of `ipvsadm` where.

use std::collections::BTreeSet;

use testbed::wait;

use crate::net::{Net, PORT, ask, neighbour, server};
use crate::witness::{Traffic, connections, run, set, traffic, until_servers};
use crate::world::{SOON, VIP, World, config, key};

/// How often most clients ask.
const TIMES: u8 = 8;

/// The manager sees to the settings of the kernel, too.
async fn world() -> World {
    World::start_with(&["--sysctl=apply"]).await
}

fn names(answers: &[String]) -> BTreeSet<String> {
    let names = answers.iter().map(|answer| answer.split(' ').next());
    names.map(|name| name.unwrap().to_owned()).collect()
}

/// Waits until the kernel, which adds them up every two seconds, has counted
/// all connections to both real servers.
async fn until_counted(service: &str) {
    let what = format!("{service}: {TIMES} connections and their packets");
    wait::until(&what, SOON, || async {
        let seen = traffic(service).await;
        let sum: u64 = seen.values().map(|seen| seen.connections).sum();
        let both_ways = |seen: &Traffic| seen.packets_in > 0 && seen.packets_out > 0;
        if sum == u64::from(TIMES) && seen.values().all(both_ways) {
            Ok(())
        } else {
            Err(seen)
        }
    })
    .await
    .unwrap();
}

/// Services by turns, each with both real servers, in the table.
async fn put_by_turns(world: &World, services: &[&str]) {
    let mut keys = Vec::new();
    for service in services {
        keys.push((config(service), r#"{"scheduler": "rr"}"#));
        keys.extend(both(service).map(|server| (key(service, "multiple", &server), "")));
    }
    world.etcd.put_many(keys).await.unwrap();
    for service in services {
        let [one, other] = both(service).map(|server| format!("{server} 1"));
        until_servers(service, &[&one, &other]).await;
    }
}

/// Both real servers, by their addresses of a service's family.
fn both(service: &str) -> [String; 2] {
    if service.starts_with('[') || service.starts_with("fwmark6:") {
        return [11, 12].map(|number| format!("[fd09::{number}]:{PORT}"));
    }
    [1, 2].map(server)
}

pub async fn of_every_kind_arrive() {
    const SERVICES: [&str; 4] = ["[fd08::1]:80", "udp:10.8.0.1:53", "fwmark:7", "fwmark6:8"];
    const CALLED_AT: [(&str, &str, u16); 4] = [
        ("tcp", "fd08::1", 80),
        ("udp", "10.8.0.1", 53),
        ("tcp", "10.8.0.1", 9000),
        ("tcp", "fd08::1", 9010),
    ];
    let net = Net::new(2).await;
    mark("iptables-legacy", "10.8.0.1", 7).await;
    mark("ip6tables-legacy", "fd08::1", 8).await;
    let world = world().await;
    put_by_turns(&world, &SERVICES).await;
    for (service, to) in SERVICES.iter().zip(CALLED_AT) {
        let answers = ask(&net.client, TIMES, to, "").await;
        let both = set(&["server-1", "server-2"]);
        assert_eq!(names(&answers), both, "{service}: {answers:?}");
    }
    // Who is not marked is nobody's.
    let answers = ask(&net.client, 1, ("tcp", "10.8.0.1", 9011), "").await;
    assert_eq!(answers, ["none"]);
    for service in SERVICES {
        until_counted(service).await;
    }
}

/// The host's own rule makes several ports one service.
async fn mark(iptables: &str, address: &str, mark: u8) {
    let ports = format!("-d {address} -p tcp --dport 9000:9010");
    let rule = format!("-t mangle -A PREROUTING {ports} -j MARK --set-mark {mark}");
    run(iptables, &rule).await;
}

/// UDP: a client that never falls silent is not left with a real server that
/// is gone, since there is no end of a connection to wait for.
pub async fn of_udp_follow_the_real_servers() {
    let net = Net::new(2).await;
    let world = world().await;
    let service = "udp:10.8.0.1:53";
    put_by_turns(&world, &[service]).await;
    let busy = net.keep("udp", "10.8.0.1", 53).await;
    let first = busy.wait_for_line(|line| line.starts_with("server-"), SOON);
    let (its, other) = if first.await.unwrap().text.starts_with("server-1 ") {
        (server(1), "server-2 ")
    } else {
        (server(2), "server-1 ")
    };
    let key = key(service, "multiple", &its);
    assert!(world.etcd.del(&key).await.unwrap());
    let moved = busy.wait_for_line(|line| line.starts_with(other), SOON);
    moved.await.unwrap();
    let left = traffic(service).await;
    assert!(!left.contains_key(&its), "{left:?}");
}

/// With `persistence` each client stays with its real server, until that
/// leaves.
pub async fn of_one_client_go_to_one_real_server() {
    let net = Net::new(2).await;
    let world = world().await;
    put_by_turns(&world, &[VIP]).await;
    let persists = r#"{"scheduler": "rr", "persistence": 300}"#;
    world.etcd.put(&config(VIP), persists).await.unwrap();
    wait::until_true("the service persists", SOON, || async {
        run("ipvsadm", "-Sn").await.contains("-p 300")
    })
    .await
    .unwrap();

    let to = ("tcp", "10.8.0.1", 80);
    let mut theirs = Vec::new();
    for client in ["10.7.0.2", "10.7.0.3"] {
        let names = names(&ask(&net.client, TIMES, to, client).await);
        assert_eq!(names.len(), 1, "{client}: {names:?}");
        theirs.extend(names);
    }
    // By turns: else persistence would be no wonder.
    assert_ne!(theirs[0], theirs[1]);
    let (its, other) = if theirs[0] == "server-1" {
        (1, 2)
    } else {
        (2, 1)
    };
    let template = format!("10.7.0.2:0 {VIP} {}", server(its));
    let known = connections().await;
    assert!(known.contains(&template), "{known:#?}");

    world.del(&server(its)).await;
    until_servers(VIP, &[&format!("{} 1", server(other))]).await;
    let names = names(&ask(&net.client, TIMES, to, "10.7.0.2").await);
    assert_eq!(names, set(&[&theirs[1]]));
}

/// A client on the bridge of the real server gets its answers through this
/// host, not from the real server directly, which it knows nothing of.
pub async fn of_a_neighbour_arrive() {
    let net = Net::new(1).await;
    let client = neighbour(&net.lan, "neighbour", 30).await;
    let mut world = World::start_with(&["--sysctl=apply", "--masquerade=off"]).await;
    let to = ("tcp", "10.8.0.1", 80);
    // For the connection that nobody ends, below.
    let drain = r#"{"drain": "1s"}"#;
    world.etcd.put(&config(VIP), drain).await.unwrap();
    world.put(&server(1), "").await;
    until_servers(VIP, &[&format!("{} 1", server(1))]).await;
    assert_eq!(ask(&client, 1, to, "").await, ["none"]);
    assert_eq!(ask(&net.client, 1, to, "").await, ["server-1 10.7.0.2"]);

    world.manager.stop().await;
    let masquerading = ["--sysctl=apply", "--masquerade=auto"];
    world.manager.run(&masquerading).await;
    let rule = "the rule for clients on the bridge";
    wait::until_true(rule, SOON, || async { masquerades().await })
        .await
        .unwrap();
    assert_eq!(ask(&client, 1, to, "").await, ["server-1 10.9.0.1"]);
    // Others are seen as they are.
    assert_eq!(ask(&net.client, 1, to, "").await, ["server-1 10.7.0.2"]);
    let directly = ("tcp", "10.9.0.11", PORT);
    let answers = ask(&client, 1, directly, "").await;
    assert_eq!(answers, ["server-1 10.9.0.30"]);

    world.del(&server(1)).await;
    wait::until_true("no rule any more", SOON, || async { !masquerades().await })
        .await
        .unwrap();
}

async fn masquerades() -> bool {
    let rules = run("iptables-legacy-save", "").await;
    rules.contains("LBMANAGER") && rules.contains("MASQUERADE")
}
