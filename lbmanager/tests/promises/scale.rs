//! What one manager costs does not depend on how many hosts share its etcd.
//! Bytes through a proxy are compared, not times.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use testbed::etcd::Etcd;
use testbed::process::{Program, Running, Stream, installed, workspace_binary};
use testbed::proxy::Proxy;
use testbed::wait;
use tokio::time::sleep;

use crate::real::{A, B, REGION, Rig, SOON};

const ROOT: &str = "/lbManager-status";

/// How many hosts there are, and how many services each of them has.
#[derive(Debug, Clone, Copy)]
struct Size {
    hosts: usize,
    services: usize,
}

const ONE: Size = Size {
    hosts: 1,
    services: 200,
};
const SEVERAL: Size = Size {
    hosts: 20,
    services: 200,
};

fn host(number: usize) -> String {
    format!("host-{number}")
}

fn service(number: usize) -> String {
    format!("10.9.{}.{}:80", number / 250, number % 250 + 1)
}

fn member(host: &str, service: &str) -> String {
    format!("/lbManager/ipvs/{host}/{service}/multiple/10.10.0.1:8080")
}

fn status(host: &str, service: &str) -> String {
    format!("{ROOT}/hosts/{host}/ipvs/{host}/{service}")
}

/// The status of a service with one member, as large as usual.
fn status_value(host: &str) -> String {
    let change = json!({"at": "2026-11-20T12:00:00Z", "action": "register", "count": 1,
        "members": ["10.10.0.1:8080"]});
    json!({
        "revision": 2, "manager": host, "class": "multiple",
        "members": {"10.10.0.1:8080": {"mod_revision": 2, "wanted": "serve", "state": "serving"}},
        "changes": vec![change; 4],
    })
    .to_string()
}

/// Writes what the managers of so many hosts have in etcd.
async fn fill(etcd: &Etcd, size: Size) {
    for host in (0..size.hosts).map(host) {
        let value = status_value(&host);
        let mut pairs = vec![(format!("{ROOT}/written/hosts/{host}"), "{}".to_owned())];
        for service in (0..size.services).map(service) {
            pairs.push((member(&host, &service), String::new()));
            pairs.push((status(&host, &service), value.clone()));
        }
        let claim = json!({"machine_id": host, "version": "1", "backends": ["ipvs"],
            "regions": [host]});
        pairs.push((format!("{ROOT}/managers/{host}/ipvs"), claim.to_string()));
        etcd.put_many(pairs).await.unwrap();
    }
    // The host of the test has no other manager.
    etcd.del(&format!("{ROOT}/managers/{}/ipvs", host(0)))
        .await
        .unwrap();
}

/// All statuses of all hosts but the first are written once more.
async fn stir(etcd: &Etcd, size: Size) {
    for host in (1..size.hosts).map(host) {
        let value = status_value(&host);
        let statuses = (0..size.services).map(|number| status(&host, &service(number)));
        let members = (0..size.services).map(|number| member(&host, &service(number)));
        etcd.put_many(statuses.map(|key| (key, value.as_str())))
            .await
            .unwrap();
        etcd.put_many(members.map(|key| (key, ""))).await.unwrap();
    }
}

/// Bytes between a manager and etcd.
#[derive(Debug, Clone, Copy)]
struct Cost {
    start: u64,
    reconnect: u64,
    /// While nothing of its own changes.
    idle: u64,
}

impl Cost {
    /// Checks that it is what it is with fewer hosts.
    fn assert_as(self, few: Self) {
        for (many, few) in [
            (self.start, few.start),
            (self.reconnect, few.reconnect),
            (self.idle, few.idle),
        ] {
            // Keep-alives come by the clock.
            assert!(many < few + few / 5 + 20_000, "{self:?} against {few:?}");
        }
    }
}

/// Counts what passes through a proxy meanwhile.
async fn bytes(proxy: &Proxy, work: impl Future<Output = ()>) -> u64 {
    let before = proxy.bytes();
    work.await;
    proxy.bytes() - before
}

const IDLE: Duration = Duration::from_secs(4);

/// Waits until the work of the start is done: statuses are still written after
/// the first one is there. Keep-alives go on.
async fn until_quiet(proxy: &Proxy) {
    let quiet = wait::until("little is sent", Duration::from_mins(1), || async {
        let sent = bytes(proxy, sleep(Duration::from_secs(2))).await;
        if sent < 2_000 { Ok(()) } else { Err(sent) }
    });
    quiet.await.unwrap();
}

