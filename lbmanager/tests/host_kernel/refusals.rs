//! What is said where the process may not.

use std::collections::BTreeSet;
use std::path::Path;

use ipvs::{Ipvs, ServiceKey};
use lbmanager::host::links::Route;
use lbmanager::host::masquerade::Look;
use lbmanager::host::preconditions::Process;
use lbmanager::host::sysctl::{Mode, Needs, settle, wanted};
use lbmanager::host::vips;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, setresuid};
use testbed::netns::Bridge;

use crate::world::{iptables, links, proc, rules, run, service};

fn explained() -> String {
    let error = Ipvs::open().and_then(|mut ipvs| ipvs.services());
    Process::look(Path::new("/proc/self")).explain(&error.unwrap_err())
}

pub async fn without_the_capability_say_so() {
    let _lan = Bridge::create("lan", ["10.9.0.1/24"]).await.unwrap();
    run("ip", "link add lb0 type dummy");
    run("ip", "link set lb0 up");
    let key = ServiceKey::tcp("192.0.2.1:80".parse().unwrap());
    let service = service(key, "10.9.0.11:8080");
    let rules = rules(&service);
    // Its capabilities go with it.
    let nobody = Uid::from_raw(65534);
    setresuid(nobody, nobody, nobody).unwrap();

    let said = explained();
    assert!(said.contains("lacks CAP_NET_ADMIN"), "{said}");

    let links = links();
    let wanted_vips = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
    let plan = vips::plan(Some("lb0"), &wanted_vips, &links, &BTreeSet::new());
    let done = vips::carry_out(&plan, &links, &mut Route::open().unwrap());
    let said = done.failed.values().next().unwrap();
    assert!(
        said.contains("cannot add the address 192.0.2.1 to lb0"),
        "{said}"
    );
    assert!(said.contains("CAP_NET_ADMIN is needed"), "{said}");

    let needs = Needs::of(&[service], true);
    let found = settle(Mode::Apply, &wanted(&needs, None), &proc());
    let said = found[0].to_string();
    assert!(
        said.contains("it is not set: cannot write /proc/sys/net/ipv4/vs/conntrack"),
        "{said}"
    );
    assert!(said.contains("sysctl -w net.ipv4.vs.conntrack=1"), "{said}");

    let problems = iptables().settle(&rules, Look::Changes).await;
    let said = problems[0].to_string();
    assert!(
        said.contains("CAP_NET_RAW") || said.contains("xtables.lock"),
        "{said}"
    );
    // Who has nothing to add has nothing to say.
    let problems = iptables().settle(&BTreeSet::new(), Look::Changes).await;
    assert!(problems.is_empty(), "{problems:?}");
}

pub async fn in_a_user_namespace_say_so() {
    unshare(CloneFlags::CLONE_NEWUSER).unwrap();
    let said = explained();
    assert!(said.contains("--userns host"), "{said}");
}
