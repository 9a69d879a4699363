//! What tests do to etcd by hand, through the real `etcdctl`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::member::INSTALL;
use crate::certs::KeyPair;
use crate::error::{Error, Result, find_program};

/// The id of a lease.
pub type LeaseId = i64;

/// Runs `etcdctl` with the endpoints, certificates and user of one etcd.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) endpoints: Vec<String>,
    pub(super) tls: Option<(std::path::PathBuf, KeyPair)>,
    pub(super) user: Option<(String, String)>,
}

impl Client {
    /// The etcd at this URL, which needs neither a user nor a certificate.
    pub(crate) fn of(endpoint: &str) -> Self {
        Self {
            endpoints: vec![endpoint.to_owned()],
            tls: None,
            user: None,
        }
    }

    /// The same etcd as another user.
    #[must_use]
    pub fn as_user(&self, user: &str, password: &str) -> Self {
        Self {
            user: Some((user.to_owned(), password.to_owned())),
            ..self.clone()
        }
    }

    /// The same etcd with another client certificate.
    #[must_use]
    pub fn with_certificate(&self, certificate: &KeyPair) -> Self {
        let tls = self.tls.clone().map(|(ca, _)| (ca, certificate.clone()));
        Self {
            tls,
            ..self.clone()
        }
    }

    /// The same etcd by way of another URL, such as that of a proxy in front of it.
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Self {
        let endpoints = vec![endpoint.to_owned()];
        Self {
            endpoints,
            ..self.clone()
        }
    }

    /// The URLs for clients.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Runs `etcdctl` and gives what it wrote to standard output.
    pub async fn etcdctl(&self, args: &[&str]) -> Result<String> {
        self.etcdctl_with_input(args, "").await
    }

