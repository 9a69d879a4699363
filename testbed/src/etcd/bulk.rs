//! Keys in little time, over etcd's JSON gateway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Client;
use crate::error::{Error, Result};
use crate::http::Connection;

/// What etcd takes in a transaction unless told otherwise.
const OPERATIONS: usize = 128;
/// Each transaction is its own write to the log: several at once share one flush.
const AT_ONCE: usize = 8;

/// A connection to etcd that is kept, where the start of `etcdctl` is not to count.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    token: Option<String>,
}

impl Session {
    /// Puts one key.
    pub async fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let pair = json!({"key": BASE64.encode(key), "value": BASE64.encode(value)});
        let token = self.token.as_deref();
        let put = post(&mut self.connection, "/v3/kv/put", token, pair.to_string());
        put.await.map(drop)
    }
}

impl Client {
    /// Connects. Only over plain HTTP, as the gateway is asked directly.
    pub async fn session(&self) -> Result<Session> {
        let endpoint = self.gateway()?;
        Ok(Session {
            connection: Connection::open(endpoint).await?,
            token: self.token(endpoint).await?,
        })
    }

    /// Puts many keys, 128 a transaction, in no particular order: for filling etcd before a test.
    /// Gives the mod_revision of each.
    ///
    /// The keys must differ. Only over plain HTTP, as the gateway is asked directly.
    pub async fn put_many<K, V>(&self, pairs: impl IntoIterator<Item = (K, V)>) -> Result<Vec<i64>>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let puts = pairs.into_iter().map(|(key, value)| put(key, value));
        self.change_many(puts.collect()).await
    }

    /// Puts and, where there is no value, deletes many keys, otherwise as [`Client::put_many`].
    pub async fn put_and_delete_many<K, V>(
        &self,
        pairs: impl IntoIterator<Item = (K, Option<V>)>,
    ) -> Result<Vec<i64>>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let changes = pairs.into_iter().map(|(key, value)| match value {
            Some(value) => put(key, value),
            None => json!({"requestDeleteRange": {"key": BASE64.encode(key)}}),
        });
        self.change_many(changes.collect()).await
    }

    async fn change_many(&self, changes: Vec<Value>) -> Result<Vec<i64>> {
        let endpoint = self.gateway()?;
        let token = self.token(endpoint).await?;
        let mut shares: Vec<Vec<(usize, String)>> = vec![Vec::new(); AT_ONCE];
        for (index, chunk) in changes.chunks(OPERATIONS).enumerate() {
            let body = json!({"success": chunk}).to_string();
            shares[index % AT_ONCE].push((index, body));
        }
        let mut tasks = tokio::task::JoinSet::new();
        for share in shares.into_iter().filter(|share| !share.is_empty()) {
            tasks.spawn(send(endpoint.to_owned(), token.clone(), share));
        }
        let mut revisions = vec![0; changes.len()];
        while let Some(sent) = tasks.join_next().await {
            for (index, revision) in sent.expect("sending does not panic")? {
                if let Some(chunk) = revisions.chunks_mut(OPERATIONS).nth(index) {
                    chunk.fill(revision);
                }
            }
        }
        Ok(revisions)
    }

    fn gateway(&self) -> Result<&str> {
        let first = self.endpoints.first();
        let plain = first.filter(|endpoint| endpoint.starts_with("http://"));
        let no_tls = || Error::Misuse("etcd's gateway is asked without TLS only".to_owned());
        plain.map(String::as_str).ok_or_else(no_tls)
    }

    async fn token(&self, endpoint: &str) -> Result<Option<String>> {
        let Some((user, password)) = &self.user else {
            return Ok(None);
        };
        let body = json!({"name": user, "password": password}).to_string();
        let mut connection = Connection::open(endpoint).await?;
        let answer = post(&mut connection, "/v3/auth/authenticate", None, body).await?;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        Ok(answer["token"].as_str().map(str::to_owned))
    }
}

fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Value {
    json!({"requestPut": {"key": BASE64.encode(key), "value": BASE64.encode(value)}})
}

/// Sends numbered transactions, and gives the revision of each.
async fn send(
    endpoint: String,
    token: Option<String>,
    bodies: Vec<(usize, String)>,
) -> Result<Vec<(usize, i64)>> {
    let mut connection = Connection::open(&endpoint).await?;
    let mut revisions = Vec::new();
    for (index, body) in bodies {
        let answer = post(&mut connection, "/v3/kv/txn", token.as_deref(), body).await?;
        let revision = revision(&answer);
        revisions.push((
            index,
            revision.ok_or_else(|| Error::answer("etcd's gateway", answer))?,
        ));
    }
    Ok(revisions)
}

/// The gateway writes 64-bit numbers as text.
fn revision(answer: &str) -> Option<i64> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    answer["header"]["revision"].as_str()?.parse().ok()
}

async fn post(
    connection: &mut Connection,
    path: &str,
    token: Option<&str>,
    body: String,
) -> Result<String> {
    let headers: Vec<(&str, &str)> = token
        .map(|token| ("Authorization", token))
        .into_iter()
        .collect();
    let answer = connection
        .request(Method::POST, path, &headers, body)
        .await?;
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        status => Err(Error::answer(
            "etcd's gateway",
            format!("{status} for {path}: {}", answer.body),
        )),
    }
}
