//! Virtual addresses on an interface.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use lbmanager::host::links::Route;
use lbmanager::host::vips::{self, Bound, VipPlan};

use crate::world::{links, run};

/// One pass: the ledger after it.
fn pass(
    interface: Option<&str>,
    wanted: &[&str],
    ours: &BTreeSet<Bound>,
) -> (VipPlan, BTreeSet<Bound>) {
    let wanted = wanted.iter().map(|address| address.parse().unwrap());
    let wanted: BTreeSet<IpAddr> = wanted.collect();
    let links = links();
    let plan = vips::plan(interface, &wanted, &links, ours);
    let done = vips::carry_out(&plan, &links, &mut Route::open().unwrap());
    assert!(done.failed.is_empty(), "{done:?}");
    let ledger = plan.after(&done);
    (plan, ledger)
}

/// The addresses of an interface as `ip` shows them, without link-local ones.
fn shown(interface: &str) -> Vec<String> {
    let line = run("ip", &format!("-br address show dev {interface}"));
    let mut words: Vec<String> = line
        .split_ascii_whitespace()
        .skip(2)
        .filter(|word| !word.starts_with("fe80:"))
        .map(str::to_owned)
        .collect();
    words.sort();
    words
}

fn dummy(name: &str) {
    run("ip", &format!("link add {name} type dummy"));
    run("ip", &format!("link set {name} up"));
}

pub async fn are_added_and_only_ours_are_removed() {
    dummy("lb0");
    dummy("eth9");
    run("ip", "address add 192.0.2.8/32 dev lb0");
    run("ip", "address add 192.0.2.2/32 dev lb0");
    run("ip", "address add 198.51.100.1/24 dev eth9");
    let wanted = ["192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1"];
    let (plan, ledger) = pass(Some("lb0"), &wanted, &BTreeSet::new());
    assert_eq!(plan.elsewhere.into_values().collect::<Vec<_>>(), ["eth9"]);
    let all = [
        "192.0.2.1/32",
        "192.0.2.2/32",
        "192.0.2.8/32",
        "2001:db8::1/128",
    ];
    assert_eq!(shown("lb0"), all);
    assert_eq!(ledger.len(), 2, "{ledger:?}");

    let (plan, ledger) = pass(Some("lb0"), &wanted, &ledger);
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(shown("lb0"), all);

    // Somebody takes one away, and somebody's host answers at once.
    run("ip", "address delete 192.0.2.1/32 dev lb0");
    let (plan, ledger) = pass(Some("lb0"), &wanted, &ledger);
    assert_eq!(plan.add.len(), 1);
    assert_eq!(shown("lb0"), all);
    assert!(run("ip", "route get 192.0.2.1").starts_with("local 192.0.2.1"));

    let (_, ledger) = pass(Some("lb0"), &["2001:db8::1"], &ledger);
    assert_eq!(
        shown("lb0"),
        ["192.0.2.2/32", "192.0.2.8/32", "2001:db8::1/128"]
    );
    let (_, ledger) = pass(Some("lb0"), &[], &ledger);
    assert_eq!(shown("lb0"), ["192.0.2.2/32", "192.0.2.8/32"]);
    assert_eq!(shown("eth9"), ["198.51.100.1/24"]);
    assert!(ledger.is_empty());
}

pub async fn of_ipv6_are_used_at_once() {
    // One on which others could have the address, too.
    run("ip", "link add lb0 type veth peer name lb1");
    run("ip", "link set lb0 up");
    run("ip", "link set lb1 up");
    pass(Some("lb0"), &["2001:db8::1"], &BTreeSet::new());
    let shown = run("ip", "-6 address show dev lb0 scope global");
    assert!(shown.contains("2001:db8::1/128"), "{shown}");
    assert!(
        shown.contains("nodad") && !shown.contains("tentative"),
        "{shown}"
    );
}

pub async fn may_be_many() {
    // More of both than the kernel tells in one go.
    let links: Vec<String> = (0..100)
        .map(|n| format!("link add d{n} type dummy"))
        .collect();
    std::fs::write("/run/links", links.join("\n") + "\n").unwrap();
    run("ip", "-batch /run/links");
    dummy("lb0");
    let six = |n| format!("2001:db8::{n:x}");
    let four = |n: usize| format!("198.18.{}.{}", n / 250, n % 250 + 1);
    let wanted: Vec<String> = (0..1000).flat_map(|n| [four(n), six(n + 1)]).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let (_, ledger) = pass(Some("lb0"), &wanted, &BTreeSet::new());
    assert_eq!((shown("lb0").len(), ledger.len()), (2000, 2000));
    let begun = Instant::now();
    let (plan, ledger) = pass(Some("lb0"), &wanted, &ledger);
    println!("a pass over 2000 addresses: {:?}", begun.elapsed());
    assert!(plan.is_empty());
    let (_, ledger) = pass(Some("lb0"), &wanted[..1000], &ledger);
    assert_eq!((shown("lb0").len(), ledger.len()), (1000, 1000));
}

pub async fn move_with_the_option() {
    dummy("lb0");
    dummy("lb1");
    let (_, ledger) = pass(Some("lb0"), &["192.0.2.1"], &BTreeSet::new());
    let (_, ledger) = pass(Some("lb1"), &["192.0.2.1"], &ledger);
    assert_eq!((shown("lb0").len(), shown("lb1").len()), (0, 1));
    // Also from one that was switched off.
    run("ip", "link set lb1 down");
    let (_, ledger) = pass(None, &["192.0.2.1"], &ledger);
    assert_eq!(shown("lb1").len(), 0);
    assert!(ledger.is_empty());
}

pub async fn on_an_interface_that_is_not_there_are_reported() {
    let wanted = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
    let links = links();
    let plan = vips::plan(Some("lb0"), &wanted, &links, &BTreeSet::new());
    let done = vips::carry_out(&plan, &links, &mut Route::open().unwrap());
    let why = done.failed.values().next().unwrap();
    assert!(why.contains("ip link add lb0 type dummy"), "{why}");
    assert!(plan.after(&done).is_empty());
}
