//! Managers of both roles on this host, played by the test: it writes their claims and statuses.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::etcd::Client;
use testbed::proxy::Proxy;
use testbed::wait;
use tokio::time::sleep;

use crate::instance::{Instance, key, name};
use crate::{DEADLINE, Rig};

const ROOT: &str = "/lbManager-status";
const VIP: &str = "10.8.0.1:80";
const HEALTH: &str = "health_check: {http: {path: /, interval: 100ms, timeout: 500ms, fall: 2}}";
/// Enough to say READY too early.
const PAUSE: Duration = Duration::from_secs(1);

/// Published at AWS and as a real server of this host.
fn definition(name: &str) -> String {
    let virtual_service = format!("/lbManager/ipvs/$HOSTNAME/{VIP}/multiple/$CONTAINER_IP:80");
    let elb = key(name);
    format!("{HEALTH}\ndrain: 1s\npublish: [\"{elb}\", \"{virtual_service}\"]")
}

async fn claim(etcd: &Client, host: &str, role: &str) {
    let kind = if role == "aws" { "elb" } else { role };
    let regions = if role == "aws" { vec![] } else { vec![host] };
    let claim = json!({"machine_id": host, "version": "1", "backends": [kind], "regions": regions});
    let key = format!("{ROOT}/managers/{host}/{role}");
    etcd.put(&key, &claim.to_string()).await.unwrap();
}

/// The one member key of a balancer, with its mod_revision.
async fn member(etcd: &Client, balancer: &str) -> (String, i64) {
    let prefix = format!("/lbManager/{balancer}/multiple/");
    let found = wait::until("the member's key", DEADLINE, || async {
        let command = ["-w", "json", "get", "--prefix", &prefix];
        let answer: Value = serde_json::from_str(&etcd.etcdctl(&command).await.unwrap()).unwrap();
        let revision = answer["kvs"][0]["mod_revision"].as_i64();
        let key = etcd.get_prefix(&prefix).await.unwrap().into_keys().next();
        key.zip(revision).ok_or(())
    });
    let (key, revision) = found.await.unwrap();
    (key[prefix.len()..].to_owned(), revision)
}

/// What a manager writes once the member of a balancer serves.
async fn acknowledge(etcd: &Client, balancer: &str, status: &str) {
    let (member, revision) = member(etcd, balancer).await;
    let members =
        json!({member: {"mod_revision": revision, "wanted": "serve", "state": "serving"}});
    let value = json!({"revision": revision, "manager": "testbed", "class": "multiple",
        "members": members});
    let key = format!("{ROOT}/{status}");
    etcd.put(&key, &value.to_string()).await.unwrap();
}

async fn acknowledge_elb(etcd: &Client, name: &str) {
    let balancer = format!("elb/us-east-1/{name}");
    acknowledge(etcd, &balancer, &format!("lb/{balancer}")).await;
}

async fn acknowledge_ipvs(etcd: &Client) {
    let balancer = format!("ipvs/testbed/{VIP}");
    let status = format!("hosts/testbed/{balancer}");
    acknowledge(etcd, &balancer, &status).await;
}

/// What both managers write once they have removed it.
async fn forget(etcd: &Client) {
    etcd.del_prefix(&format!("{ROOT}/lb/")).await.unwrap();
    let statuses = format!("{ROOT}/hosts/testbed/");
    etcd.del_prefix(&statuses).await.unwrap();
}

async fn started<'a>(rig: &'a Rig, name: &str) -> Instance<'a> {
    for role in ["aws", "ipvs"] {
        claim(&rig.etcd, "testbed", role).await;
    }
    rig.started(rig.launch(name, &definition(name))).await
}

fn ready_at(web: &Instance<'_>) -> Instant {
    let told = web.notify().received().into_iter();
    let mut ready = told
        .filter(|told| told.state == "READY=1")
        .map(|told| told.at);
    ready.next_back().unwrap().into_std()
}

pub async fn of_both_roles_are_waited_for(rig: &Rig) {
    for ipvs_first in [true, false] {
        let (rig, _etcd) = rig.with_own_etcd().await;
        let name = name();
        let web = started(&rig, &name).await;
        if ipvs_first {
            acknowledge_ipvs(&rig.etcd).await;
        } else {
            acknowledge_elb(&rig.etcd, &name).await;
        }
        sleep(PAUSE).await;
        let second = Instant::now();
        if ipvs_first {
            acknowledge_elb(&rig.etcd, &name).await;
        } else {
            acknowledge_ipvs(&rig.etcd).await;
        }
        web.wait_ready(DEADLINE).await.unwrap();
        assert!(ready_at(&web) >= second, "{ipvs_first}: {}", web.log());
        forget(&rig.etcd).await;
        web.end().await;
    }
}

/// Other hosts with so many services each.
async fn fill(etcd: &Client, hosts: usize, services: usize) {
    let change = json!({"at": "2026-11-20T12:00:00Z", "action": "register", "count": 1,
        "members": ["10.10.0.1:8080"]});
    let status = json!({
        "revision": 2, "manager": "other", "class": "multiple",
        "members": {"10.10.0.1:8080": {"mod_revision": 2, "wanted": "serve", "state": "serving"}},
        "changes": vec![change; 4],
    });
    for host in (0..hosts).map(|number| format!("host-{number}")) {
        claim(etcd, &host, "ipvs").await;
        let services = (0..services).map(|n| format!("10.9.{}.{}:80", n / 250, n % 250 + 1));
        let pairs = services.flat_map(|service| {
            let member = format!("/lbManager/ipvs/{host}/{service}/multiple/10.10.0.1:8080");
            let key = format!("{ROOT}/hosts/{host}/ipvs/{host}/{service}");
            [(member, String::new()), (key, status.to_string())]
        });
        etcd.put_many(pairs).await.unwrap();
    }
}

/// The bytes between launcher and etcd from its start until it is ready, and while nothing of its
/// own changes and others' keys do, and at a reconnect.
async fn bytes(rig: &Rig, hosts: usize, services: usize) -> [u64; 3] {
    let (rig, etcd) = rig.with_own_etcd().await;
    fill(&rig.etcd, hosts, services).await;
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    for role in ["aws", "ipvs"] {
        claim(&rig.etcd, "testbed", role).await;
    }
    let name = name();
    let launch = rig.plain_by(&name, &rig.etcd.at(&proxy.url()));
    let document = rig.definition(&definition(&name));
    let web = rig.started(launch.defined(&document).unwrap()).await;
    acknowledge_ipvs(&rig.etcd).await;
    acknowledge_elb(&rig.etcd, &name).await;
    web.wait_ready(DEADLINE).await.unwrap();
    let start = proxy.bytes();
    fill(&rig.etcd, hosts, services).await;
    // What the change of others costs.
    sleep(4 * PAUSE).await;
    let idle = proxy.bytes();
    proxy.cut();
    web.steer("answer/503").await;
    web.wait_for_key(|value| value.is_some_and(|value| value.contains(r#""ready":false"#)))
        .await;
    let reconnect = proxy.bytes();
    forget(&rig.etcd).await;
    web.end().await;
    [start, idle - start, reconnect - idle]
}

pub async fn of_many_hosts_cost_what_those_of_one_do(rig: &Rig) {
    let few = bytes(rig, 1, 100).await;
    let many = bytes(rig, 20, 100).await;
    for (few, many) in few.into_iter().zip(many) {
        // Keep-alives come by the clock; a claim is read from each host.
        assert!(many < few + few / 5 + 20_000, "{many} against {few}");
    }
}
