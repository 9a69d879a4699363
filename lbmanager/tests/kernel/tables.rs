//! What the kernel's table becomes.

use testbed::wait;

use crate::witness::{FOREIGN, make_foreign, run, saved, servers, set, until_servers, until_table};
use crate::world::{SOON, VIP, World, config, key};

const A: &str = "10.8.1.1:8080";
const B: &str = "10.8.1.2:8080";
pub async fn follows_the_tree() {
    make_foreign().await;
    let world = World::start().await;
    world.put(A, "").await;
    world.put(B, r#"{"weight": 5, "upper_threshold": 9}"#).await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 5"]).await;
    let config = config(VIP);
    world
        .etcd
        .put(&config, r#"{"scheduler": "mh"}"#)
        .await
        .unwrap();
    let expected = format!("-A -t {VIP} -s mh -b mh-fallback");
    wait::until("the scheduler", SOON, || async {
        let table = saved().await;
        if table.contains(&expected) {
            Ok(())
        } else {
            Err(table)
        }
    })
    .await
    .unwrap();
    world.etcd.del(&config).await.unwrap();
    world.del(A).await;
    until_servers(VIP, &["10.8.1.2:8080 5"]).await;
    world.del(B).await;
    until_table(&set(&FOREIGN)).await;
}

pub async fn of_all_kinds_are_made() {
    let world = World::start().await;
    for (service, member, value) in [
        ("udp:10.8.0.1:53", "10.8.1.1:53", ""),
        ("sctp:10.8.0.1:99", "10.8.1.1:99", ""),
        ("[fd08::1]:80", "[fd08:1::1]:8080", ""),
        ("fwmark:7", "10.8.1.1:80", ""),
        ("fwmark6:7", "[fd08:1::1]:80", ""),
        ("10.8.0.2:80", "10.8.1.1:80", r#"{"forward": "direct"}"#),
        ("10.8.0.3:80", "10.8.1.1:80", r#"{"forward": "tunnel"}"#),
    ] {
        let key = key(service, "multiple", member);
        world.etcd.put(&key, value).await.unwrap();
    }
    let expected = set(&[
        "-A -u 10.8.0.1:53 -s wlc",
        "-a -u 10.8.0.1:53 -r 10.8.1.1:53 -m -w 1",
        "-A --sctp-service 10.8.0.1:99 -s wlc",
        "-a --sctp-service 10.8.0.1:99 -r 10.8.1.1:99 -m -w 1",
        "-A -t [fd08::1]:80 -s wlc",
        "-a -t [fd08::1]:80 -r [fd08:1::1]:8080 -m -w 1",
        "-A -f 7 -s wlc",
        "-a -f 7 -r 10.8.1.1:80 -m -w 1",
        "-A -f 7 -6 -s wlc",
        "-a -f 7 -6 -r [fd08:1::1]:80 -m -w 1",
        "-A -t 10.8.0.2:80 -s wlc",
        "-a -t 10.8.0.2:80 -r 10.8.1.1:80 -g -w 1",
        "-A -t 10.8.0.3:80 -s wlc",
        "-a -t 10.8.0.3:80 -r 10.8.1.1:80 -i -w 1 --tun-type ipip",
    ]);
    until_table(&expected).await;
}

pub async fn are_repaired_when_somebody_changes_them() {
    let world = World::start().await;
    world.put(A, "").await;
    world.put(B, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
    run("ipvsadm", &format!("-e -t {VIP} -r {A} -m -w 0")).await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
    run("ipvsadm", "-C").await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
}

pub async fn are_left_as_they_are_when_the_manager_stops() {
    let mut world = World::start().await;
    world.put(A, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    world.manager.stop().await;
    assert_eq!(servers(VIP).await, set(&["10.8.1.1:8080 1"]));
    world.manager.run(&[]).await;
    world.put(B, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
}

/// Those whose options make no sense, or that the kernel refuses, do not hold up
/// the others, and are named.
pub async fn have_all_but_those_that_are_refused() {
    const SENSELESS: &str = r#"{"upper_threshold": 1, "lower_threshold": 2}"#;
    const MULTICAST: &str = "224.0.0.9:80";
    let world = World::start().await;
    let members = (0..1000).map(|number| match number {
        500 => ("10.8.4.1:80".to_owned(), SENSELESS),
        700 => (MULTICAST.to_owned(), ""),
        _ => (
            format!("10.8.{}.{}:80", 2 + number / 250, 1 + number % 250),
            "",
        ),
    });
    let keys = members.map(|(member, value)| (key(VIP, "multiple", &member), value));
    world.etcd.put_many(keys).await.unwrap();
    wait::until("998 of them", SOON, || async {
        let found = servers(VIP).await.len();
        if found == 998 { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
    let status = world
        .until_status(VIP, "the refused ones", |status| {
            let problems = status["problems"].to_string();
            let refused = &status["members"][MULTICAST]["state"];
            problems.contains("10.8.4.1:80: lower_threshold is 2") && refused == "rejected"
        })
        .await;
    let error = status["error"]["what"].as_str().unwrap();
    let named = format!("cannot add destination {MULTICAST} to service {VIP}: ");
    assert!(error.starts_with(&named), "{error}");
}
