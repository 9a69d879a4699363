//! The image: built as `make images` builds it, run by a real Docker beside a real etcd, and there it
//! runs a neighbour on the same Docker.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;
use std::time::Duration;

use testbed::contained::Steer;
use testbed::docker::{Container, Docker, Image};
use testbed::etcd::Etcd;
use testbed::proxy::Proxy;
use testbed::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_mins(1);
const KEY: &str = "/lbManager/elb/us-east-1/web/multiple/i-00000001";

/// An etcd, and a Docker whose containers reach it.
struct Rig {
    etcd: Etcd,
    proxy: Proxy,
    docker: Docker,
}

impl Rig {
    async fn set_up() -> Self {
        let docker = Docker::start_linked().await.unwrap();
        let etcd = Etcd::start().await.unwrap();
        let gateway = docker.gateway().unwrap();
        let proxy = Proxy::start_at(gateway, &etcd.endpoint()).await.unwrap();
        Self {
            etcd,
            proxy,
            docker,
        }
    }

    /// The launcher of `web`, as its Dockerfile says, and with nothing that it can do without.
    async fn launcher(&self, image: &Image, definitions: &Path) -> Container {
        let (_, socket) = self.docker.env().unwrap();
        let socket = socket.trim_start_matches("unix://");
        let socket = format!("--volume={socket}:/var/run/docker.sock");
        let definitions = format!(
            "--volume={}:/etc/launcher/services:ro",
            definitions.display()
        );
        let endpoint = format!("--env=ETCDCTL_ENDPOINTS={}", self.proxy.url());
        let confined = [
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--read-only",
        ];
        let given = ["--network=host", "--pid=host", "--stop-timeout=60"];
        let files = [
            &socket,
            "--volume=launcher:/var/lib/launcher",
            &definitions,
            &endpoint,
        ];
        let run = ["run", "web", "--definitions=file:///etc/launcher/services"];
        let args = [&confined[..], &given, &files, &[image.tag()], &run].concat();
        self.docker.container(&args).await.unwrap()
    }

    /// What Docker says of the neighbours.
    async fn neighbours(&self, format: &str) -> String {
        let args = [
            "ps",
            "--all",
            "--filter=label=launcher.service=web",
            "--format",
        ];
        let listed = self.docker.run(&[&args[..], &[format]].concat()).await;
        listed.unwrap().trim().to_owned()
    }

    async fn address(&self) -> String {
        let container = self.neighbours("{{.Names}}").await;
        let format = "{{.NetworkSettings.IPAddress}}:80";
        let args = ["inspect", "--format", format, &container];
        self.docker.run(&args).await.unwrap().trim().to_owned()
    }
}

#[tokio::test]
async fn it_runs_a_neighbour_and_leaves_nothing() {
    let rig = Rig::set_up().await;
    let image = rig.docker.build("launcher").await.unwrap();
    let version = ["run", "--rm", image.tag(), "--version"];
    let version = rig.docker.run(&version).await.unwrap();
    let expected = concat!("launcher ", env!("CARGO_PKG_VERSION"), " (");
    assert!(version.starts_with(expected), "{version}");

    let web = rig.docker.contained(&[]).await.unwrap();
    let definitions = tempfile::tempdir().unwrap();
    let definition = format!(
        "image: {}\ncommand: [say/out/1/hello]\nport: 80\nhealth_check: {{http: {{interval: 1h}}}}\npublish: [{KEY}]\n",
        web.tag()
    );
    std::fs::write(definitions.path().join("web.yaml"), definition).unwrap();
    let launcher = rig.launcher(&image, definitions.path()).await;
    let serving = wait::until("it to be published", DEADLINE, || async {
        match rig.etcd.get(KEY).await.unwrap() {
            Some(_) => Ok(()),
            None => Err(launcher.logs().await.unwrap_or_default()),
        }
    });
    serving.await.unwrap();

    // It is taken out first, and ends when the last connection has.
    let address = rig.address().await;
    let slow: Steer = "slow/2000".parse().unwrap();
    slow.at(&address).await.unwrap();
    let mut client = TcpStream::connect(&address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    let (status, read) = tokio::join!(launcher.stop(), client.read_to_string(&mut answer));
    let log = launcher.logs().await.unwrap();
    assert_eq!(status.unwrap(), 0, "{log}");
    read.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}\n{log}");
    for words in ["hello", "draining: 1 connections"] {
        assert!(log.contains(words), "{words:?} is not in:\n{log}");
    }
    assert_eq!(rig.neighbours("{{.Names}} {{.Status}}").await, "", "{log}");
    assert!(rig.etcd.get_prefix("/").await.unwrap().is_empty());
}
