use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// A folder like /proc with these settings.
fn proc(settings: &[(&str, &str)]) -> (tempfile::TempDir, Proc) {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in settings {
        put(
            folder.path(),
            &format!("sys/{}", name.replace('.', "/")),
            value,
        );
    }
    let proc = Proc::at(folder.path());
    (folder, proc)
}

fn put(folder: &Path, file: &str, text: &str) {
    let file = folder.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("{text}\n")).unwrap();
}

const ALL: Needs = Needs {
    services: true,
    udp: true,
    persistent: true,
    masq_v4: true,
    masq_v6: true,
    rules: true,
};

fn names(needs: Needs, kernel: &str) -> Vec<&'static str> {
    let settings = wanted(&needs, kernel.parse().ok());
    settings.iter().map(|setting| setting.name).collect()
}

#[test]
fn what_is_wanted_follows_from_the_table() {
    assert_eq!(names(Needs::default(), "4.19.0"), [""; 0]);
    let services = Needs {
        services: true,
        ..Needs::default()
    };
    assert_eq!(names(services, "6.1.0"), ["net.ipv4.vs.expire_nodest_conn"]);
    assert_eq!(names(services, "odd"), names(services, "6.1.0"));
    let old = names(services, "5.8.18-lts");
    assert_eq!(old[1], "net.ipv4.vs.conn_reuse_mode");
    assert_eq!(names(ALL, "5.8.0").len(), 6);
    assert_eq!(names(ALL, "5.9.0").len(), 5);
    assert_eq!(names(ALL, "5.10.0").len(), 5, "10 is more than 9");
}

#[test]
fn what_differs_is_reported_with_the_reason() {
    let (_folder, proc) = proc(&[
        ("net.ipv4.vs.conntrack", "0"),
        ("net.ipv4.vs.expire_nodest_conn", "1"),
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv6.conf.all.forwarding", "odd"),
    ]);
    let findings = settle(Mode::Check, &wanted(&ALL, None), &proc);
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("net.ipv4.vs.conntrack is 0, 1 is wanted: without it the rules"));
    assert!(lines[0].ends_with("`sysctl -w net.ipv4.vs.conntrack=1`, or with --sysctl apply"));
    assert!(
        lines[1].contains("expire_quiescent_template cannot be read"),
        "{}",
        lines[1]
    );
    assert!(lines[1].contains("modprobe ip_vs"), "{}", lines[1]);
    assert!(
        lines[2].contains("has \"odd\", a number is expected"),
        "{}",
        lines[2]
    );
    assert_eq!(settle(Mode::Ignore, &wanted(&ALL, None), &proc), []);
}

#[test]
fn what_is_applied_is_as_wanted_then() {
    let (folder, proc) = proc(&[("net.ipv4.vs.conntrack", "0"), ("net.ipv4.ip_forward", "0")]);
    let wanted = wanted(&ALL, None);
    let wanted: Vec<Setting> = wanted
        .into_iter()
        .filter(|setting| {
            setting.name.ends_with("conntrack") || setting.name.ends_with("ip_forward")
        })
        .collect();
    let findings = settle(Mode::Apply, &wanted, &proc);
    assert!(
        findings
            .iter()
            .all(|finding| finding.state == State::Set(0))
    );
    assert!(!findings.iter().any(Finding::is_problem));
    let line = findings[0].to_string();
    assert!(
        line.starts_with("net.ipv4.vs.conntrack was 0 and is 1 now: "),
        "{line}"
    );
    assert_eq!(settle(Mode::Apply, &wanted, &proc), []);
    let written = fs::read_to_string(folder.path().join("sys/net/ipv4/ip_forward"));
    assert_eq!(written.unwrap(), "1\n");
}

#[test]
fn a_learnt_default_route_is_not_lost() {
    let forwarding = wanted(&ALL, None).pop().unwrap();
    assert_eq!(forwarding.name, "net.ipv6.conf.all.forwarding");
    let (folder, proc) = proc(&[
        (forwarding.name, "0"),
        ("net.ipv6.conf.eth0.accept_ra", "1"),
    ]);
    let zero = "0".repeat(32);
    let route = format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 00450003     eth0");
    put(folder.path(), "net/ipv6_route", &route);
    let findings = settle(Mode::Apply, &[forwarding], &proc);
    let line = findings[0].to_string();
    assert!(
        line.contains("is not set") && line.contains("accept_ra=2"),
        "{line}"
    );
    assert!(findings[0].is_problem());
    put(folder.path(), "sys/net/ipv6/conf/eth0/accept_ra", "2");
    let findings = settle(Mode::Apply, &[forwarding], &proc);
    assert_eq!(findings[0].state, State::Set(0));
}

#[test]
fn versions_of_kernels() {
    let version = |text: &str| text.parse::<KernelVersion>();
    let debian = KernelVersion { major: 6, minor: 1 };
    for text in ["6.1.0-28-amd64", "6.1.176", "6.1", "6.1-rc2"] {
        assert_eq!(version(text), Ok(debian));
    }
    for text in ["", "6", "six.one", ".1.2"] {
        assert!(version(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text: String) {
        let _ = text.parse::<KernelVersion>();
        let _ = super::routes::learnt_defaults(&text);
    }

    #[test]
    fn nothing_is_wanted_twice(bits: [bool; 6], major in 3_u32..8, minor in 0_u32..20) {
        let [services, udp, persistent, masq_v4, masq_v6, rules] = bits;
        let needs = Needs { services, udp, persistent, masq_v4, masq_v6, rules };
        let settings = wanted(&needs, Some(KernelVersion { major, minor }));
        let mut names: Vec<_> = settings.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), settings.len());
        for setting in settings {
            prop_assert!(setting.is_met_by(setting.value));
            prop_assert!(!setting.is_met_by(u32::from(setting.value == 0)));
        }
    }
}
