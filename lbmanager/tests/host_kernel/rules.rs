//! The rules, beside those of others.

use std::collections::BTreeSet;

use ipvs::ServiceKey;
use lbmanager::host::masquerade::{Look, Rule};
use lbmanager::host::service::Service;
use testbed::netns::Bridge;

use crate::world::{iptables, links, run, saved, service, settle};

fn tcp(address: &str) -> ServiceKey {
    ServiceKey::tcp(address.parse().unwrap())
}

fn plan(services: &[Service]) -> BTreeSet<Rule> {
    lbmanager::host::masquerade::plan(services, links().bridged())
}

/// As Docker has them.
fn docker() {
    for rule in [
        "-t nat -N DOCKER",
        "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-t nat -A POSTROUTING -s 10.9.0.0/24 ! -o lan -j MASQUERADE",
        "-t nat -A DOCKER -p tcp --dport 81 -j DNAT --to-destination 10.9.0.11:81",
        "-t filter -P FORWARD DROP",
        "-t filter -A FORWARD -i lan -j ACCEPT",
    ] {
        run("iptables-legacy", rule);
    }
}

pub async fn of_others_are_untouched() {
    let _lan = Bridge::create("lan", ["10.9.0.1/24"]).await.unwrap();
    docker();
    let before = saved("iptables-legacy-save");
    let mut iptables = iptables();
    let one = plan(&[service(tcp("192.0.2.1:80"), "10.9.0.11:8080")]);
    settle(&mut iptables, &one, Look::Changes).await;
    let ours = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("LBMANAGER"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let with = saved("iptables-legacy-save");
    assert_eq!(
        ours(&with),
        [
            ":LBMANAGER-POSTROUTING -",
            "-A POSTROUTING -j LBMANAGER-POSTROUTING",
            "-A LBMANAGER-POSTROUTING -s 10.9.0.0/24 -d 10.9.0.0/24 -p tcp -m conntrack \
             --ctorigdst 192.0.2.1 --ctorigdstport 80 -j MASQUERADE",
        ]
    );
    let others = with.lines().filter(|line| !line.contains("LBMANAGER"));
    assert_eq!(others.collect::<Vec<_>>().join("\n"), before);

    let services = [
        service(tcp("192.0.2.1:80"), "10.9.0.11:8080"),
        service(
            ServiceKey::udp("192.0.2.1:53".parse().unwrap()),
            "10.9.0.11:53",
        ),
        service(
            ServiceKey::sctp("192.0.2.1:9".parse().unwrap()),
            "10.9.0.11:9",
        ),
        service(ServiceKey::fwmark(7.try_into().unwrap()), "10.9.0.11:0"),
        service(tcp("192.0.2.1:0"), "10.9.0.11:0"),
    ];
    let many = plan(&services);
    assert_eq!(many.len(), 5);
    settle(&mut iptables, &many, Look::Changes).await;
    assert_eq!(ours(&saved("iptables-legacy-save")).len(), 7);
    // The kernel shows them as they were written: nothing is written again.
    let text = run("iptables-legacy-save", "-t nat");
    let present = lbmanager::host::masquerade::present::Present::parse(&text);
    assert_eq!(present.script(&many), None, "{text}");

    settle(&mut iptables, &BTreeSet::new(), Look::Changes).await;
    assert_eq!(saved("iptables-legacy-save"), before);
    // The same from a process that knows of none.
    settle(&mut iptables, &many, Look::Changes).await;
    settle(&mut self::iptables(), &BTreeSet::new(), Look::Changes).await;
    assert_eq!(saved("iptables-legacy-save"), before);
}

pub async fn that_somebody_removed_are_put_back() {
    let _lan = Bridge::create("lan", ["10.9.0.1/24", "fd09::1/64"])
        .await
        .unwrap();
    let wanted = plan(&[
        service(tcp("192.0.2.1:80"), "10.9.0.11:8080"),
        service(tcp("[2001:db8::1]:80"), "[fd09::11]:8080"),
    ]);
    let mut iptables = iptables();
    settle(&mut iptables, &wanted, Look::Everything).await;
    let both = || {
        (
            saved("iptables-legacy-save"),
            saved("ip6tables-legacy-save"),
        )
    };
    let whole = both();
    assert!(whole.1.contains("--ctorigdst 2001:db8::1"), "{}", whole.1);
    for change in [
        "-t nat -F",
        "-t nat -F LBMANAGER-POSTROUTING",
        "-t nat -D POSTROUTING -j LBMANAGER-POSTROUTING",
        "-t nat -A POSTROUTING -j LBMANAGER-POSTROUTING",
        "-t nat -I LBMANAGER-POSTROUTING -j RETURN",
    ] {
        for program in ["iptables-legacy", "ip6tables-legacy"] {
            run(program, change);
        }
        let changed = both();
        assert_ne!(changed, whole);
        settle(&mut iptables, &wanted, Look::Changes).await;
        assert_eq!(both(), changed, "nothing was looked at");
        settle(&mut iptables, &wanted, Look::Everything).await;
        assert_eq!(both(), whole, "{change}");
    }
}

pub async fn that_are_not_needed_load_nothing() {
    let tables = || std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    let before = tables();
    for look in [Look::Changes, Look::Everything] {
        settle(&mut iptables(), &BTreeSet::new(), look).await;
    }
    assert_eq!(tables(), before);
}
