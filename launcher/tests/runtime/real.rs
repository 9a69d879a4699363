//! The real one, and what others do on its host by Docker's own client.

use std::collections::BTreeMap;
use std::sync::Mutex;

use launcher::runtime::docker::DockerRuntime;
use launcher::runtime::{ContainerRuntime as _, Ours, Stream};
use testbed::contained::Steer;
use testbed::docker::{Container, Docker, Image};
use testbed::wait;

use crate::{DEADLINE, Rig};

pub struct Real {
    runtime: DockerRuntime,
    image: Image,
    /// Removed at the end, before the daemon goes.
    others: Mutex<Vec<Container>>,
    pub docker: Docker,
}

impl Real {
    pub async fn start() -> Self {
        let docker = Docker::start_linked().await.unwrap();
        Self {
            runtime: DockerRuntime::at(&docker.env().unwrap().1),
            image: docker.contained(&[]).await.unwrap(),
            others: Mutex::default(),
            docker,
        }
    }

    /// What Docker's client says of a container.
    pub async fn format(&self, ours: &Ours, format: &str) -> String {
        let args = ["inspect", "--format", format, ours.id()];
        self.docker.run(&args).await.unwrap().trim().to_owned()
    }

    /// Tells the program in a container, once it listens.
    pub async fn steer(&self, ours: &Ours, steer: Steer) {
        let addresses = self.runtime.inspect(ours).await.unwrap().unwrap().addresses;
        let address = addresses.values().next().unwrap();
        let told = wait::until("the program to listen", DEADLINE, || async {
            let told = steer.at(format!("{address}:80")).await;
            told.map_err(|error| error.chain())
        });
        told.await.unwrap();
    }
}

impl Rig for Real {
    type Runtime = DockerRuntime;

    fn runtime(&self) -> &DockerRuntime {
        &self.runtime
    }

    fn image(&self) -> String {
        self.image.tag().to_owned()
    }

    async fn exit(&self, ours: &Ours, code: u8) {
        // It has to listen to be told.
        self.steer(ours, "answer/200".parse().unwrap()).await;
        self.steer(ours, Steer::Exit(code)).await;
    }

    async fn pause(&self, ours: &Ours, paused: bool) {
        let verb = if paused { "pause" } else { "unpause" };
        self.docker.run(&[verb, ours.id()]).await.unwrap();
    }

    async fn remove_by_hand(&self, ours: &Ours) {
        let args = ["rm", "--force", ours.id()];
        self.docker.run(&args).await.unwrap();
    }

    async fn neighbour(&self, name: &str, labels: &[(String, String)]) {
        let labels: BTreeMap<_, _> = labels.iter().cloned().collect();
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut args = vec!["--name", name];
        args.extend(labels.iter().flat_map(|label| ["--label", label]));
        args.push(self.image.tag());
        let container = self.docker.container(&args).await.unwrap();
        self.others.lock().unwrap().push(container);
    }

    async fn write(&self, ours: &Ours, stream: Stream, text: &str) {
        let say = Steer::Say {
            stderr: stream == Stream::Stderr,
            times: 1,
            text: text.to_owned(),
        };
        self.steer(ours, say).await;
    }

    async fn running(&self) -> Vec<String> {
        let args = ["ps", "--format", "{{.Names}}"];
        let names = self.docker.run(&args).await.unwrap();
        names.lines().map(str::to_owned).collect()
    }

    async fn taken_port(&self) -> u16 {
        let port = testbed::ports::free().unwrap();
        let published = format!("{port}:80");
        let args = ["--publish", &published, self.image.tag()];
        let container = self.docker.container(&args).await.unwrap();
        self.others.lock().unwrap().push(container);
        port
    }
}
