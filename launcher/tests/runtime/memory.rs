//! The one in memory, and what others do on its host.

use jiff::Timestamp;
use launcher::runtime::fake::FakeRuntime;
use launcher::runtime::{Container, Frame, Image, Ours, State, Stream};

use crate::Rig;

pub struct InMemory(FakeRuntime);

impl InMemory {
    pub fn new() -> Self {
        let runtime = FakeRuntime::new();
        let image = Image {
            id: "sha256:00".to_owned(),
            has_healthcheck: false,
        };
        runtime.add_image("contained", image);
        Self(runtime)
    }
}

impl Rig for InMemory {
    type Runtime = FakeRuntime;

    fn runtime(&self) -> &FakeRuntime {
        &self.0
    }

    fn image(&self) -> String {
        "contained".to_owned()
    }

    async fn exit(&self, ours: &Ours, code: u8) {
        self.0.exit(ours.name(), code);
    }

    async fn pause(&self, ours: &Ours, paused: bool) {
        self.0.pause(ours.name(), paused);
    }

    async fn remove_by_hand(&self, ours: &Ours) {
        self.0.remove_by_hand(ours.name());
    }

    async fn neighbour(&self, name: &str, labels: &[(String, String)]) {
        let mut neighbour = Container::new(State::Running);
        neighbour.id = format!("id of {name}");
        name.clone_into(&mut neighbour.name);
        neighbour.labels = labels.iter().cloned().collect();
        self.0.add_container(neighbour);
    }

    async fn write(&self, ours: &Ours, stream: Stream, text: &str) {
        let frame = Frame {
            stream,
            time: Timestamp::now(),
            bytes: format!("{text} 1").into_bytes(),
            ends_line: true,
        };
        self.0.write(ours.name(), frame);
    }

    async fn running(&self) -> Vec<String> {
        let containers = self.0.containers().into_iter();
        let running = containers.filter(Container::is_up);
        running.map(|container| container.name).collect()
    }

    async fn taken_port(&self) -> u16 {
        self.0.take_port(8080);
        8080
    }
}
