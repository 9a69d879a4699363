//! Settings of the kernel.

use ipvs::ServiceKey;
use lbmanager::host::sysctl::{Finding, Mode, Needs, State, settle, wanted};

use crate::world::{get, proc, service, set};

const ALL: Needs = Needs {
    services: true,
    udp: true,
    persistent: true,
    masq_v4: true,
    masq_v6: true,
    rules: true,
};

const NAMES: [&str; 5] = [
    "net.ipv4.vs.conntrack",
    "net.ipv4.vs.expire_nodest_conn",
    "net.ipv4.vs.expire_quiescent_template",
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
];

fn values() -> Vec<String> {
    NAMES.map(get).to_vec()
}

pub async fn are_checked_and_applied() {
    for name in NAMES {
        set(name, "0");
    }
    let proc = proc();
    let wanted = wanted(&ALL, proc.kernel());
    let names = |findings: &[Finding]| -> Vec<_> {
        findings
            .iter()
            .map(|finding| finding.setting.name)
            .collect()
    };
    let found = settle(Mode::Check, &wanted, &proc);
    assert_eq!(names(&found), NAMES);
    let line = found[0].to_string();
    assert!(
        line.starts_with("net.ipv4.vs.conntrack is 0, 1 is wanted: "),
        "{line}"
    );
    assert_eq!(settle(Mode::Ignore, &wanted, &proc), []);
    assert_eq!(values(), ["0"; 5], "nothing was written");

    let done = settle(Mode::Apply, &wanted, &proc);
    assert!(
        done.iter().all(|done| done.state == State::Set(0)),
        "{done:?}"
    );
    assert_eq!(values(), ["1"; 5]);
    for mode in [Mode::Check, Mode::Apply] {
        assert_eq!(settle(mode, &wanted, &proc), []);
    }
}

pub async fn of_a_service_are_met_then() {
    let key = ServiceKey::tcp("192.0.2.1:80".parse().unwrap());
    let needs = Needs::of(&[service(key, "10.9.0.11:8080")], false);
    let proc = proc();
    let kernel = proc.kernel();
    assert!(kernel.is_some());
    let wanted = wanted(&needs, kernel);
    let names: Vec<_> = wanted.iter().map(|setting| setting.name).collect();
    assert_eq!(
        names,
        ["net.ipv4.vs.expire_nodest_conn", "net.ipv4.ip_forward"]
    );
    settle(Mode::Apply, &wanted, &proc);
    assert_eq!(settle(Mode::Check, &wanted, &proc), []);
    // Those that nobody asked for are as they were.
    assert_eq!(get("net.ipv4.vs.conntrack"), "0");
}
