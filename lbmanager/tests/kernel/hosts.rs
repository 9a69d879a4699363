//! Several hosts, each with a kernel's table of its own and a manager of its
//! own, on one etcd.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use testbed::etcd::Etcd;
use testbed::netns::{Bridge, Namespace};
use testbed::wait;

use crate::witness::{FOREIGN, lines, set};
use crate::world::{Manager, REGION, SOON};

/// Where the hosts find etcd.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const SHARED: &str = "-A -t 10.8.0.1:80 -s wlc";
const STATUSES: &str = "/lbManager-status/lb/ipvs/";

struct Host {
    name: &'static str,
    manager: Manager,
    place: Namespace,
}

impl Host {
    async fn saved(&self) -> BTreeSet<String> {
        lines(&self.place.run("ipvsadm", ["-Sn"]).await.unwrap())
    }

    async fn until_table(&self, wanted: &[&str]) {
        let wanted = set(wanted);
        wait::until(self.name, SOON, || async {
            let table = self.saved().await;
            if table == wanted { Ok(()) } else { Err(table) }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", self.manager.log()));
    }
}

/// Two hosts that serve the shared region, and one that does not.
async fn hosts(etcd: &Etcd, lan: &Bridge) -> [Host; 3] {
    let shared = format!("--ipvs-region={REGION}");
    let [one, two, three] = [
        ("host-1", Some(&shared)),
        ("host-2", Some(&shared)),
        ("host-3", None),
    ];
    [
        host(etcd, lan, 2, one).await,
        host(etcd, lan, 3, two).await,
        host(etcd, lan, 4, three).await,
    ]
}

async fn host(
    etcd: &Etcd,
    lan: &Bridge,
    number: u8,
    (name, region): (&'static str, Option<&String>),
) -> Host {
    let address = format!("10.5.0.{number}/24");
    let place = Namespace::builder(name).address(address).join(lan).await;
    let place = place.unwrap();
    let mut manager = Manager::new(name, &etcd.endpoint_at(HERE));
    let more: Vec<&str> = region.into_iter().map(String::as_str).collect();
    manager.run_on(&place, &more).await;
    Host {
        name,
        manager,
        place,
    }
}

async fn until_statuses(etcd: &Etcd, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted
        .iter()
        .map(|name| format!("{STATUSES}{name}"))
        .collect();
    wait::until("just these statuses", SOON, || async {
        let found = etcd.get_prefix(STATUSES).await.unwrap();
        let found: BTreeSet<String> = found.into_keys().collect();
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

pub async fn have_what_their_regions_say() {
    let lan = Bridge::create("lan", [format!("{HERE}/24")]).await.unwrap();
    let etcd = Etcd::builder().address(HERE).start().await.unwrap();
    let mut hosts = hosts(&etcd, &lan).await;
    // What others made on one of them is nobody's business on any.
    for line in FOREIGN {
        let words = line.split_ascii_whitespace();
        hosts[1].place.run("ipvsadm", words).await.unwrap();
    }
    let member = |region: &str, service: &str, member: &str| {
        let key = format!("/lbManager/ipvs/{region}/{service}/multiple/{member}");
        (key, "")
    };
    etcd.put_many([
        member(REGION, "10.8.0.1:80", "10.8.1.1:8080"),
        member(REGION, "10.8.0.1:80", "10.8.1.2:8080"),
        member("host-1", "10.8.0.2:80", "10.8.1.3:8080"),
        member("host-3", "10.8.0.1:80", "10.8.1.4:8080"),
        member("elsewhere", "10.8.0.3:80", "10.8.1.5:8080"),
    ])
    .await
    .unwrap();
    let one = "-a -t 10.8.0.1:80 -r 10.8.1.1:8080 -m -w 1";
    let two = "-a -t 10.8.0.1:80 -r 10.8.1.2:8080 -m -w 1";
    let of_host_1 = [
        "-A -t 10.8.0.2:80 -s wlc",
        "-a -t 10.8.0.2:80 -r 10.8.1.3:8080 -m -w 1",
    ];
    let of_host_3 = [SHARED, "-a -t 10.8.0.1:80 -r 10.8.1.4:8080 -m -w 1"];
    let [first, second, third] = &hosts;
    let with_host_1 = [&of_host_1[..], &[SHARED, one, two]].concat();
    first.until_table(&with_host_1).await;
    second
        .until_table(&[&FOREIGN[..], &[SHARED, one, two]].concat())
        .await;
    third.until_table(&of_host_3).await;
    until_statuses(
        &etcd,
        &[
            "edge/10.8.0.1:80/host-1",
            "edge/10.8.0.1:80/host-2",
            "host-1/10.8.0.2:80/host-1",
            "host-3/10.8.0.1:80/host-3",
        ],
    )
    .await;

    // One is away while the others go on, and catches up.
    hosts[0].manager.kill().await;
    let key = "/lbManager/ipvs/edge/10.8.0.1:80/multiple/10.8.1.1:8080";
    assert!(etcd.del(key).await.unwrap());
    let [first, second, third] = &mut hosts;
    second
        .until_table(&[&FOREIGN[..], &[SHARED, two]].concat())
        .await;
    assert_eq!(first.saved().await, set(&with_host_1));
    first
        .manager
        .run_on(&first.place, &["--ipvs-region=edge"])
        .await;
    first
        .until_table(&[&of_host_1[..], &[SHARED, two]].concat())
        .await;
    assert_eq!(third.saved().await, set(&of_host_3));
}
