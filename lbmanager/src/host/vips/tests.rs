use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn bound(interface: &str, address: &str) -> Bound {
    Bound {
        interface: interface.to_owned(),
        address: ip(address),
    }
}

fn links(links: &[(&str, &[(&str, u8)])]) -> Links {
    let interface = |addresses: &[(&str, u8)]| Interface {
        up: true,
        addresses: addresses
            .iter()
            .map(|(a, prefix)| (ip(a), *prefix))
            .collect(),
        ..Interface::default()
    };
    let links = links.iter();
    Links(
        links
            .map(|(name, has)| ((*name).to_owned(), interface(has)))
            .collect(),
    )
}

#[test]
fn missing_ones_are_added_and_no_other_is_touched() {
    let wanted = BTreeSet::from(["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"].map(ip));
    let links = links(&[
        ("eth0", &[("192.0.2.3", 24)]),
        (
            "lb0",
            &[("192.0.2.2", 32), ("192.0.2.8", 32), ("192.0.2.9", 32)],
        ),
    ]);
    let ours = BTreeSet::from([bound("lb0", "192.0.2.9")]);
    let plan = plan(Some("lb0"), &wanted, &links, &ours);
    let added = [bound("lb0", "192.0.2.1"), bound("lb0", "2001:db8::1")];
    assert_eq!(plan.add, BTreeSet::from(added));
    assert_eq!(plan.remove, ours, "192.0.2.8 is somebody else's");
    assert_eq!(
        plan.elsewhere,
        BTreeMap::from([(ip("192.0.2.3"), "eth0".to_owned())])
    );
    assert!(plan.keep.is_empty(), "192.0.2.2 was there before");
}

#[test]
fn one_that_was_put_there_anew_is_no_longer_ours() {
    let links = links(&[("lb0", &[("192.0.2.1", 24)])]);
    let ours = BTreeSet::from([bound("lb0", "192.0.2.1"), bound("lb0", "192.0.2.7")]);
    let plan = plan(Some("lb0"), &BTreeSet::new(), &links, &ours);
    assert_eq!(plan, VipPlan::default());
    assert_eq!(plan.before(), BTreeSet::new());
}

#[test]
fn they_move_with_the_option_and_leave_without() {
    let there = links(&[("lb0", &[("192.0.2.1", 32)]), ("lb1", &[])]);
    let ours = BTreeSet::from([bound("lb0", "192.0.2.1")]);
    let wanted = BTreeSet::from([ip("192.0.2.1")]);
    let moved = plan(Some("lb1"), &wanted, &there, &ours);
    assert_eq!(moved.add, BTreeSet::from([bound("lb1", "192.0.2.1")]));
    assert_eq!(moved.remove, ours);
    let left = plan(None, &wanted, &there, &ours);
    assert_eq!((left.add.len(), left.remove), (0, ours));
}

#[test]
fn the_ledger_holds_what_may_be_ours_at_any_time() {
    let [a, b, c, d] =
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map(|a| bound("lb0", a));
    let plan = VipPlan {
        add: BTreeSet::from([a.clone(), b.clone()]),
        remove: BTreeSet::from([c.clone(), d.clone()]),
        ..VipPlan::default()
    };
    assert_eq!(plan.before().len(), 4);
    let failed = [&b, &d].map(|bound| (bound.clone(), "no".to_owned()));
    let done = Done {
        failed: BTreeMap::from(failed),
        ..Done::default()
    };
    assert_eq!(plan.after(&done), BTreeSet::from([a, d]));
}

#[test]
fn a_missing_interface_can_be_made() {
    let there = links(&[("eth0", &[]), ("lo", &[])]);
    let error = usable("lb0", &there).unwrap_err().to_string();
    let make = "ip link add lb0 type dummy && ip link set lb0 up";
    assert!(
        error.contains(make) && error.ends_with("eth0, lo"),
        "{error}"
    );
    let mut down = links(&[("lb0", &[])]);
    down.0.get_mut("lb0").unwrap().up = false;
    let error = usable("lb0", &down).unwrap_err().to_string();
    assert!(error.contains("`ip link set lb0 up`"), "{error}");
}

fn address() -> impl Strategy<Value = IpAddr> {
    (0_u8..6).prop_map(|n| match n {
        0..4 => IpAddr::from([192, 0, 2, n]),
        _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)]),
    })
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["lb0".to_owned(), "lb1".to_owned(), "eth0".to_owned()])
}

fn any_links() -> impl Strategy<Value = Links> {
    let addresses = btree_map(address(), prop::sample::select(vec![24_u8, 32, 128]), 0..5);
    let link = addresses.prop_map(|addresses| Interface {
        up: true,
        addresses,
        ..Interface::default()
    });
    btree_map(name(), link, 0..3).prop_map(Links)
}

fn any_ledger() -> impl Strategy<Value = BTreeSet<Bound>> {
    let bound = (name(), address()).prop_map(|(interface, address)| Bound { interface, address });
    btree_set(bound, 0..6)
}

/// What the kernel does of a plan.
fn done(plan: &VipPlan, links: &Links) -> Links {
    let mut links = links.clone();
    for bound in &plan.add {
        let link = links.0.get_mut(&bound.interface).unwrap();
        link.addresses
            .insert(bound.address, host_prefix(bound.address));
    }
    for bound in &plan.remove {
        let link = links.0.get_mut(&bound.interface).unwrap();
        link.addresses.remove(&bound.address).unwrap();
    }
    links
}

proptest! {
    #[test]
    fn only_ours_is_removed_and_a_second_look_has_nothing_to_do(
        wanted in btree_set(address(), 0..6), links in any_links(), ours in any_ledger(),
    ) {
        let interface = links.0.contains_key("lb0").then_some("lb0");
        let first = plan(interface, &wanted, &links, &ours);
        prop_assert!(first.remove.is_subset(&ours) && first.keep.is_subset(&ours));
        prop_assert!(first.add.is_disjoint(&first.remove));
        let after = done(&first, &links);
        for address in wanted.iter().filter(|_| interface.is_some()) {
            let somewhere = after.0.values().any(|link| link.addresses.contains_key(address));
            prop_assert!(somewhere, "{address} is wanted");
        }
        for (name, link) in &links.0 {
            for address in link.addresses.keys() {
                let bound = Bound { interface: name.clone(), address: *address };
                let stays = after.0[name].addresses.contains_key(address);
                prop_assert!(stays || ours.contains(&bound), "{address} is not ours");
            }
        }
        let ledger = first.after(&Done::default());
        let second = plan(interface, &wanted, &after, &ledger);
        prop_assert!(second.is_empty(), "{second:?}");
        prop_assert_eq!(second.before(), ledger);
        // And all of it is gone when nothing is wanted any more, also after a
        // crash before anything was done.
        let last = plan(None, &wanted, &after, &first.before());
        for bound in &first.add {
            prop_assert!(last.remove.contains(bound));
        }
    }
}
