//! What holds for every key.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use proptest::prelude::*;
use proptest::sample::select;

use super::launcher::LauncherKey;
use super::semaphore::SemaphoreKey;
use super::service_monitor::ServiceMonitorKey;
use super::status::{BalancerStatusKey, ManagerRole, StatusKey, StatusTree, StatusWriter};
use super::{DEFAULT_PREFIX, KeyError, Tree, TreeKey};
use crate::model::{
    BalancerId, Class, DefinitionRevision, HostId, InvalidName, Kind, Label, MemberId, MemberKey,
    Revision, ServiceId, ServiceName,
};

fn name<T: FromStr + std::fmt::Debug>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T::Err: std::fmt::Debug,
{
    pattern.prop_map(|text| text.parse().unwrap())
}

fn host() -> impl Strategy<Value = HostId> {
    name("[A-Za-z0-9._-]{1,20}")
}

fn service() -> impl Strategy<Value = ServiceId> {
    name("[A-Za-z0-9._:-]{1,20}")
}

fn label() -> impl Strategy<Value = Label> {
    name("[a-z0-9._-]{1,20}")
}

fn service_name() -> impl Strategy<Value = ServiceName> {
    name("[A-Za-z0-9][A-Za-z0-9._-]{0,20}")
}

fn definition_revision() -> impl Strategy<Value = DefinitionRevision> {
    (1..i64::MAX, any::<[u8; 32]>())
        .prop_map(|(revision, sha256)| DefinitionRevision::new(Revision(revision), &sha256))
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    (address(), 1..=u16::MAX).prop_map(SocketAddr::from)
}

/// An IPv4 address that is mapped to IPv6 is one of IPv4.
fn address() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>().prop_map(|address| address.to_canonical())
}

fn aws_region() -> impl Strategy<Value = String> {
    "[a-z]{2}(-[a-z]{3,9}){1,2}-[0-9]{1,2}"
}

fn aws_name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
}

fn virtual_service() -> impl Strategy<Value = String> {
    let protocol = select(vec!["", "udp:", "sctp:"]);
    let family = select(vec!["fwmark", "fwmark6"]);
    prop_oneof![
        (protocol, socket()).prop_map(|(protocol, socket)| format!("{protocol}{socket}")),
        (family, 1..=u32::MAX).prop_map(|(family, mark)| format!("{family}:{mark}")),
    ]
}

fn balancer() -> impl Strategy<Value = BalancerId> {
    let record = "[A-Z0-9]{1,32}/[a-z0-9_*-]{1,63}(\\.[a-z0-9-]{1,20}){0,3}";
    let aws = select(vec![Kind::Elb, Kind::Elbv2]);
    prop_oneof![
        (aws, aws_region(), aws_name()),
        (Just(Kind::Route53), Just("global".to_owned()), record),
        (Just(Kind::Ipvs), "[A-Za-z0-9._-]{1,20}", virtual_service()),
    ]
    .prop_map(|(kind, region, name)| BalancerId::new(kind, &region, &name).unwrap())
}

fn member_of(kind: Kind) -> BoxedStrategy<MemberId> {
    let instance = "i-[0-9a-f]{8,17}";
    let with_port = (instance, 1..=u16::MAX).prop_map(|(id, port)| format!("{id}:{port}"));
    let address = address().prop_map(|address| address.to_string());
    let socket = socket().prop_map(|socket| socket.to_string());
    let text = match kind {
        Kind::Elb => instance.boxed(),
        Kind::Elbv2 => prop_oneof![instance, with_port, address, socket].boxed(),
        Kind::Route53 => address.boxed(),
        Kind::Ipvs => socket.boxed(),
    };
    text.prop_map(move |text| MemberId::parse(kind, &text).unwrap())
        .boxed()
}

fn member_key() -> impl Strategy<Value = MemberKey> {
    let class = select(vec![Class::Single, Class::Multiple]);
    (balancer(), class).prop_flat_map(|(balancer, class)| {
        member_of(balancer.kind()).prop_map(move |member| MemberKey {
            balancer: balancer.clone(),
            class,
            member,
        })
    })
}

