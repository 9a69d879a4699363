//! etcd is away. Each test has one of its own.

use std::time::{Duration, Instant};

use testbed::proxy::{Mode, Proxy};
use testbed::{http, wait};
use tokio::time::sleep;

use crate::instance::{key, name, publish};
use crate::{DEADLINE, Rig};

/// Health that is seen soon, and a key.
fn definition(name: &str) -> String {
    let health = "health_check: {http: {path: /, interval: 100ms, timeout: 500ms, fall: 2}}";
    format!("{health}\ndrain: 1s\n{}", publish(name))
}

/// The shortest that etcd grants.
const TTL: Duration = Duration::from_secs(2);
const TTL_ARGS: [&str; 2] = ["--ttl", "2s"];
/// What it may take of a processor while it waits, in parts of a thousand.
const IDLE: u128 = 50;
/// Over so long a time.
const A_WHILE: Duration = Duration::from_secs(4);

pub async fn at_start_with_what_was_kept(rig: &Rig) {
    let (rig, mut etcd) = rig.with_own_etcd().await;
    let name = name();
    let launch = rig.launch_from_etcd(&name, &definition(&name)).await;
    let mut web = rig.started(launch).await;
    web.wait_ready(DEADLINE).await.unwrap();
    assert!(web.stop(DEADLINE).await.unwrap().success());
    etcd.kill().await.unwrap();
    web.again().await;
    web.wait_for_status("waiting until etcd answers", DEADLINE)
        .await
        .unwrap();
    assert!(web.log().contains("as it was kept here"), "{}", web.log());
    assert_eq!(web.status().await, 200);
    let busy = web.busy_during(sleep(A_WHILE)).await;
    assert!(busy < IDLE, "{busy} thousandths of a processor");
    assert!(!web.was_ready());
    etcd.restart().await.unwrap();
    web.wait_ready(DEADLINE).await.unwrap();
    assert!(rig.etcd.get(&key(&name)).await.unwrap().is_some());
    web.end().await;
}

pub async fn at_start_without(rig: &Rig) {
    let (rig, mut etcd) = rig.with_own_etcd().await;
    let name = name();
    let launch = rig.launch_from_etcd(&name, &definition(&name)).await;
    etcd.kill().await.unwrap();
    let mut web = rig.started(launch).await;
    let words = format!("waiting for the definition of {name}: etcd at ");
    web.wait_for_status(&words, DEADLINE).await.unwrap();
    let busy = web.busy_during(sleep(A_WHILE)).await;
    assert!(busy < IDLE, "{busy} thousandths of a processor");
    let status = web.stop(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", web.log());
    assert!(!web.was_ready());
    web.again().await;
    web.wait_for_status(&words, DEADLINE).await.unwrap();
    etcd.restart().await.unwrap();
    web.wait_ready(DEADLINE).await.unwrap();
    web.end().await;
}

pub async fn while_it_runs(rig: &Rig) {
    let (rig, etcd) = rig.with_own_etcd().await;
    let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
    let name = name();
    let definition = rig.definition(&definition(&name));
    let launch = rig.plain_by(&name, &etcd.at(&proxy.url())).args(TTL_ARGS);
    let web = rig.started(launch.defined(&definition).unwrap()).await;
    web.wait_ready(DEADLINE).await.unwrap();
    let (container, address) = (web.inspect("{{.Id}}").await, web.address().await);
    let before = web.stamp().await;
    for mode in [Mode::Refuse, Mode::BlackHole] {
        proxy.set(mode).await.unwrap();
        web.wait_for_key(|value| value.is_none()).await;
        // Its probes go on.
        web.steer("answer/503").await;
        web.wait_for_latest("unhealthy: ").await;
        web.steer("answer/200").await;
        web.wait_for_latest("running").await;
        let busy = web.busy_during(sleep(A_WHILE)).await;
        assert!(busy < IDLE, "{busy} thousandths of a processor");
        proxy.set(Mode::Forward).await.unwrap();
        web.wait_for_key(|value| value.is_some_and(|value| !value.contains("false")))
            .await;
        assert_ne!(web.stamp().await, before, "on a new lease");
    }
    assert_eq!(
        web.inspect("{{.Id}} {{.RestartCount}}").await,
        container + " 0"
    );
    let url = format!("http://{address}/");
    assert_eq!(http::get(&url).await.unwrap().status, 200);
    assert!(web.was_ready());
    web.end().await;
}

pub async fn at_stop(rig: &Rig) {
    let (rig, mut etcd) = rig.with_own_etcd().await;
    let name = name();
    let definition = definition(&name);
    let launch = rig.launch(&name, &definition).args(TTL_ARGS);
    let mut web = rig.started(launch).await;
    web.wait_ready(DEADLINE).await.unwrap();
    etcd.kill().await.unwrap();
    let began = Instant::now();
    let status = web.stop(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", web.log());
    // Withdrawn and confirmed in 10 s each, drained in 1, and the last attempt is over in 5.
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(rig.containers(&name).await, [""; 0]);
    etcd.restart().await.unwrap();
    web.wait_for_key(|value| value.is_none()).await;
    let state = "/launcher/instances/";
    let gone = || async { rig.etcd.get_prefix(state).await.unwrap().is_empty() };
    wait::until_true("its state to go, too", DEADLINE, gone)
        .await
        .unwrap();
    web.check_left().await;
}

pub async fn paused_for_longer_than_its_lease(rig: &Rig) {
    let (rig, mut etcd) = rig.with_own_etcd().await;
    let name = name();
    let launch = rig.launch(&name, &definition(&name)).args(TTL_ARGS);
    let web = rig.started(launch).await;
    web.wait_ready(DEADLINE).await.unwrap();
    let (container, before) = (web.inspect("{{.Id}}").await, web.stamp().await);
    etcd.pause().unwrap();
    sleep(3 * TTL).await;
    assert_eq!(web.status().await, 200);
    etcd.resume().unwrap();
    let again = || async {
        let stamp = web.stamp().await;
        let is_back = stamp != before && !stamp.contains("null");
        is_back.then_some(()).ok_or(stamp)
    };
    wait::until("the key on another lease", DEADLINE, again)
        .await
        .unwrap();
    assert_eq!(web.inspect("{{.Id}}").await, container);
    assert!(web.was_ready());
    assert!(
        web.log().contains("keys can be published again"),
        "{}",
        web.log()
    );
    web.end().await;
}
