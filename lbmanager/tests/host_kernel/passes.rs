//! All of it together, as the table's passes call it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use ipvs::ServiceKey;
use lbmanager::host::masquerade::{Look, Masquerade, Mode, Programs};
use lbmanager::host::service::Service;
use lbmanager::host::vips::Bound;
use lbmanager::host::{Host, HostSettings, Report, sysctl};

use crate::world::{World, iptables, run, saved, service, set, settle};

fn settings() -> HostSettings {
    HostSettings {
        bind_vips: Some("lb0".to_owned()),
        sysctl: sysctl::Mode::Apply,
        programs: Programs {
            v4: "iptables-legacy".to_owned(),
            v6: "ip6tables-legacy".to_owned(),
        },
        ..HostSettings::default()
    }
}

async fn pass(
    host: &mut Host,
    iptables: &mut Masquerade,
    services: &[Service],
    ledger: &mut BTreeSet<Bound>,
) -> Report {
    let addresses = services.iter().filter_map(|service| match service.key {
        ServiceKey::Address { address, .. } => Some(address.ip()),
        ServiceKey::Fwmark { .. } => None,
    });
    let addresses: BTreeSet<IpAddr> = addresses.collect();
    let links = host.links().unwrap();
    let plan = host.plan(&addresses, services, ledger, &links);
    *ledger = plan.vips.before();
    let report = host.apply(&plan, &links);
    *ledger = report.ledger.clone().unwrap();
    settle(iptables, &plan.rules, Look::Changes).await;
    report
}

pub async fn set_up_all_that_a_service_needs_and_clear_it_away() {
    let world = World::new().await;
    set("net.ipv4.vs.conntrack", "0");
    set("net.ipv4.ip_forward", "0");
    run("ipvsadm", "-A -t 192.0.2.1:80 -s rr");
    run("ipvsadm", "-a -t 192.0.2.1:80 -r 10.9.0.11:8080 -m");
    let services = [service(
        ServiceKey::tcp("192.0.2.1:80".parse().unwrap()),
        "10.9.0.11:8080",
    )];
    let mut ledger = BTreeSet::new();
    let mut host = Host::new(settings());
    let mut iptables = iptables();
    let report = pass(&mut host, &mut iptables, &services, &mut ledger).await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!(report.changes.len(), 4, "{report:?}");
    assert_eq!(report.changes[3], "added the address 192.0.2.1 to lb0");
    assert_eq!(world.call("192.0.2.1").await.as_deref(), Some("10.9.0.1"));

    let begun = Instant::now();
    let report = pass(&mut host, &mut iptables, &services, &mut ledger).await;
    println!("a pass without changes: {:?}", begun.elapsed());
    let ledger_only = Report {
        ledger: Some(ledger.clone()),
        ..Report::default()
    };
    assert_eq!(report, ledger_only);
    assert_eq!(ledger.len(), 1);

    // A later run without the options.
    let mut host = Host::new(HostSettings {
        bind_vips: None,
        masquerade: Mode::Off,
        ..settings()
    });
    let report = pass(&mut host, &mut iptables, &services, &mut ledger).await;
    assert_eq!(report.changes, ["removed the address 192.0.2.1 from lb0"]);
    assert!(!saved("iptables-legacy-save").contains("LBMANAGER"));
    assert!(ledger.is_empty());
}

pub async fn without_the_interface_do_the_rest() {
    let mut ledger = BTreeSet::new();
    let mut host = Host::new(settings());
    let services = ["192.0.2.1:80", "192.0.2.2:80", "127.0.0.1:80"];
    let services = services
        .map(|address| service(ServiceKey::tcp(address.parse().unwrap()), "10.9.0.11:8080"));
    let report = pass(&mut host, &mut iptables(), &services, &mut ledger).await;
    assert_eq!(report.problems.len(), 1, "said once: {report:?}");
    assert!(
        report
            .problems
            .first()
            .unwrap()
            .contains("ip link add lb0 type dummy")
    );
    assert_eq!(
        report.notes,
        ["127.0.0.1 is an address of lo already: it is left there"]
    );
    assert!(ledger.is_empty());
}