fn tree_key() -> impl Strategy<Value = TreeKey> {
    prop_oneof![
        1 => Just(TreeKey::Config),
        4 => balancer().prop_map(TreeKey::BalancerConfig),
        16 => member_key().prop_map(TreeKey::Member),
    ]
}

fn semaphore_key() -> impl Strategy<Value = SemaphoreKey> {
    prop_oneof![
        Just(SemaphoreKey::Slots),
        service().prop_map(SemaphoreKey::Entry),
    ]
}

fn status_key() -> impl Strategy<Value = StatusKey> {
    let role = || select(vec![ManagerRole::Aws, ManagerRole::Ipvs]);
    let writer = || (role(), host()).prop_map(|(role, host)| StatusWriter::of(role, &host));
    let status = (host(), balancer());
    let status = status.prop_map(|(host, balancer)| BalancerStatusKey::by(&host, &balancer));
    prop_oneof![
        (host(), role()).prop_map(|(host, role)| StatusKey::Manager(host, role)),
        writer().prop_map(StatusKey::Written),
        writer().prop_map(StatusKey::Frozen),
        status.prop_map(StatusKey::Balancer),
        balancer().prop_map(StatusKey::Release),
        Just(StatusKey::ReleaseAll),
    ]
}

fn service_monitor_key() -> impl Strategy<Value = ServiceMonitorKey> {
    prop_oneof![
        (label(), service()).prop_map(|(label, service)| ServiceMonitorKey::Host(label, service)),
        (label(), semaphore_key()).prop_map(|(label, what)| ServiceMonitorKey::Lease(label, what)),
    ]
}

fn launcher_key() -> impl Strategy<Value = LauncherKey> {
    let parts = || (service_name(), host(), definition_revision());
    prop_oneof![
        service_name().prop_map(LauncherKey::Service),
        parts().prop_map(|(name, _, revision)| LauncherKey::History(name, revision)),
        parts().prop_map(|(name, host, revision)| LauncherKey::Instance(name, host, revision)),
        parts().prop_map(|(name, host, revision)| LauncherKey::Bad(name, revision, host)),
    ]
}

