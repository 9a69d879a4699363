//! Containers that are asked whether they are healthy.

use std::time::{Duration, Instant};

use launcher::assemble::{Ask, Location, Probes, locate};
use launcher::definition::{Definition, parse};
use launcher::health::Checker;
use launcher::life::Health;
use launcher::runtime::{ContainerRuntime as _, Ours};
use testbed::contained::Steer;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::assembled::running;
use crate::real::{Real, once};
use crate::{DEADLINE, Rig as _};

fn definition(keys: &str) -> Definition {
    parse(&format!("image: web\n{keys}")).unwrap().definition
}

async fn location(real: &Real, ours: &Ours) -> Location {
    let container = real.runtime().inspect(ours).await.unwrap().unwrap();
    locate(real.runtime(), &container).await.unwrap()
}

async fn probes(real: &Real, ours: &Ours, keys: &str) -> Probes {
    let container = real.runtime().inspect(ours).await.unwrap().unwrap();
    let location = locate(real.runtime(), &container).await.unwrap();
    Probes::new(&definition(keys), &container, &location)
}

/// What a checker says, from now on until this is dropped.
struct Checked {
    health: watch::Receiver<Health>,
    task: tokio::task::JoinHandle<()>,
}

impl Checked {
    async fn start(real: &Real, ours: &Ours, keys: &str) -> Self {
        let probes = probes(real, ours, keys).await;
        let (said, health) = watch::channel(Health::Unknown);
        let checker = Checker::new(probes, real.runtime().clone(), ours.clone());
        let task = tokio::spawn(async move {
            checker.run(said).await;
        });
        Self { health, task }
    }

    /// Waits until it says so, and gives its words.
    async fn until(&mut self, what: fn(&Health) -> bool) -> Health {
        let said = timeout(DEADLINE, self.health.wait_for(what)).await;
        said.expect("it is said in time").unwrap().clone()
    }

    async fn up(&mut self) {
        self.until(|health| *health == Health::Up).await;
    }

