//! Docker is away. Each test has one of its own, and an etcd.

use std::time::{Duration, Instant};

use testbed::contained::Steer;
use testbed::docker::{Docker, Signal};
use testbed::etcd::Etcd;
use testbed::http;
use testbed::process::Stream;
use tokio::time::sleep;

use crate::instance::{Instance, name, publish};
use crate::{DEADLINE, Rig};

const AWAY: &str = "Docker does not answer";
const NOT_READY: &str = r#""ready":false"#;
/// No time for what waits for Docker.
const SOON: Duration = Duration::from_secs(5);
/// What it may take of a processor meanwhile, in parts of a thousand: it asks its container ten
/// times a second.
const BUSY: u128 = 50;

async fn own() -> (Rig, Etcd) {
    Rig::set_up(Docker::start_linked().await.unwrap()).await
}

async fn web(rig: &Rig) -> Instance<'_> {
    let name = name();
    let health = "health_check: {http: {path: /, interval: 100ms, timeout: 500ms, fall: 2}}";
    let definition = format!("{health}\ndrain: 1s\n{}", publish(&name));
    let web = rig.started(rig.launch(&name, &definition)).await;
    web.wait_ready(DEADLINE).await.unwrap();
    web
}

/// Lines of the container that came out so far.
fn lines(web: &Instance<'_>) -> Vec<String> {
    let lines = web.process().lines().into_iter();
    let out = lines.filter(|line| line.stream == Stream::Stdout && line.text.starts_with("line"));
    out.map(|line| line.text).collect()
}

pub async fn restarted(_: &Rig) {
    let (rig, _etcd) = own().await;
    let web = web(&rig).await;
    let (container, address) = (web.inspect("{{.Id}}").await, web.address().await);
    let before = web.stamp().await;
    for (number, signal) in [Signal::SIGTERM, Signal::SIGKILL].into_iter().enumerate() {
        let say = async |when: &str| {
            let steer: Steer = format!("say/out/20/line-{when}-{number}").parse().unwrap();
            steer.at(&address).await.unwrap();
        };
        say("before").await;
        rig.docker.end(signal).await.unwrap();
        say("without").await;
        web.wait_for_latest(AWAY).await;
        let busy = web.busy_during(sleep(Duration::from_secs(3))).await;
        assert!(busy < BUSY, "{busy} thousandths of a processor");
        rig.docker.resume().await.unwrap();
        web.wait_for_latest("running").await;
        say("after").await;
        let last = format!("line-after-{number} 20");
        let last = |line: &str| line == last;
        web.process().wait_for_line(last, DEADLINE).await.unwrap();
    }
    let expected = crate::output::judged(&rig, &web.container().await).await;
    assert_eq!(expected.len(), 2 * 3 * 20);
    assert_eq!(lines(&web), expected);
    assert_eq!(web.inspect("{{.Id}}").await, container);
    assert_eq!(web.stamp().await, before, "its key was never written again");
    let told = web.notify().received();
    let unhealthy = told.iter().find(|told| told.state.contains("unhealthy"));
    assert_eq!(unhealthy, None);
    assert!(web.was_ready());
    web.end().await;
}

pub async fn restarted_and_its_containers_ended(_: &Rig) {
    let docker = Docker::start_ending().await.unwrap();
    let (rig, _etcd) = Rig::set_up(docker).await;
    let mut web = web(&rig).await;
    rig.docker.end(Signal::SIGTERM).await.unwrap();
    // Not served any more, whether it is known yet why.
    web.wait_for_key(|value| value.is_none_or(|value| value.contains(NOT_READY)))
        .await;
    rig.docker.resume().await.unwrap();
    web.ends_with(0).await;
}

pub async fn at_start(_: &Rig) {
    let (rig, _etcd) = own().await;
    rig.docker.end(Signal::SIGTERM).await.unwrap();
    let web = rig.start("").await;
    web.wait_for_status(AWAY, DEADLINE).await.unwrap();
    let busy = web.busy_during(sleep(Duration::from_secs(3))).await;
    assert!(busy < BUSY, "{busy} thousandths of a processor");
    assert!(web.log().contains(AWAY), "{}", web.log());
    rig.docker.resume().await.unwrap();
    web.wait_ready(DEADLINE).await.unwrap();
    web.end().await;
}

/// It has begun nothing, so there is nothing to wait for.
pub async fn told_to_end_at_start(_: &Rig) {
    let (rig, _etcd) = own().await;
    let frozen = rig.docker.freeze().unwrap();
    let first = ended_at_start(&rig).await;
    drop(frozen);
    rig.docker.end(Signal::SIGTERM).await.unwrap();
    let second = ended_at_start(&rig).await;
    rig.docker.resume().await.unwrap();
    first.check_left().await;
    second.check_left().await;
}

async fn ended_at_start(rig: &Rig) -> Instance<'_> {
    let mut web = rig.start("").await;
    web.wait_for_status(AWAY, DEADLINE).await.unwrap();
    let status = web.stop(SOON).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", web.log());
    web
}

pub async fn frozen(_: &Rig) {
    let (rig, _etcd) = own().await;
    let web = web(&rig).await;
    let (container, address) = (web.inspect("{{.Id}}").await, web.address().await);
    let before = web.stamp().await;
    let frozen = rig.docker.freeze().unwrap();
    web.wait_for_latest(AWAY).await;
    let busy = web.busy_during(sleep(Duration::from_secs(8))).await;
    assert!(busy < BUSY, "{busy} thousandths of a processor");
    assert_eq!(web.stamp().await, before, "nothing is withdrawn");
    // What its probes see counts as ever, for longer than an answer of Docker is waited for.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        for (steer, is_ready) in [("answer/503", false), ("answer/200", true)] {
            let steer: Steer = steer.parse().unwrap();
            steer.at(&address).await.unwrap();
            let began = Instant::now();
            let is_seen = |value: Option<&str>| {
                value.is_some_and(|value| value.contains(NOT_READY) != is_ready)
            };
            web.wait_for_key(is_seen).await;
            let took = began.elapsed();
            assert!(took < SOON, "{took:?}");
        }
    }
    drop(frozen);
    web.wait_for_latest("running").await;
    assert_eq!(web.inspect("{{.Id}}").await, container);
    assert!(web.was_ready());
    web.end().await;
}

pub async fn told_to_end_while_frozen(_: &Rig) {
    let (rig, _etcd) = own().await;
    let mut web = web(&rig).await;
    let address = web.address().await;
    let frozen = rig.docker.freeze().unwrap();
    web.wait_for_latest(AWAY).await;
    // It has asked Docker again by then.
    sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    web.process().signal(Signal::SIGTERM).unwrap();
    web.wait_for_key(|value| value.is_none()).await;
    let took = began.elapsed();
    assert!(took < SOON, "{took:?}");
    // The container cannot be ended yet, so it is waited for.
    let url = format!("http://{address}/");
    assert_eq!(http::get(&url).await.unwrap().status, 200);
    drop(frozen);
    web.ends_with(0).await;
}
