//! A registry with one image, which a test makes fail: what of its API (version 2) a pull needs.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::finish;
use crate::error::{Error, Result};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const UNAUTHORIZED: &[u8] =
    br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
const UNKNOWN: &[u8] = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
/// Enough for more than one report of progress.
const CONTENT: usize = 3 << 20;

/// What a registry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gives {
    /// Gives its image to everybody.
    Image,
    /// Gives it to whoever has this name and this password.
    To(String, String),
    /// Answers everything with this status.
    Status(u16),
    /// Takes connections, and says nothing.
    Nothing,
    /// Gives the manifest, and nothing of the layer.
    NoLayer,
}

/// A registry at a port of its own, gone when dropped. Its only image is `REGISTRY/image:1`.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    gives: watch::Sender<Gives>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Registry {
    /// Starts one at this address of this machine, which a daemon has to take for insecure: a
    /// linked one does so for [its gateway](super::Docker::gateway).
    pub async fn start(at: Ipv4Addr) -> Result<Self> {
        let failed = || Error::io("listen on", at.to_string());
        let listener = TcpListener::bind((at, 0)).await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let (gives, orders) = watch::channel(Gives::Image);
        let requests = Arc::default();
        let store = Arc::new(Store::make().await?);
        let task = tokio::spawn(accept(listener, store, orders, Arc::clone(&requests)));
        Ok(Self {
            address,
            gives,
            requests,
            task,
        })
    }

    /// From the next request on it does this.
    pub fn set(&self, gives: Gives) {
        self.gives.send_replace(gives);
    }

    /// What it is called in the names of images: `127.0.0.1:5000`.
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// Its image.
    pub fn image(&self) -> String {
        format!("{}/image:1", self.address)
    }

    /// How many requests it has had.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The blobs of its image, the last of which is the layer.
struct Store {
    manifest: Vec<u8>,
    blobs: [(String, Vec<u8>); 2],
}

impl Store {
    async fn make() -> Result<Self> {
        let layer = layer().await?;
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Labels": {"from": "registry"}},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let blob = |kind: &str, content: &[u8]| {
            let (size, digest) = (content.len(), digest(content));
            json!({"mediaType": kind, "size": size, "digest": digest})
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blob(CONFIG, &config),
            "layers": [blob(LAYER, &layer)],
        });
        Ok(Self {
            manifest: manifest.to_string().into_bytes(),
            blobs: [config, layer].map(|content| (digest(&content), content)),
        })
    }

    /// Its type and itself, or `None` if it is not here.
    fn find(&self, path: &str) -> Option<(&'static str, &[u8])> {
        if path == "/v2/" {
            return Some(("application/json", b"{}"));
        }
        let path = path.strip_prefix("/v2/image/")?;
        if let Some(manifest) = path.strip_prefix("manifests/") {
            let known = manifest == "1" || manifest == digest(&self.manifest);
            return known.then_some((MANIFEST, &self.manifest));
        }
        let wanted = path.strip_prefix("blobs/")?;
        let blob = self.blobs.iter().find(|(digest, _)| digest == wanted)?;
        Some(("application/octet-stream", &blob.1))
    }

    fn is_layer(&self, path: &str) -> bool {
        path.ends_with(&self.blobs[1].0)
    }
}

fn digest(content: &[u8]) -> String {
    let hex = |byte: &u8| format!("{byte:02x}");
    let digest: String = Sha256::digest(content).iter().map(hex).collect();
    format!("sha256:{digest}")
}

/// One file that cannot be packed any smaller.
async fn layer() -> Result<Vec<u8>> {
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let file = directory.path().join("content");
    let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(CONTENT)
        .collect();
    std::fs::write(&file, content).map_err(Error::io("write", &file))?;
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(directory.path());
    tar.args(["--create", "--file", "-", "content"]);
    tar.stdin(Stdio::null()).kill_on_drop(true);
    Ok(finish(tar, "tar --create").await?.stdout)
}

async fn accept(
    listener: TcpListener,
    store: Arc<Store>,
    gives: watch::Receiver<Gives>,
    requests: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        requests.fetch_add(1, Ordering::Relaxed);
        let (store, gives) = (Arc::clone(&store), gives.borrow().clone());
        // Whoever goes away first is no error.
        connections.spawn(async move { serve(stream, &store, gives).await.ok() });
        while connections.try_join_next().is_some() {}
    }
}

/// One request for each connection.
async fn serve(stream: TcpStream, store: &Store, gives: Gives) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut authorization) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? <= 2 {
            break;
        }
        if first.is_empty() {
            first = line;
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("authorization:") {
            let start = line.len() - value.len();
            authorization = line[start..].trim().to_owned();
        }
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (status, kind, body) = match &gives {
        Gives::Nothing => std::future::pending().await,
        Gives::NoLayer if store.is_layer(path) => std::future::pending().await,
        Gives::Status(status) => (*status, "text/plain", &b""[..]),
        Gives::To(name, password) if authorization != basic(name, password) => {
            (401, "application/json", UNAUTHORIZED)
        }
        _ => match store.find(path) {
            Some((kind, body)) => (200, kind, body),
            None => (404, "application/json", UNKNOWN),
        },
    };
    let length = body.len();
    let mut head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"
    );
    if status == 401 {
        head += "WWW-Authenticate: Basic realm=\"registry\"\r\n";
    }
    if kind == MANIFEST {
        head += &format!("Docker-Content-Digest: {}\r\n", digest(body));
    }
    stream.write_all((head + "\r\n").as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body).await?;
    }
    stream.shutdown().await
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}
