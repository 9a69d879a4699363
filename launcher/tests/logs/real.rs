//! A Docker daemon, containers that write, and what Docker says that they wrote.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use launcher::instance::InstanceName;
use launcher::logs::{Follower, LastLines, Sink};
use launcher::runtime::docker::DockerRuntime;
use launcher::runtime::{ContainerRuntime, ContainerSpec, Identity, Ours, Stream};
use presence::process::shutdown::{Shutdown, Trigger};
use tempfile::TempDir;
use testbed::contained::Steer;
use testbed::docker::{Docker, Image};
use testbed::wait;
use tokio::task::JoinHandle;

use crate::DEADLINE;

pub struct Real {
    pub runtime: DockerRuntime,
    pub host: String,
    pub docker: Docker,
    image: Image,
}

impl Real {
    pub async fn start() -> Self {
        let docker = Docker::start_linked().await.unwrap();
        let host = docker.env().unwrap().1;
        Self {
            runtime: DockerRuntime::at(&host),
            host,
            image: docker.contained(&[]).await.unwrap(),
            docker,
        }
    }

    /// A container whose program does this first, and then what it is told. It does not run yet.
    pub async fn made(&self, command: &[&str]) -> Ours {
        let spec = spec(self.image.tag(), command);
        self.runtime.create(&spec).await.unwrap()
    }

    pub async fn started(&self, command: &[&str]) -> Ours {
        let ours = self.made(command).await;
        self.runtime.start(&ours).await.unwrap();
        ours
    }

    /// Tells its program, once it listens.
    pub async fn steer(&self, ours: &Ours, words: &str) {
        let steer: Steer = words.parse().unwrap();
        let addresses = self.runtime.inspect(ours).await.unwrap().unwrap().addresses;
        let address = addresses.values().next().unwrap();
        let told = wait::until("the program to listen", DEADLINE, || async {
            let told = steer.at(format!("{address}:80")).await;
            told.map_err(|error| error.chain())
        });
        told.await.unwrap();
    }

    /// Follows it to its end, and gives what was handed on, and the last lines.
    pub async fn followed(&self, ours: &Ours) -> (Files, LastLines) {
        let files = Files::new();
        let follower = Follower::new(
            self.runtime.clone(),
            ours.clone(),
            files.path(),
            files.sink(),
        );
        let last = follower.last_lines();
        to_the_end(follower).await;
        (files, last)
    }

    /// What Docker's own client says that it wrote to stdout and stderr.
    pub fn logs(&self, ours: &Ours) -> [Vec<u8>; 2] {
        let mut docker = Command::new("docker");
        docker
            .args(["logs", ours.id()])
            .env("DOCKER_HOST", &self.host);
        let Output {
            stdout,
            stderr,
            status,
        } = docker.output().unwrap();
        assert!(status.success());
        [stdout, stderr]
    }
}

pub async fn to_the_end(follower: Follower<impl ContainerRuntime>) {
    let (_trigger, stop) = Shutdown::manual();
    tokio::time::timeout(DEADLINE, follower.run(stop))
        .await
        .unwrap();
}

/// For as long as it takes, or until it is triggered.
pub fn spawn(follower: Follower<impl ContainerRuntime>) -> (JoinHandle<()>, Trigger) {
    let (trigger, stop) = Shutdown::manual();
    (tokio::spawn(follower.run(stop)), trigger)
}

/// A container that no other test has.
pub fn spec(image: &str, command: &[&str]) -> ContainerSpec {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let identity = Identity {
        service: format!("web-{number}").parse().unwrap(),
        instance: InstanceName::Newest,
        host_id: "host-a".parse().unwrap(),
    };
    let mut spec = ContainerSpec::new(identity, "42-0a1b2c3d".parse().unwrap(), image.to_owned());
    spec.process.command = Some(command.iter().map(|&words| words.to_owned()).collect());
    spec
}

/// A state directory, and files to which output is handed on.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Goes on behind what is in them.
    pub fn sink(&self) -> Sink {
        sink(self.path())
    }

    pub fn read(&self, stream: Stream) -> Vec<u8> {
        std::fs::read(self.path().join(stream.to_string())).unwrap()
    }
}

pub fn sink(directory: &Path) -> Sink {
    let file = |stream: Stream| {
        let path = directory.join(stream.to_string());
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
    };
    Sink::files(file(Stream::Stdout), file(Stream::Stderr))
}
