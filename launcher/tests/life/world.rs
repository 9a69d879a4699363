//! A host in memory, and a process on it that lives one life.

use std::time::Duration;

use launcher::definition::PullPolicy;
use launcher::instance::InstanceName;
use launcher::life::{
    Action, Exit, Facts, Health, Keys, Life, Phase, Publish, Step, Terms, carry_out,
};
use launcher::runtime::fake::{FakeRuntime, Registry};
use launcher::runtime::{Container, ContainerRuntime as _, ContainerSpec, Identity, Image, State};
use tokio::time::{Instant, timeout};

pub const IMAGE: &str = "web:1";
/// Nothing takes longer in a world where all timeouts are seconds.
const AT_MOST: Duration = Duration::from_hours(1);

pub fn identity() -> Identity {
    Identity {
        service: "web".parse().unwrap(),
        instance: InstanceName::Newest,
        host_id: "host-a".parse().unwrap(),
    }
}

pub fn spec(revision: &str) -> ContainerSpec {
    ContainerSpec::new(identity(), revision.parse().unwrap(), IMAGE)
}

pub fn terms(spec: &ContainerSpec) -> Terms {
    Terms {
        revision: spec.revision,
        image: spec.image.clone(),
        pull: PullPolicy::Missing,
        start_timeout: Duration::from_mins(1),
        publish_timeout: Duration::from_secs(50),
        withdraw_timeout: Duration::from_secs(5),
        drain: Duration::from_secs(30),
        grace: Duration::from_secs(10),
    }
}

/// A host; what of it outlives a process.
pub struct World {
    pub runtime: FakeRuntime,
    pub spec: ContainerSpec,
    pub terms: Terms,
    pub health: Health,
    pub keys: Keys,
    /// Whether what is published is served, and what is withdrawn is gone.
    pub etcd: bool,
    /// How the keys stand when nothing is published.
    pub withdrawn: Keys,
    pub connections: Option<u64>,
    pub stop: bool,
    neighbours: Vec<Container>,
}

impl World {
    /// A host where the image has to be pulled, and neighbours run.
    pub fn new() -> Self {
        let runtime = FakeRuntime::new();
        let image = Image {
            id: "sha256:00".to_owned(),
            has_healthcheck: false,
        };
        runtime.set_registry(IMAGE, Registry::Has(image));
        let spec = spec("42-0a1b2c3d");
        for name in [
            "web",
            "web.42-0a1b2c3",
            "x-web.42-0a1b2c3d",
            "web.42-0a1b2c3d.a",
        ] {
            let mut neighbour = Container::new(State::Running);
            neighbour.id = format!("id of {name}");
            name.clone_into(&mut neighbour.name);
            neighbour.labels = spec.all_labels();
            runtime.add_container(neighbour);
        }
        Self {
            neighbours: runtime.containers(),
            runtime,
            terms: terms(&spec),
            spec,
            health: Health::Up,
            keys: Keys::default(),
            etcd: true,
            withdrawn: Keys {
                withdrawn: true,
                ..Keys::default()
            },
            connections: Some(0),
            stop: false,
        }
    }

    pub async fn facts(&self) -> Facts {
        Facts {
            now: Instant::now(),
            stop: self.stop,
            image: self
                .runtime
                .image(IMAGE)
                .await
                .ok()
                .map(|image| image.is_some()),
            containers: self.runtime.list(&self.spec.identity).await.ok(),
            health: self.health.clone(),
            keys: self.keys.clone(),
            connections: self.connections,
            drained: false,
            last_lines: "last words".to_owned(),
        }
    }

    /// One look, one step, and what it asks for. Checks what must hold at every step.
    pub async fn step(&mut self, life: &mut Life) -> Step {
        let facts = self.facts().await;
        let step = life.step(&facts);
        self.check(life, &step);
        self.publish(step.publish);
        if let Some(action) = &step.action {
            let done = carry_out(&self.runtime, &self.spec, action, |_| ()).await;
            life.done(action, done, Instant::now());
        }
        step
    }

    fn check(&self, life: &Life, step: &Step) {
        let withdrawn = self.keys.present == 0 || !self.etcd;
        if let Some(Action::Terminate(_) | Action::Kill(_)) = &step.action {
            assert!(withdrawn, "it is told to end while it is published");
        }
        assert!(!step.ready || life.phase() >= Phase::Running);
        assert_eq!(step.exit.is_some(), life.phase() == Phase::Exit);
        assert!(!step.status.is_empty() && !step.status.contains('\n'));
        assert!(step.action.is_none() || step.exit.is_none());
    }

    fn publish(&mut self, publish: Publish) {
        let is_wanted = match publish {
            Publish::AsIs => return,
            Publish::Nothing => false,
            Publish::Ready | Publish::NotReady => true,
        };
        if self.etcd {
            let published = Keys {
                present: 1,
                served: true,
                ..Keys::default()
            };
            self.keys = if is_wanted {
                published
            } else {
                self.withdrawn.clone()
            };
        }
    }

    /// Lives until it serves or is over.
    pub async fn live(&mut self) -> (Life, Step) {
        let mut life = Life::new(self.terms.clone(), Instant::now());
        let step = self
            .go_on(&mut life, |step| step.ready || step.exit.is_some())
            .await;
        (life, step)
    }

    /// Steps until that is so; where there is nothing to do, until the next deadline.
    pub async fn go_on(&mut self, life: &mut Life, is_so: impl Fn(&Step) -> bool) -> Step {
        let going = async {
            loop {
                let keys = self.keys.clone();
                let step = self.step(life).await;
                if is_so(&step) {
                    return step;
                }
                match step.deadline {
                    // What was changed is looked at again at once.
                    _ if step.action.is_some() || self.keys != keys => {}
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        };
        timeout(AT_MOST, going).await.expect("it goes on")
    }

    /// Ends it by a signal.
    pub async fn end(&mut self, life: &mut Life) -> Exit {
        self.stop = true;
        let step = self.go_on(life, |step| step.exit.is_some()).await;
        step.exit.unwrap()
    }

    /// All containers that are not the neighbours.
    pub fn ours(&self) -> Vec<Container> {
        let mut all = self.runtime.containers();
        all.retain(|one| !self.neighbours.contains(one));
        all
    }

    /// Nothing of ours is left, and the neighbours are as they were.
    pub fn check_left(&self) {
        assert_eq!(self.runtime.containers(), self.neighbours);
        assert!(self.keys.present == 0 || !self.etcd);
    }
}