    /// As [`Client::etcdctl`], with `input` on its standard input.
    pub async fn etcdctl_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(find_program("etcdctl", INSTALL)?);
        command.args(args).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.environment(&mut command);
        let spawn_error = |source| Error::Spawn {
            program: "etcdctl".to_owned(),
            source,
        };
        let mut child = command.spawn().map_err(spawn_error)?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // It may end without reading all: its exit status tells what matters.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.map_err(Error::io("wait for", "etcdctl"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Command {
            command: format!("etcdctl {}", args.join(" ")),
            status: output.status,
            stderr,
        })
    }

    fn environment(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCDCTL_") {
                command.env_remove(name);
            }
        }
        command
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", self.endpoints.join(","));
        if let Some((ca, client)) = &self.tls {
            command.env("ETCDCTL_CACERT", ca);
            command
                .env("ETCDCTL_CERT", &client.cert)
                .env("ETCDCTL_KEY", &client.key);
        }
        if let Some((user, password)) = &self.user {
            command.env("ETCDCTL_USER", format!("{user}:{password}"));
        }
    }

    pub(super) async fn json(&self, args: &[&str]) -> Result<Value> {
        let mut all = vec!["-w", "json"];
        all.extend(args);
        let text = self.etcdctl(&all).await?;
        serde_json::from_str(&text).map_err(|error| {
            Error::answer(
                format!("etcdctl {}", args.join(" ")),
                format!("{error}: {text}"),
            )
        })
    }

    /// Puts one key.
    pub async fn put(&self, key: &str, value: &str) -> Result<()> {
        self.etcdctl(&["put", "--", key, value]).await.map(drop)
    }

    /// Puts one key that goes when the lease does.
    pub async fn put_with_lease(&self, key: &str, value: &str, lease: LeaseId) -> Result<()> {
        self.etcdctl(&["put", &format!("--lease={lease:x}"), "--", key, value])
            .await
            .map(drop)
    }

    /// The value of one key.
    pub async fn get(&self, key: &str) -> Result<Option<String>> {
        let found = self.json(&["get", "--", key]).await?;
        Ok(pairs(&found)?.into_values().next())
    }

    /// All keys that begin with `prefix`, with their values.
    pub async fn get_prefix(&self, prefix: &str) -> Result<BTreeMap<String, String>> {
        pairs(&self.json(&["get", "--prefix", "--", prefix]).await?)
    }

    /// How many keys begin with `prefix`.
    pub async fn count(&self, prefix: &str) -> Result<i64> {
        let found = self
            .json(&["get", "--prefix", "--keys-only", "--limit=1", "--", prefix])
            .await?;
        Ok(integer(&found, "/count").unwrap_or(0))
    }

    /// Deletes one key; says whether it was there.
    pub async fn del(&self, key: &str) -> Result<bool> {
        Ok(integer(&self.json(&["del", "--", key]).await?, "/deleted").unwrap_or(0) > 0)
    }

    /// Deletes all keys that begin with `prefix`; says how many were there.
    pub async fn del_prefix(&self, prefix: &str) -> Result<i64> {
        Ok(integer(
            &self.json(&["del", "--prefix", "--", prefix]).await?,
            "/deleted",
        )
        .unwrap_or(0))
    }

    /// Runs a transaction in the text form of `etcdctl txn`: compares, a blank line, what to do if
    /// they hold, a blank line, what to do if not, a blank line.
    pub async fn txn(&self, text: &str) -> Result<String> {
        self.etcdctl_with_input(&["txn"], text).await
    }

    /// Grants a lease of so many seconds.
    pub async fn lease_grant(&self, ttl: u64) -> Result<LeaseId> {
        let granted = self.json(&["lease", "grant", &ttl.to_string()]).await?;
        integer(&granted, "/ID")
            .ok_or_else(|| Error::answer("etcdctl lease grant", granted.to_string()))
    }

    /// Ends a lease and deletes its keys.
    pub async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.etcdctl(&["lease", "revoke", &format!("{lease:x}")])
            .await
            .map(drop)
    }

    /// The ids of all leases.
    pub async fn leases(&self) -> Result<Vec<LeaseId>> {
        let listed = self.json(&["lease", "list"]).await?;
        let leases = listed["leases"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(leases
            .iter()
            .filter_map(|lease| lease["id"].as_i64().or(lease["ID"].as_i64()))
            .collect())
    }

    /// The revision that etcd is at.
    pub async fn revision(&self) -> Result<i64> {
        let found = self.json(&["get", "revision"]).await?;
        integer(&found, "/header/revision")
            .ok_or_else(|| Error::answer("etcdctl get", found.to_string()))
    }

    /// Forgets the history before `revision`: a watch from an earlier one is refused.
    pub async fn compact(&self, revision: i64) -> Result<()> {
        self.etcdctl(&["compact", "--physical", &revision.to_string()])
            .await
            .map(drop)
    }

    /// Forgets all history before the current revision, and gives that.
    pub async fn compact_now(&self) -> Result<i64> {
        let revision = self.revision().await?;
        match self.compact(revision).await {
            Err(Error::Command { stderr, .. }) if stderr.contains("has been compacted") => {
                Ok(revision)
            }
            done => done.map(|()| revision),
        }
    }

    /// Gives the space of what was compacted back.
    pub async fn defrag(&self) -> Result<()> {
        self.etcdctl(&["defrag"]).await.map(drop)
    }

    /// Saves a snapshot as a file.
    pub async fn snapshot(&self, path: &Path) -> Result<()> {
        self.etcdctl(&["snapshot", "save", &path.display().to_string()])
            .await
            .map(drop)
    }

    /// Adds a user who may read and write below `prefix`, and nothing else.
    pub async fn add_user(&self, user: &str, password: &str, prefix: &str) -> Result<()> {
        self.etcdctl(&["role", "add", user]).await?;
        self.etcdctl(&[
            "role",
            "grant-permission",
            "--prefix=true",
            user,
            "readwrite",
            prefix,
        ])
        .await?;
        self.etcdctl(&["user", "add", &format!("{user}:{password}")])
            .await?;
        self.etcdctl(&["user", "grant-role", user, user])
            .await
            .map(drop)
    }

    pub(super) async fn enable_auth(&self, root_password: &str) -> Result<()> {
        self.etcdctl(&["user", "add", &format!("root:{root_password}")])
            .await?;
        self.etcdctl(&["user", "grant-role", "root", "root"])
            .await?;
        self.etcdctl(&["auth", "enable"]).await.map(drop)
    }
}

fn integer(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer)?.as_i64()
}

fn pairs(answer: &Value) -> Result<BTreeMap<String, String>> {
    let kvs = answer["kvs"].as_array().map_or(&[][..], Vec::as_slice);
    kvs.iter()
        .map(|kv| Ok((text(&kv["key"])?, text(&kv["value"])?)))
        .collect()
}

fn text(encoded: &Value) -> Result<String> {
    let bytes = BASE64.decode(encoded.as_str().unwrap_or_default());
    let bytes = bytes.map_err(|error| Error::answer("etcdctl get", error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Error::answer("etcdctl get", error.to_string()))
}
