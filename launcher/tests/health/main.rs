//! Containers that are asked again and again: commands and images in memory with the clock paused,
//! pages of a real server.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

mod commands;
mod image;
mod pages;

use std::time::Duration;

use launcher::assemble::{Location, Probes};
use launcher::definition::parse;
use launcher::health::Checker;
use launcher::instance::InstanceName;
use launcher::life::Health;
use launcher::runtime::fake::FakeRuntime;
use launcher::runtime::{Container, ContainerRuntime as _, ContainerSpec, Identity, Image, Ours};
use tokio::sync::watch;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(30);

/// A host with one container, which runs.
struct Rig {
    runtime: FakeRuntime,
    ours: Ours,
}

impl Rig {
    async fn start(has_healthcheck: bool) -> Self {
        let runtime = FakeRuntime::new();
        let id = "sha256:00".to_owned();
        runtime.add_image(
            "web",
            Image {
                id,
                has_healthcheck,
            },
        );
        let identity = Identity {
            service: "web".parse().unwrap(),
            instance: InstanceName::Newest,
            host_id: "host-a".parse().unwrap(),
        };
        let revision = "42-0a1b2c3d".parse().unwrap();
        let spec = ContainerSpec::new(identity, revision, "web");
        let ours = runtime.create(&spec).await.unwrap();
        runtime.start(&ours).await.unwrap();
        Self { runtime, ours }
    }

    async fn container(&self) -> Container {
        self.runtime.inspect(&self.ours).await.unwrap().unwrap()
    }

    /// It is asked as these keys of a definition say, at 127.0.0.1.
    async fn check(&self, keys: &str) -> Checked {
        let definition = parse(&format!("image: web\n{keys}")).unwrap().definition;
        let location = Location::Address([127, 0, 0, 1].into());
        let probes = Probes::new(&definition, &self.container().await, &location);
        let checker = Checker::new(probes, self.runtime.clone(), self.ours.clone());
        let (said, health) = watch::channel(Health::Unknown);
        let task = tokio::spawn(async move {
            checker.run(said).await;
        });
        Checked { health, task }
    }
}

/// What a checker says, until this is dropped.
struct Checked {
    health: watch::Receiver<Health>,
    task: tokio::task::JoinHandle<()>,
}

impl Checked {
    fn now(&self) -> Health {
        self.health.borrow().clone()
    }

    async fn until(&mut self, what: impl FnMut(&Health) -> bool) -> Health {
        let said = tokio::time::timeout(DEADLINE, self.health.wait_for(what)).await;
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
