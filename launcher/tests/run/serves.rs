//! What serves, and is not well, and serves again.

use std::collections::BTreeMap;
use std::time::Duration;

use testbed::process::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::instance::{key, name, publish};
use crate::{DEADLINE, Rig};

const HEALTH: &str = "health_check: {http: {path: /, interval: 100ms, timeout: 500ms, fall: 2}}";

/// With its key, in a line that a definition holds.
fn healthy(name: &str) -> String {
    format!("{HEALTH}\n{}", publish(name))
}

async fn web<'a>(rig: &'a Rig, more: &str) -> crate::instance::Instance<'a> {
    let name = name();
    let launch = rig.launch(&name, &format!("{}\n{more}", healthy(&name)));
    let instance = rig.started(launch).await;
    instance.wait_ready(DEADLINE).await.unwrap();
    instance
}

pub async fn from_start_to_stop(rig: &Rig) {
    let web = web(rig, "command: [say/out/2/hello, say/err/1/oops]").await;
    assert_eq!(web.status().await, 200);
    let keys = web.keys().await;
    let service = web.launch().service().to_owned();
    assert_eq!(keys.keys().collect::<Vec<_>>(), [&key(&service)]);
    assert!(web.container().await.starts_with(&format!("{service}.")));
    let ready = web.notify().received().into_iter();
    assert_eq!(ready.filter(|told| told.state == "READY=1").count(), 1);
    // The output comes on the stream that it was written to.
    for (text, stream) in [("hello", Stream::Stdout), ("oops", Stream::Stderr)] {
        let found = web
            .process()
            .wait_for_line(|line| line.contains(text), DEADLINE);
        assert_eq!(found.await.unwrap().stream, stream);
    }
    let instances = format!("/launcher/instances/{service}/testbed/");
    let state = rig.etcd.get_prefix(&instances).await.unwrap();
    let state: Vec<&String> = state.values().collect();
    assert!(
        state.len() == 1 && state[0].contains("running"),
        "{state:?}"
    );
    web.end().await;
}

pub async fn not_ready_and_ready_again(rig: &Rig) {
    let web = web(rig, "").await;
    for _ in 0..2 {
        web.steer("answer/503").await;
        web.wait_for_key(|value| value.is_some_and(|value| value.contains(r#""ready":false"#)))
            .await;
        web.wait_for_status("unhealthy: ", DEADLINE).await.unwrap();
        web.steer("answer/200").await;
        web.wait_for_key(|value| value.is_some_and(|value| !value.contains(r#""ready":false"#)))
            .await;
    }
    let ready = web.notify().received().into_iter();
    assert_eq!(
        ready.filter(|told| told.state == "READY=1").count(),
        1,
        "never twice"
    );
    web.end().await;
}

pub async fn dead_by_its_probes(rig: &Rig) {
    let name = name();
    let health = "health_check: {http: {path: /, interval: 100ms, fall: 2, liveness_fall: 5}}";
    let launch = rig.launch(&name, &format!("{health}\n{}", publish(&name)));
    let mut web = rig.started(launch).await;
    web.wait_ready(DEADLINE).await.unwrap();
    web.steer("answer/503").await;
    web.ends_with(125).await;
    assert!(web.log().contains("503"), "{}", web.log());
}

pub async fn an_operator_deletes_its_key(rig: &Rig) {
    let web = web(rig, "").await;
    assert!(rig.etcd.del(&key(web.launch().service())).await.unwrap());
    let told = |line: &str| line.contains("deleted by an operator");
    web.process().wait_for_line(told, DEADLINE).await.unwrap();
    assert_eq!(web.keys().await, BTreeMap::new());
    assert_eq!(web.status().await, 200, "the container goes on");
    web.end().await;
}

pub async fn killed_and_adopted(rig: &Rig) {
    let mut web = web(rig, "").await;
    let id = web.inspect("{{.Id}}").await;
    web.kill().await.unwrap();
    assert_eq!(web.keys().await.len(), 1, "until the lease ends");
    web.again().await;
    // It looks after it at once, and not only when Docker is asked again.
    web.wait_ready(Duration::from_secs(6)).await.unwrap();
    assert_eq!(web.inspect("{{.Id}}").await, id);
    assert_eq!(web.keys().await.len(), 1);
    web.end().await;
}

/// Long before Docker is asked regularly.
pub async fn adopted_at_once(rig: &Rig) {
    const SOON: Duration = Duration::from_secs(5);
    let mut web = web(rig, "").await;
    web.kill().await.unwrap();
    web.again().await;
    web.wait_ready(SOON).await.unwrap();
    web.steer("exit/7").await;
    let status = web.wait(SOON).await.unwrap();
    assert_eq!(status.code(), Some(7), "{}", web.log());
    web.check_left().await;
}

/// A unit that runs the newest, killed, and started again with another one.
pub async fn another_definition(rig: &Rig) {
    let mut web = web(rig, "").await;
    let before = web.container().await;
    web.kill().await.unwrap();
    let service = web.launch().service().to_owned();
    let other = format!("{}\nenvironment: {{A: b}}\ndrain: 1s", healthy(&service));
    web.launch().define(&rig.definition(&other)).unwrap();
    web.again().await;
    web.wait_ready(DEADLINE).await.unwrap();
    assert_ne!(web.container().await, before);
    let stopping = web.notify().received().into_iter();
    assert!(
        stopping.into_iter().all(|told| told.state != "STOPPING=1"),
        "the unit is not"
    );
    web.end().await;
}

pub async fn a_paused_container(rig: &Rig) {
    let web = web(rig, "").await;
    let container = web.container().await;
    rig.docker.run(&["pause", &container]).await.unwrap();
    web.wait_for_key(|value| value.is_some_and(|value| value.contains(r#""ready":false"#)))
        .await;
    rig.docker.run(&["unpause", &container]).await.unwrap();
    web.wait_for_key(|value| value.is_some_and(|value| !value.contains(r#""ready":false"#)))
        .await;
    web.end().await;
}

pub async fn drained_until_the_last_connection_is_over(rig: &Rig) {
    let web = web(rig, "drain: 55s").await;
    let address = web.address().await;
    web.steer("slow/1500").await;
    let mut client = TcpStream::connect(&address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let ending = web.end();
    let reading = timeout(DEADLINE, client.read_to_string(&mut answer));
    let ((), read) = tokio::join!(ending, reading);
    read.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// One probe follows the other here, and each would be somebody to wait for.
pub async fn its_own_probes_do_not_hold_it_up(rig: &Rig) {
    let name = name();
    let health = "health_check: {http: {path: /, interval: 100ms, timeout: 1s, fall: 1}}";
    let launch = format!("{health}\n{}\ndrain: 50s", publish(&name));
    let mut web = rig.started(rig.launch(&name, &launch)).await;
    web.wait_ready(DEADLINE).await.unwrap();
    web.steer("slow/3000").await;
    web.wait_for_status("unhealthy: ", DEADLINE).await.unwrap();
    let status = web.stop(Duration::from_secs(20)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", web.log());
    web.check_left().await;
}

pub async fn nowhere(rig: &Rig) {
    let name = name();
    let launch = rig.launch(&name, &healthy(&name)).args(["--no-publish"]);
    let web = rig.started(launch).await;
    web.wait_ready(DEADLINE).await.unwrap();
    assert_eq!(web.keys().await, BTreeMap::new());
    web.end().await;
}
