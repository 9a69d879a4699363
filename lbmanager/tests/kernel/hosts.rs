//! Several hosts, each with a kernel's table and a manager of its own, on one
//! etcd.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use testbed::etcd::Etcd;
use testbed::netns::{Bridge, Namespace};
use testbed::wait;

use crate::witness::{FOREIGN, lines, set};
use crate::world::{Manager, REGION, SOON};

/// Where the hosts find etcd.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const STATUSES: &str = "/lbManager-status/hosts/";

/// The service that two of them share, and the third has one of the same name.
const SERVICE: &str = "-A -t 10.8.0.1:80 -s wlc";
const A: &str = "-a -t 10.8.0.1:80 -r 10.8.1.1:8080 -m -w 1";
const B: &str = "-a -t 10.8.0.1:80 -r 10.8.1.2:8080 -m -w 1";
const OF_HOST_1: [&str; 2] = [
    "-A -t 10.8.0.2:80 -s wlc",
    "-a -t 10.8.0.2:80 -r 10.8.1.3:8080 -m -w 1",
];
const OF_HOST_3: [&str; 2] = [SERVICE, "-a -t 10.8.0.1:80 -r 10.8.1.4:8080 -m -w 1"];

struct Host {
    name: &'static str,
    manager: Manager,
    place: Namespace,
}

impl Host {
    async fn new(etcd: &Etcd, lan: &Bridge, number: u8, name: &'static str) -> Self {
        let place = Namespace::builder(name).address(format!("10.5.0.{number}/24"));
        Self {
            name,
            manager: Manager::new(name, &etcd.endpoint_at(HERE)),
            place: place.join(lan).await.unwrap(),
        }
    }

    fn shared(mut self) -> Self {
        self.manager = self.manager.shared();
        self
    }

    async fn run(&mut self) {
        self.manager.run_on(&self.place).await;
    }

    async fn saved(&self) -> BTreeSet<String> {
        lines(&self.place.run("ipvsadm", ["-Sn"]).await.unwrap())
    }

    async fn until_table(&self, wanted: &[&[&str]]) {
        let wanted = set(&wanted.concat());
        let reached = wait::until(self.name, SOON, || async {
            let table = self.saved().await;
            if table == wanted { Ok(()) } else { Err(table) }
        });
        let reached = reached.await;
        reached.unwrap_or_else(|error| panic!("{error}\n{}", self.manager.log()));
    }
}

/// Two hosts that serve the shared region, and one that does not.
async fn hosts(etcd: &Etcd, lan: &Bridge) -> [Host; 3] {
    let mut hosts = [
        Host::new(etcd, lan, 2, "host-1").await.shared(),
        Host::new(etcd, lan, 3, "host-2").await.shared(),
        Host::new(etcd, lan, 4, "host-3").await,
    ];
    for host in &mut hosts {
        host.run().await;
    }
    hosts
}

async fn put_members(etcd: &Etcd) {
    let members = [
        (REGION, "10.8.0.1:80", "10.8.1.1:8080"),
        (REGION, "10.8.0.1:80", "10.8.1.2:8080"),
        ("host-1", "10.8.0.2:80", "10.8.1.3:8080"),
        ("host-3", "10.8.0.1:80", "10.8.1.4:8080"),
        ("elsewhere", "10.8.0.3:80", "10.8.1.5:8080"),
    ];
    let keys = members.map(|(region, service, member)| {
        let key = format!("/lbManager/ipvs/{region}/{service}/multiple/{member}");
        (key, "")
    });
    etcd.put_many(keys).await.unwrap();
}

async fn del_shared(etcd: &Etcd, member: &str) {
    let key = format!("/lbManager/ipvs/{REGION}/10.8.0.1:80/multiple/{member}");
    assert!(etcd.del(&key).await.unwrap());
}

async fn until_statuses(etcd: &Etcd, wanted: &[&str]) {
    let wanted = set(wanted);
    wait::until("just these statuses", SOON, || async {
        let found = etcd.get_prefix(STATUSES).await.unwrap();
        let names = found.keys().map(|key| key[STATUSES.len()..].to_owned());
        let names: BTreeSet<String> = names.collect();
        if names == wanted { Ok(()) } else { Err(names) }
    })
    .await
    .unwrap();
}

pub async fn have_what_their_regions_say() {
    let lan = Bridge::create("lan", [format!("{HERE}/24")]).await.unwrap();
    let etcd = Etcd::builder().address(HERE).start().await.unwrap();
    let [mut one, two, three] = hosts(&etcd, &lan).await;
    // What others made on one of them is nobody's business.
    for line in FOREIGN {
        let words = line.split_ascii_whitespace();
        two.place.run("ipvsadm", words).await.unwrap();
    }
    put_members(&etcd).await;
    one.until_table(&[&OF_HOST_1, &[SERVICE, A, B]]).await;
    two.until_table(&[&FOREIGN, &[SERVICE, A, B]]).await;
    three.until_table(&[&OF_HOST_3]).await;
    let own = [
        "host-1/ipvs/host-1/10.8.0.2:80",
        "host-3/ipvs/host-3/10.8.0.1:80",
    ];
    let shared = [
        "host-1/ipvs/edge/10.8.0.1:80",
        "host-2/ipvs/edge/10.8.0.1:80",
    ];
    until_statuses(&etcd, &[own, shared].concat()).await;

    // One is away while the other goes on, and catches up.
    one.manager.kill().await;
    del_shared(&etcd, "10.8.1.1:8080").await;
    two.until_table(&[&FOREIGN, &[SERVICE, B]]).await;
    one.until_table(&[&OF_HOST_1, &[SERVICE, A, B]]).await;
    one.run().await;
    one.until_table(&[&OF_HOST_1, &[SERVICE, B]]).await;

    del_shared(&etcd, "10.8.1.2:8080").await;
    one.until_table(&[&OF_HOST_1]).await;
    two.until_table(&[&FOREIGN]).await;
    three.until_table(&[&OF_HOST_3]).await;
    until_statuses(&etcd, &own).await;
}
