//! A client behind the bridge of the real server.

use std::collections::BTreeSet;

use ipvs::ServiceKey;
use lbmanager::host::masquerade::Look;

use crate::world::{World, iptables, rules, run, saved, service, set, settle};

pub async fn reach_each_other_with_the_rules_only() {
    let world = World::new().await;
    run("ip", "address add 192.0.2.1/32 dev lb0");
    run("ipvsadm", "-A -t 192.0.2.1:80 -s rr");
    run("ipvsadm", "-a -t 192.0.2.1:80 -r 10.9.0.11:8080 -m");
    let service = service(
        ServiceKey::tcp("192.0.2.1:80".parse().unwrap()),
        "10.9.0.11:8080",
    );
    let rules = rules(&service);
    assert_eq!(rules.len(), 1, "{rules:?}");
    assert_eq!(world.call("192.0.2.1").await, None);

    let before = saved("iptables-legacy-save");
    let mut iptables = iptables();
    settle(&mut iptables, &rules, Look::Changes).await;
    assert_eq!(world.call("192.0.2.1").await.as_deref(), Some("10.9.0.1"));
    // The rest of the world, here this host itself, is not masqueraded.
    let own = run("curl", "-sS --max-time 3 http://192.0.2.1/");
    assert_eq!(own, "::ffff:192.0.2.1");
    // The rules alone do not do it.
    set("net.ipv4.vs.conntrack", "0");
    assert_eq!(world.call("192.0.2.1").await, None);
    set("net.ipv4.vs.conntrack", "1");

    settle(&mut iptables, &BTreeSet::new(), Look::Changes).await;
    assert_eq!(world.call("192.0.2.1").await, None);
    // The empty table was not there before there was a rule.
    assert_eq!(before, "");
    assert!(!saved("iptables-legacy-save").contains("-A "));
    assert!(!saved("iptables-legacy-save").contains("LBMANAGER"));
}

pub async fn of_ipv6_reach_each_other() {
    let world = World::new().await;
    run("ip", "address add 2001:db8::1/128 dev lb0");
    run("ipvsadm", "-A -t [2001:db8::1]:80 -s rr");
    run("ipvsadm", "-a -t [2001:db8::1]:80 -r [fd09::11]:8080 -m");
    let service = service(
        ServiceKey::tcp("[2001:db8::1]:80".parse().unwrap()),
        "[fd09::11]:8080",
    );
    let rules = rules(&service);
    assert_eq!(world.call("[2001:db8::1]").await, None);
    settle(&mut iptables(), &rules, Look::Changes).await;
    assert_eq!(
        world.call("[2001:db8::1]").await.as_deref(),
        Some("fd09::1")
    );
}

pub async fn by_mark_reach_each_other() {
    let world = World::new().await;
    run("ip", "address add 192.0.2.1/32 dev lb0");
    let mark = "-t mangle -A PREROUTING -d 192.0.2.1 -p tcp -j MARK --set-mark 7";
    run("iptables-legacy", mark);
    run("ipvsadm", "-A -f 7 -s rr");
    run("ipvsadm", "-a -f 7 -r 10.9.0.11 -m");
    let service = service(ServiceKey::fwmark(7.try_into().unwrap()), "10.9.0.11:0");
    assert_eq!(world.call("192.0.2.1:8080").await, None);
    settle(&mut iptables(), &rules(&service), Look::Changes).await;
    assert_eq!(
        world.call("192.0.2.1:8080").await.as_deref(),
        Some("10.9.0.1")
    );
}

pub async fn call_each_other_directly_as_before() {
    let world = World::new().await;
    // A service on the bridge's own address, whose real server calls it, too.
    run("ipvsadm", "-A -t 10.9.0.1:80 -s rr");
    run("ipvsadm", "-a -t 10.9.0.1:80 -r 10.9.0.11:8080 -m");
    let service = service(
        ServiceKey::tcp("10.9.0.1:80".parse().unwrap()),
        "10.9.0.11:8080",
    );
    settle(&mut iptables(), &rules(&service), Look::Changes).await;
    // With bridged packets in iptables, and without.
    run("modprobe", "br_netfilter");
    for through in ["1", "0"] {
        set("net.bridge.bridge-nf-call-iptables", through);
        assert_eq!(world.call("10.9.0.1").await.as_deref(), Some("10.9.0.1"));
        assert_eq!(
            world.call("10.9.0.11:8080").await.as_deref(),
            Some("10.9.0.2")
        );
    }
}