async fn of_an_aws_manager(size: Size) -> Cost {
    let etcd = Etcd::start().await.unwrap();
    fill(&etcd, size).await;
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let mut rig = Rig::on(etcd, &proxy.url()).await;
    rig.set(|launch| launch.arg("--backends=elb"));
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    let start = bytes(&proxy, async {
        rig.run().await;
        rig.until_serving("web", &[A]).await;
        until_quiet(&proxy).await;
    });
    let start = start.await;
    let idle = bytes(&proxy, async {
        stir(&rig.etcd, size).await;
        sleep(IDLE).await;
    });
    let idle = idle.await;
    let reconnect = bytes(&proxy, async {
        proxy.cut();
        rig.put("web", &[B]).await;
        rig.until_serving("web", &[A, B]).await;
    });
    Cost {
        start,
        idle,
        reconnect: reconnect.await,
    }
}

/// Runs the manager of the first host, which must not change the kernel of
/// this machine: without the capability it says so in each status.
async fn ipvs_manager(endpoint: &str, state: &TempDir) -> Running {
    let lbmanager = workspace_binary("lbmanager").unwrap();
    let program = if nix::unistd::geteuid().is_root() {
        let setpriv = installed("setpriv", "apt-get install util-linux").unwrap();
        setpriv.arg("--bounding-set=-net_admin").arg(lbmanager)
    } else {
        Program::new(lbmanager)
    };
    let program = program
        .env_clear()
        .args(["run", "--backends=ipvs", "--resync=1h"])
        .arg(format!("--host-id={}", host(0)))
        .arg(format!("--endpoints={endpoint}"))
        .arg(format!("--state-dir={}", state.path().display()));
    program.start().await.unwrap()
}

/// Puts a new service of the first host, and waits until its status tells
/// that the manager has seen it.
async fn until_seen(etcd: &Etcd, manager: &Running, service: &str) {
    let host = host(0);
    etcd.put(&member(&host, service), "").await.unwrap();
    let key = status(&host, service);
    let seen = wait::until(&key, SOON, || async {
        let found = etcd.get(&key).await.unwrap();
        found.map(drop).ok_or("no status")
    });
    let log = || manager.text(Stream::Stderr);
    seen.await
        .unwrap_or_else(|error| panic!("{error}\n{}", log()));
}

async fn of_an_ipvs_manager(size: Size) -> Cost {
    let etcd = Etcd::start().await.unwrap();
    fill(&etcd, size).await;
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut manager = None;
    let start = bytes(&proxy, async {
        let running = ipvs_manager(&proxy.url(), &state).await;
        until_seen(&etcd, &running, "10.8.0.1:80").await;
        until_quiet(&proxy).await;
        manager = Some(running);
    });
    let start = start.await;
    let manager = manager.unwrap();
    let idle = bytes(&proxy, async {
        stir(&etcd, size).await;
        sleep(IDLE).await;
    });
    let idle = idle.await;
    let reconnect = bytes(&proxy, async {
        proxy.cut();
        until_seen(&etcd, &manager, "10.8.0.2:80").await;
    });
    Cost {
        start,
        idle,
        reconnect: reconnect.await,
    }
}

#[tokio::test]
async fn an_aws_manager_costs_as_much_with_20_hosts_in_etcd_as_with_one() {
    let few = of_an_aws_manager(ONE).await;
    of_an_aws_manager(SEVERAL).await.assert_as(few);
}

#[tokio::test]
async fn an_ipvs_manager_costs_as_much_with_20_hosts_in_etcd_as_with_one() {
    let few = of_an_ipvs_manager(ONE).await;
    of_an_ipvs_manager(SEVERAL).await.assert_as(few);
}

const FULL: Size = Size {
    hosts: 100,
    services: 1000,
};

#[tokio::test]
#[ignore = "soak"]
async fn a_manager_costs_as_much_with_100_hosts_of_1000_services_as_with_one() {
    let one = Size { hosts: 1, ..FULL };
    let few = of_an_ipvs_manager(one).await;
    of_an_ipvs_manager(FULL).await.assert_as(few);
    let few = of_an_aws_manager(one).await;
    of_an_aws_manager(FULL).await.assert_as(few);
}
