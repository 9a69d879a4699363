//! The cost of asking the managers does not depend on how many hosts there are.

use presence::keys::StatusTree;
use presence::keys::status::ManagerRole;
use presence::model::{BalancerId, HostId, Kind, Region, Revision};
use presence::status::record::{MemberRecord, Role, State};
use presence::status::{Claim, Record};
use presence::store::etcd::{EtcdConfig, EtcdStore};
use testbed::etcd::Etcd;
use testbed::http;

use super::*;

const HOSTS: usize = 100;
const SERVICES: usize = 100;

const OWN: &str = "ipvs/host-1/10.0.0.1:80";
const SHARED: &str = "ipvs/edge/10.0.0.1:80";
const MEMBER: &str = "192.0.2.7:8080";
const PUBLISH: &str = "[ipvs/$HOSTNAME/10.0.0.1:80/multiple/$HOST_IP:$HOST_PORT, \
                       ipvs/edge/10.0.0.1:80/multiple/$HOST_IP:$HOST_PORT]";

/// What etcd has sent: bytes of answers, and events of watches.
#[derive(Debug, Clone, Copy)]
struct Sent {
    bytes: f64,
    events: f64,
}

async fn sent(etcd: &Etcd) -> Sent {
    let metrics = http::get(&format!("{}/metrics", etcd.endpoint())).await;
    let metrics = metrics.unwrap().body;
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    Sent {
        bytes: value("etcd_network_client_grpc_sent_bytes_total "),
        events: value("etcd_debugging_mvcc_events_total "),
    }
}

fn keys() -> StatusTree {
    Tree::new("/lbManager").unwrap().status()
}

fn host(number: usize) -> HostId {
    format!("host-{number}").parse().unwrap()
}

/// The hosts 1 to 3 serve the shared region.
fn claim(number: usize) -> (String, Vec<u8>) {
    let name = host(number);
    let regions = [name.as_str(), "edge"];
    let count = if number <= 3 { 2 } else { 1 };
    let regions = regions[..count].iter();
    let regions: Vec<_> = regions
        .map(|region| Region::parse(Kind::Ipvs, region).unwrap())
        .collect();
    let claim = Claim::new(format!("machine-{number}"), [Kind::Ipvs], &regions);
    (keys().manager(&name, ManagerRole::Ipvs), claim.to_json())
}

/// A status of a virtual service with one member, whose key was written at `at`; without: which
/// has no member any more.
fn record(store: Revision, at: Option<Revision>) -> Vec<u8> {
    let known = MemberRecord {
        mod_revision: at,
        wanted: Role::Serve,
        state: State::Serving,
        ..MemberRecord::default()
    };
    let member = presence::model::MemberId::parse(Kind::Ipvs, MEMBER).unwrap();
    Record {
        revision: store,
        members: at.map(|_| (member, known)).into_iter().collect(),
        ..Record::default()
    }
    .to_json()
}

fn others() -> impl Iterator<Item = (String, Vec<u8>)> {
    let services = (0..HOSTS).flat_map(|host| (0..SERVICES).map(move |service| (host, service)));
    services.map(|(number, service)| {
        let host = host(number + 1);
        // Some names begin as the ones that are published.
        let name = format!("ipvs/{host}/10.0.0.1:{}", 8000 + service);
        let balancer: BalancerId = name.parse().unwrap();
        (
            keys().balancer(&host, &balancer),
            record(Revision(1), Some(Revision(1))),
        )
    })
}

/// The managers concerned say so of both keys.
async fn say(etcd: &Etcd, store: &EtcdStore, is_served: bool) {
    let revision = store.get("/").await.unwrap().header.revision;
    for (balancer, hosts) in [(OWN, 1..=1), (SHARED, 1..=3)] {
        let key = format!("/lbManager/{balancer}/multiple/{MEMBER}");
        let at = entry(store, &key).await.map(|entry| entry.mod_revision);
        assert_eq!(at.is_some(), is_served, "{key}");
        let balancer: BalancerId = balancer.parse().unwrap();
        let statuses = hosts.map(|number| {
            let key = keys().balancer(&host(number), &balancer);
            (key, record(revision, at))
        });
        etcd.put_many(statuses).await.unwrap();
    }
}

#[tokio::test]
async fn statuses_of_other_hosts_are_never_read() {
    let etcd = Etcd::start().await.unwrap();
    etcd.put_many((1..=HOSTS).map(claim)).await.unwrap();
    etcd.put_many(others()).await.unwrap();
    let all = format!("{}/", keys());
    assert!(usize::try_from(etcd.count(&all).await.unwrap()).unwrap() > HOSTS * SERVICES);
    let config = EtcdConfig::plain([etcd.endpoint()]);
    let store = EtcdStore::connect(config).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let before = sent(&etcd).await;

    let mut running = Running::start(&store, "7-0a1b2c3d", PUBLISH, state.path());
    running.want(Publish::Ready);
    let is_asked = |now: &Standing| now.keys.words.ends_with("has not looked at it yet");
    running.until("asked", is_asked).await;
    say(&etcd, &store, true).await;
    running.served().await;
    running.want(Publish::Nothing);
    let is_asked = |now: &Standing| now.keys.words.contains("has not seen yet");
    running.until("asked again", is_asked).await;

    let read = sent(&etcd).await;
    // Twice the claims, of some 150 bytes each. The statuses have some 2 MB.
    let bytes = read.bytes - before.bytes;
    assert!(bytes < 200_000.0, "{bytes} bytes");
    // Nothing of what other hosts write meanwhile is sent.
    let changed = others().step_by(2);
    etcd.put_many(changed).await.unwrap();
    let idle = sent(&etcd).await;
    // Some of its own keys may be among them.
    assert!(idle.events - read.events < 10.0, "{read:?} {idle:?}");

    say(&etcd, &store, false).await;
    running.until("drained", |now| now.drained).await;
    running.stop().await;
}