/// Keys that are nearly of the scheme, and sometimes are: segments that occur
/// in it, in any order and number, with anything between.
fn nearly_a_key() -> impl Strategy<Value = String> {
    let known = select(vec![
        "lbManager",
        "lbManager-status",
        "service-monitor",
        "launcher",
        "config",
        "elb",
        "elbv2",
        "route53",
        "ipvs",
        "us-east-1",
        "global",
        "web",
        "Z1",
        "www.example.com",
        "10.0.0.1:80",
        "fwmark:1",
        "single",
        "multiple",
        "i-0123abcd",
        "10.0.0.2",
        "[::1]:80",
        "managers",
        "lb",
        "release",
        "all",
        "leader",
        "hosts",
        "lease",
        "slots",
        "queue",
        "services",
        "history",
        "instances",
        "bad",
        "42-0a1b2c3d",
        "",
    ]);
    let segment = prop_oneof![8 => known.prop_map(str::to_owned), 1 => ".{0,8}"];
    proptest::collection::vec(segment, 0..9).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// A key of the scheme with one character changed, left out or put in.
fn mistyped(key: String) -> impl Strategy<Value = String> {
    let length = key.chars().count();
    let character = prop_oneof![select(vec!['/', '0', 'A', ':', '.', '-']), any::<char>()];
    (0..=length, 0..2usize, proptest::option::of(character)).prop_map(
        move |(at, skipped, inserted)| {
            let before = key.chars().take(at);
            let after = key.chars().skip(at + skipped);
            before.chain(inserted).chain(after).collect()
        },
    )
}

fn tree() -> Tree {
    Tree::new(DEFAULT_PREFIX).unwrap()
}

fn status_tree() -> StatusTree {
    tree().status()
}

/// Whichever root the key is below: if it is taken, it is the same when it is
/// written again; if it is refused for its spelling, the one that is named is
/// taken.
fn check(key: &str) -> Result<(), TestCaseError> {
    fn same<K: Display>(key: &str, parsed: Result<K, KeyError>) -> Result<(), TestCaseError> {
        match parsed {
            Ok(parsed) => prop_assert_eq!(parsed.to_string(), key),
            Err(KeyError::Part { source, .. }) => names_the_canonical(key, &source)?,
            Err(_) => {}
        }
        Ok(())
    }
    let spelled = tree().parse(key).map(|parsed| tree().key(&parsed));
    same(key, spelled)?;
    let spelled = status_tree()
        .parse(key)
        .map(|parsed| status_tree().key(&parsed));
    same(key, spelled)?;
    same(key, key.parse::<ServiceMonitorKey>())?;
    same(key, key.parse::<LauncherKey>())
}

fn names_the_canonical(key: &str, error: &InvalidName) -> Result<(), TestCaseError> {
    let Some(canonical) = &error.canonical else {
        return Ok(());
    };
    prop_assert_ne!(canonical, &error.value);
    let advice = format!("write {canonical:?}");
    prop_assert!(error.allowed.ends_with(&advice));
    // The same key with that part put right is refused for another part, or
    // not at all.
    let right = key.replacen(&error.value, canonical, 1);
    let again = [
        tree().parse(&right).err(),
        status_tree().parse(&right).err(),
        right.parse::<ServiceMonitorKey>().err(),
        right.parse::<LauncherKey>().err(),
    ];
    for error in again.into_iter().flatten() {
        if let KeyError::Part { source, .. } = error {
            prop_assert_ne!(&source.value, canonical, "{}", source);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        key in tree_key(),
        status in status_key(),
        service_monitor in service_monitor_key(),
        launcher in launcher_key(),
    ) {
        prop_assert_eq!(tree().parse(&tree().key(&key)), Ok(key));
        prop_assert_eq!(status_tree().parse(&status_tree().key(&status)), Ok(status));
        prop_assert_eq!(service_monitor.to_string().parse(), Ok(service_monitor));
        prop_assert_eq!(launcher.to_string().parse(), Ok(launcher));
    }

    #[test]
    fn a_key_is_below_the_prefix_of_its_tree_and_of_no_other(key in tree_key()) {
        let key = tree().key(&key);
        prop_assert!(key.starts_with(&tree().prefix()));
        for other in ["/lbManager2", "/lb", "/lbManage"] {
            let other = Tree::new(other).unwrap();
            let elsewhere = matches!(other.parse(&key), Err(KeyError::Elsewhere { .. }));
            prop_assert!(elsewhere, "{}", key);
        }
    }

    #[test]
    fn anything_at_all_is_a_key_or_an_error(key in ".*") {
        check(&key)?;
        check(&format!("/lbManager/{key}"))?;
    }

    #[test]
    fn what_is_nearly_a_key_is_a_key_or_an_error(key in nearly_a_key()) {
        check(&key)?;
    }

    #[test]
    fn a_mistyped_key_is_another_key_or_an_error(
        key in prop_oneof![
            tree_key().prop_map(|key| tree().key(&key)),
            status_key().prop_map(|key| status_tree().key(&key)),
            service_monitor_key().prop_map(|key| key.to_string()),
            launcher_key().prop_map(|key| key.to_string()),
        ].prop_flat_map(mistyped)
    ) {
        check(&key)?;
    }

    #[test]
    fn another_spelling_is_refused_with_the_canonical_one(key in member_key()) {
        let upper = key.member.as_str().to_uppercase();
        if upper != key.member.as_str() {
            let error = key.balancer.member(&upper).unwrap_err();
            prop_assert_eq!(error.canonical.as_deref(), Some(key.member.as_str()));
        }
        let name = key.balancer.name();
        let other = match key.balancer.kind() {
            Kind::Elb | Kind::Elbv2 => return Ok(()),
            Kind::Route53 => format!("{name}."),
            Kind::Ipvs if name.starts_with(|c: char| c.is_ascii_digit() || c == '[') => {
                format!("tcp:{name}")
            }
            Kind::Ipvs => name.replacen("fwmark:", "fwmark:0", 1),
        };
        if other != name {
            let region = key.balancer.region().as_str();
            let error = BalancerId::new(key.balancer.kind(), region, &other).unwrap_err();
            prop_assert_eq!(error.canonical.as_deref(), Some(name));
        }
    }
}