    async fn down(&mut self) -> String {
        match self.until(|health| matches!(health, Health::Down(_))).await {
            Health::Down(words) => words,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// In each kind of network.
pub async fn where_it_is(real: &Real) {
    let network = format!("probed-{}", std::process::id());
    let args = ["network", "create", &network];
    real.docker.run(&args).await.unwrap();
    let named = running(real, &format!("networks: [{network}, bridge]")).await;
    let address = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    let address = real.format(&named, &address).await;
    let address = Location::Address(address.parse().unwrap());
    assert_eq!(location(real, &named).await, address);

    let beside = format!("network_mode: 'container:{}'", named.name());
    let beside = running(real, &format!("{beside}\nentrypoint: {}", sleeping())).await;
    assert_eq!(location(real, &beside).await, address);
    let mut checked = Checked::start(real, &beside, "port: 80\nhealth_check: http").await;
    checked.up().await;

    let on_host = running(
        real,
        &format!("network_mode: host\nentrypoint: {}", sleeping()),
    )
    .await;
    let local = Location::Address([127, 0, 0, 1].into());
    assert_eq!(location(real, &on_host).await, local);
    let alone = running(real, "network_mode: none").await;
    let nowhere = Location::Nowhere("it has no network".to_owned());
    assert_eq!(location(real, &alone).await, nowhere);

    real.runtime().remove(&named).await.unwrap();
    let gone = location(real, &beside).await;
    assert!(
        matches!(&gone, Location::Nowhere(words) if words.ends_with("is gone")),
        "{gone:?}"
    );
    for ours in [&beside, &on_host, &alone] {
        real.runtime().remove(ours).await.unwrap();
    }
    let args = ["network", "rm", &network];
    real.docker.run(&args).await.unwrap();
}

/// A command that does not listen, and goes on.
fn sleeping() -> String {
    format!("{:?}", once(&["sleep/600000"]))
}

pub async fn by_address(real: &Real) {
    let ours = running(real, "port: 80").await;
    let timing = "interval: 100ms, fall: 2, liveness_fall: 20";
    for (check, down) in [
        (
            format!("http: {{path: /healthz, {timing}}}"),
            "503 Service Unavailable, 200-299 is expected",
        ),
        (
            format!("up: {{{timing}}}"),
            "503 Service Unavailable, 200-299 is expected",
        ),
        (format!("tcp: {{{timing}}}"), ""),
    ] {
        let mut checked =
            Checked::start(real, &ours, &format!("port: 80\nhealth_check: {{{check}}}")).await;
        if check.starts_with("up") {
            // It answers with no JSON.
            assert!(checked.down().await.contains("the body is no JSON object"));
            continue;
        }
        checked.up().await;
        if down.is_empty() {
            continue;
        }
        real.steer(&ours, "answer/503".parse().unwrap()).await;
        assert_eq!(checked.down().await, down);
        real.steer(&ours, "answer/200".parse().unwrap()).await;
        checked.up().await;
        // One that is held accepts connections, and never answers.
        real.pause(&ours, true).await;
        assert_eq!(checked.down().await, "no answer within 2s");
        real.pause(&ours, false).await;
        checked.up().await;
        real.steer(&ours, "answer/500".parse().unwrap()).await;
        let dead = checked
            .until(|health| matches!(health, Health::Dead(_)))
            .await;
        let words = "500 Internal Server Error, 200-299 is expected".to_owned();
        assert_eq!(dead, Health::Dead(words));
        real.steer(&ours, "answer/200".parse().unwrap()).await;
    }
    real.steer(&ours, Steer::Exit(0)).await;
    let mut checked = Checked::start(real, &ours, "port: 80").await;
    checked.down().await;
    real.runtime().remove(&ours).await.unwrap();
}

pub async fn by_command(real: &Real) {
    let ours = running(real, "network_mode: none").await;
    let check = |steers: &[&str]| {
        let command = once(steers);
        format!("network_mode: none\nhealth_check: {{exec: {command:?}}}")
    };
    let fine = check(&["say/out/1/fine"]);
    let mut checked = Checked::start(real, &ours, &fine).await;
    checked.up().await;
    let bad = check(&["say/out/3/x", "say/err/1/because", "exit/3"]);
    let mut checked = Checked::start(real, &ours, &bad).await;
    assert_eq!(checked.down().await, "exit code 3: because 1");
    let missing = "network_mode: none\nhealth_check: {exec: /no/such/program}";
    let mut checked = Checked::start(real, &ours, missing).await;
    let words = checked.down().await;
    assert!(words.contains("/no/such/program"), "{words}");
    real.runtime().remove(&ours).await.unwrap();
    let mut checked = Checked::start_gone(real, &ours, &fine).await;
    assert!(
        checked
            .down()
            .await
            .ends_with("is gone: somebody removed it")
    );
}

impl Checked {
    /// Of a container that cannot be looked at any more.
    async fn start_gone(real: &Real, ours: &Ours, keys: &str) -> Self {
        let other = running(real, "network_mode: none").await;
        let probes = probes(real, &other, keys).await;
        real.runtime().remove(&other).await.unwrap();
        let (said, health) = watch::channel(Health::Unknown);
        let checker = Checker::new(probes, real.runtime().clone(), ours.clone());
        let task = tokio::spawn(async move {
            checker.run(said).await;
        });
        Self { health, task }
    }
}

pub async fn by_the_image(real: &Real) {
    // Its own check is in force, and what Docker says of it counts.
    for (steer, is_up) in [("say/out/1/fine", true), ("exit/1", false)] {
        let check = format!(
            r#"HEALTHCHECK --interval=200ms --retries=1 CMD ["/usr/bin/contained", "once", "say/out/1/why", "{steer}"]"#
        );
        let image = real.docker.contained(&[&check]).await.unwrap();
        let keys = "port: 80";
        let mut spec = crate::assembled::assembled(real, keys);
        spec.image = image.tag().to_owned();
        let ours = real.runtime().create(&spec).await.unwrap();
        real.runtime().start(&ours).await.unwrap();
        assert_eq!(probes(real, &ours, keys).await.health, Ask::Image);
        let mut checked = Checked::start(real, &ours, keys).await;
        if is_up {
            checked.up().await;
        } else {
            assert_eq!(checked.down().await, "why 1");
        }
        real.runtime().remove(&ours).await.unwrap();
    }
}

/// A server that comes up after 300 ms is noticed soon after, not with the next second.
pub async fn fast_at_the_start(real: &Real) {
    let ours = running(real, "port: 80").await;
    real.steer(&ours, "answer/503".parse().unwrap()).await;
    let mut checked = Checked::start(
        real,
        &ours,
        "port: 80\nhealth_check: {http: {interval: 20s}}",
    )
    .await;
    checked.down().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    real.steer(&ours, "answer/200".parse().unwrap()).await;
    let begin = Instant::now();
    checked.up().await;
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    real.runtime().remove(&ours).await.unwrap();
}
