//! Many keys in little time, over etcd's JSON gateway.

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

impl Client {
    /// Puts many keys, 128 a transaction, in no particular order: for filling etcd before a test.
    ///
    /// The keys must differ. Only over plain HTTP, as the gateway is asked directly.
    pub async fn put_many<K, V>(&self, pairs: impl IntoIterator<Item = (K, V)>) -> Result<()>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let endpoint = self
            .endpoints
            .first()
            .filter(|endpoint| endpoint.starts_with("http://"));
        let no_tls = || Error::Misuse("put_many needs an etcd without TLS".to_owned());
        let endpoint = endpoint.ok_or_else(no_tls)?;
        let token = self.token(endpoint).await?;
        let mut shares: Vec<Vec<String>> = vec![Vec::new(); AT_ONCE];
        for (index, body) in bodies(pairs).into_iter().enumerate() {
            shares[index % AT_ONCE].push(body);
        }
        let mut tasks = tokio::task::JoinSet::new();
        for share in shares.into_iter().filter(|share| !share.is_empty()) {
            tasks.spawn(send(endpoint.clone(), token.clone(), share));
        }
        while let Some(sent) = tasks.join_next().await {
            sent.expect("sending does not panic")?;
        }
        Ok(())
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

fn bodies<K: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<String> {
    let puts: Vec<Value> = pairs
        .into_iter()
        .map(|(key, value)| json!({"requestPut": {"key": BASE64.encode(key), "value": BASE64.encode(value)}}))
        .collect();
    puts.chunks(OPERATIONS)
        .map(|chunk| json!({"success": chunk}).to_string())
        .collect()
}

async fn send(endpoint: String, token: Option<String>, bodies: Vec<String>) -> Result<()> {
    let mut connection = Connection::open(&endpoint).await?;
    for body in bodies {
        post(&mut connection, "/v3/kv/txn", token.as_deref(), body).await?;
    }
    Ok(())
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
