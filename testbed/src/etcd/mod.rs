//! A real etcd, one member or several, on loopback and gone with its handle.

mod bulk;
mod client;
mod cluster;
mod member;

use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use self::bulk::Session;
pub use self::client::{Client, LeaseId};
pub use self::cluster::EtcdCluster;
pub use self::member::Member;
use self::member::{Ports, Setup};
use crate::certs::Certificates;
use crate::error::{Error, Result};

/// How often other ports are tried when somebody was faster to take them.
const PORT_ATTEMPTS: usize = 5;
const NAME: &str = "testbed";
const TOKEN: &str = "testbed";

/// Says how an [`Etcd`] is to be.
#[derive(Debug, Default, Clone)]
pub struct EtcdBuilder {
    tls: Option<Certificates>,
    root_password: Option<String>,
    data_dir: Option<PathBuf>,
    address: Option<IpAddr>,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl EtcdBuilder {
    /// Serves clients over TLS only, and only those with a certificate of the same authority.
    #[must_use]
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        self.tls = Some(certificates.clone());
        self
    }

    /// Switches authentication on; the user `root`, as whom the handle acts, gets this password.
    #[must_use]
    pub fn auth(mut self, root_password: &str) -> Self {
        self.root_password = Some(root_password.to_owned());
        self
    }

    /// Keeps the data here instead of in a temporary directory, also after the handle is dropped.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Serves clients at this address as well, for those on another network that the test made:
    /// [`Etcd::endpoint_at`].
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// A further argument for etcd.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// An environment variable for etcd.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until it answers.
    pub async fn start(self) -> Result<Etcd> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let member = self.started_member(&directory).await?;
        let mut client = Client {
            endpoints: vec![member.endpoint()],
            tls: self
                .tls
                .as_ref()
                .map(|tls| (tls.ca.clone(), tls.client.clone())),
            user: None,
        };
        if let Some(password) = &self.root_password {
            enable_auth(&mut client, password).await?;
        }
        Ok(Etcd {
            member,
            client,
            root_password: self.root_password,
            _directory: directory,
        })
    }

    async fn started_member(&self, directory: &TempDir) -> Result<Member> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut member = Member::new(self.setup(directory)?);
            member.spawn().await?;
            match member.wait_ready().await {
                Err(Error::Ended { output, .. })
                    if attempt < PORT_ATTEMPTS && output.contains("address already in use") => {}
                done => return done.map(|()| member),
            }
        }
    }

    fn setup(&self, directory: &TempDir) -> Result<Setup> {
        let ports = Ports::free()?;
        Ok(Setup {
            name: NAME.to_owned(),
            ports,
            data_dir: self
                .data_dir
                .clone()
                .unwrap_or_else(|| directory.path().join("data")),
            log: directory.path().join("log"),
            token: TOKEN.to_owned(),
            initial_cluster: format!("{NAME}={}", ports.peer_url()),
            tls: self.tls.clone(),
            address: self.address,
            args: self.args.clone(),
            env: self.env.clone(),
        })
    }
}

/// One real etcd, killed when dropped. Everything a [`Client`] does can be asked of it directly.
#[derive(Debug)]
pub struct Etcd {
    // Before the directory, so that nothing writes there any more when it is removed.
    member: Member,
    client: Client,
    root_password: Option<String>,
    _directory: TempDir,
}

impl Etcd {
    /// Starts one without TLS and authentication, its data in a temporary directory.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// For one that is to be special.
    pub fn builder() -> EtcdBuilder {
        EtcdBuilder::default()
    }

    /// The URL that clients use; the same through all restarts.
    pub fn endpoint(&self) -> String {
        self.member.endpoint()
    }

    /// The URL for clients that reach it at this address: [`EtcdBuilder::address`].
    pub fn endpoint_at(&self, address: impl Into<IpAddr>) -> String {
        self.member.setup.client_url(address.into())
    }

    /// The id of its process; `None` when it does not run.
    pub fn pid(&self) -> Option<u32> {
        self.member.pid()
    }

    /// Its process: log, data directory.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Stops it in its tracks (SIGSTOP): its connections stay open and silent.
    pub fn pause(&mut self) -> Result<()> {
        self.member.pause()
    }

    /// Lets it go on after [`Etcd::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.member.resume()
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        self.member.kill().await
    }

    /// SIGTERM, and waits until it is gone.
    pub async fn stop(&mut self) -> Result<()> {
        self.member.stop().await
    }

    /// Stops it if it runs, and starts it with the same data at the same ports.
    pub async fn restart(&mut self) -> Result<()> {
        self.member.stop().await?;
        self.member.spawn().await?;
        self.member.wait_ready().await
    }

    /// Replaces it with an empty one at the same ports: same cluster and member ids, but a history
    /// that starts over at revision 1. Authentication is switched on again; added users are gone.
    pub async fn wipe(&mut self) -> Result<()> {
        self.member.kill().await?;
        self.remove_data()?;
        self.restart().await?;
        match self.root_password.clone() {
            Some(password) => enable_auth(&mut self.client, &password).await,
            None => Ok(()),
        }
    }

    /// Replaces it with one restored from a snapshot, at the same ports and with the same cluster
    /// and member ids: the history goes back to where the snapshot was taken.
    pub async fn restore(&mut self, snapshot: &Path) -> Result<()> {
        self.member.stop().await?;
        self.remove_data()?;
        let setup = &self.member.setup;
        let peer = setup.ports.peer_url();
        let (snapshot, data_dir) = (
            snapshot.display().to_string(),
            setup.data_dir.display().to_string(),
        );
        let args = [
            "snapshot",
            "restore",
            &snapshot,
            "--data-dir",
            &data_dir,
            "--name",
            &setup.name,
        ];
        let cluster = [
            "--initial-cluster",
            &setup.initial_cluster,
            "--initial-cluster-token",
            &setup.token,
            "--initial-advertise-peer-urls",
            &peer,
        ];
        self.client
            .etcdctl(&[&args[..], &cluster[..]].concat())
            .await?;
        self.restart().await
    }

    /// From the next [`Etcd::wipe`] or [`Etcd::restore`] on it has another cluster ID, as an etcd
    /// that somebody sets up anew has.
    pub fn renew_cluster_id(&mut self) {
        self.member.setup.token.push('+');
    }

    fn remove_data(&self) -> Result<()> {
        let data_dir = &self.member.setup.data_dir;
        std::fs::remove_dir_all(data_dir).map_err(Error::io("empty", data_dir))
    }
}

impl Deref for Etcd {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

async fn enable_auth(client: &mut Client, root_password: &str) -> Result<()> {
    client.user = None;
    client.enable_auth(root_password).await?;
    client.user = Some(("root".to_owned(), root_password.to_owned()));
    Ok(())
}
