//! The metadata service of an EC2 instance.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::json;

use super::listener::{Answer, Listener};
use crate::error::Result;

const TOKEN_PATH: &str = "/latest/api/token";
const CREDENTIALS_PATH: &str = "iam/security-credentials/";

#[derive(Debug)]
struct State {
    instance_id: String,
    zone: String,
    local_ipv4: String,
    role: Option<String>,
    lifetime: Duration,
    require_token: bool,
    failing: Option<StatusCode>,
    tokens: BTreeSet<String>,
    /// Number and end of the credentials handed out last.
    issued: (u64, Option<SystemTime>),
    paths: Vec<String>,
}

/// The metadata service of one instance on a port of its own, gone when dropped.
#[derive(Debug)]
pub struct Imds {
    listener: Listener,
    state: Arc<Mutex<State>>,
}

impl Imds {
    /// Starts one for the instance `i-00000000000000001` in eu-west-1a, without a role; a token is
    /// required, as in version 2.
    pub async fn start() -> Result<Self> {
        let state = Arc::new(Mutex::new(State {
            instance_id: "i-00000000000000001".to_owned(),
            zone: "eu-west-1a".to_owned(),
            local_ipv4: "10.0.0.1".to_owned(),
            role: None,
            lifetime: Duration::from_hours(6),
            require_token: true,
            failing: None,
            tokens: BTreeSet::new(),
            issued: (0, None),
            paths: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let listener = Listener::start(move |parts, _| {
            let answer = lock(&shared).answer(&parts);
            std::future::ready(Some(answer))
        });
        Ok(Self {
            listener: listener.await?,
            state,
        })
    }

    /// Where it answers, for `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// Sets the id of the instance.
    pub fn instance_id(&self, id: &str) -> &Self {
        id.clone_into(&mut lock(&self.state).instance_id);
        self
    }

    /// Sets the availability zone, and with it the region.
    pub fn zone(&self, zone: &str) -> &Self {
        zone.clone_into(&mut lock(&self.state).zone);
        self
    }

    /// Sets the private address.
    pub fn local_ipv4(&self, address: &str) -> &Self {
        address.clone_into(&mut lock(&self.state).local_ipv4);
        self
    }

    /// Gives the instance a role, whose credentials are good for so long. When they have ended, the
    /// next ones have another access key: `ASIA00000001`, `ASIA00000002`, and so on.
    pub fn role(&self, role: &str, lifetime: Duration) -> &Self {
        let mut state = lock(&self.state);
        state.role = Some(role.to_owned());
        state.lifetime = lifetime;
        drop(state);
        self
    }

    /// Whether requests need a token (version 2 of the protocol), or do without.
    pub fn require_token(&self, require: bool) -> &Self {
        lock(&self.state).require_token = require;
        self
    }

    /// Answers everything with this status, or with `None` as it should.
    pub fn fail_with(&self, status: Option<u16>) -> &Self {
        lock(&self.state).failing = status.and_then(|status| StatusCode::from_u16(status).ok());
        self
    }

    /// Paths of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).paths.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, parts: &Parts) -> Answer {
        let path = parts.uri.path();
        self.paths.push(path.to_owned());
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        if let Some(status) = self.failing {
            return text(status, status.to_string());
        }
        if path == TOKEN_PATH {
            let ttl = header("x-aws-ec2-metadata-token-ttl-seconds");
            return self.token(&parts.method, ttl);
        }
        let token = header("x-aws-ec2-metadata-token");
        let admitted = token.map_or(!self.require_token, |token| self.tokens.contains(token));
        if !admitted {
            return text(StatusCode::UNAUTHORIZED, String::new());
        }
        match path
            .strip_prefix("/latest/meta-data/")
            .and_then(|item| self.item(item))
        {
            Some(body) => text(StatusCode::OK, body),
            None => text(StatusCode::NOT_FOUND, String::new()),
        }
    }

    fn token(&mut self, method: &Method, ttl: Option<&str>) -> Answer {
        let ttl = ttl
            .and_then(|ttl| ttl.parse::<u32>().ok())
            .filter(|ttl| (1..=21_600).contains(ttl));
        match (method, ttl) {
            (&Method::PUT, Some(ttl)) => {
                let token = format!("token-{}", self.tokens.len() + 1);
                self.tokens.insert(token.clone());
                let mut answer = text(StatusCode::OK, token);
                answer
                    .headers_mut()
                    .insert("x-aws-ec2-metadata-token-ttl-seconds", ttl.into());
                answer
            }
            (&Method::PUT, None) => text(StatusCode::BAD_REQUEST, String::new()),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, String::new()),
        }
    }

    fn item(&mut self, item: &str) -> Option<String> {
        match item {
            "instance-id" => Some(self.instance_id.clone()),
            "placement/availability-zone" => Some(self.zone.clone()),
            "placement/region" => Some(self.zone.trim_end_matches(char::is_alphabetic).to_owned()),
            "local-ipv4" => Some(self.local_ipv4.clone()),
            _ => match item.strip_prefix(CREDENTIALS_PATH)? {
                "" => self.role.clone(),
                role if self.role.as_deref() == Some(role) => Some(self.credentials()),
                _ => None,
            },
        }
    }

    fn credentials(&mut self) -> String {
        let now = SystemTime::now();
        let (number, end) = match self.issued {
            (number, Some(end)) if end > now => (number, end),
            (number, _) => (number + 1, now + self.lifetime),
        };
        self.issued = (number, Some(end));
        let time = |time: SystemTime| {
            let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let credentials = json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": time(now),
            "AccessKeyId": format!("ASIA{number:08}"),
            "SecretAccessKey": "secret",
            "Token": format!("session-{number}"),
            "Expiration": time(end),
        });
        credentials.to_string()
    }
}

fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Answer, request};

    async fn get(imds: &Imds, path: &str, token: &str) -> Answer {
        let headers = [("X-aws-ec2-metadata-token", token)];
        let headers = if token.is_empty() {
            &[][..]
        } else {
            &headers[..]
        };
        let url = format!("{}/latest/meta-data/{path}", imds.url());
        request(Method::GET, &url, headers, "").await.unwrap()
    }

    async fn token(imds: &Imds) -> String {
        let url = format!("{}{TOKEN_PATH}", imds.url());
        let headers = [("X-aws-ec2-metadata-token-ttl-seconds", "60")];
        request(Method::PUT, &url, &headers, "").await.unwrap().body
    }

    #[tokio::test]
    async fn a_token_opens_the_metadata() {
        let imds = Imds::start().await.unwrap();
        imds.instance_id("i-7")
            .zone("us-east-1b")
            .local_ipv4("10.1.2.3");
        assert_eq!(
            get(&imds, "instance-id", "").await.status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(
            get(&imds, "instance-id", "wrong").await.status,
            StatusCode::UNAUTHORIZED
        );
        let token = token(&imds).await;
        assert_eq!(get(&imds, "instance-id", &token).await.body, "i-7");
        assert_eq!(
            get(&imds, "placement/region", &token).await.body,
            "us-east-1"
        );
        assert_eq!(
            get(&imds, "placement/availability-zone", &token).await.body,
            "us-east-1b"
        );
        assert_eq!(get(&imds, "local-ipv4", &token).await.body, "10.1.2.3");
        assert_eq!(
            get(&imds, "no-such-item", &token).await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            get(&imds, "iam/security-credentials/", &token).await.status,
            StatusCode::NOT_FOUND
        );
        imds.require_token(false);
        assert_eq!(get(&imds, "instance-id", "").await.body, "i-7");
        imds.fail_with(Some(503));
        assert_eq!(
            get(&imds, "instance-id", "").await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(imds.requests().len(), 11);
    }

    #[tokio::test]
    async fn credentials_end_and_are_followed_by_others() {
        let imds = Imds::start().await.unwrap();
        imds.role("lb", Duration::from_hours(1))
            .require_token(false);
        assert_eq!(get(&imds, "iam/security-credentials/", "").await.body, "lb");
        let first = get(&imds, "iam/security-credentials/lb", "").await.body;
        assert!(first.contains("ASIA00000001"), "{first}");
        assert_eq!(
            get(&imds, "iam/security-credentials/lb", "")
                .await
                .body
                .len(),
            first.len()
        );
        imds.role("lb", Duration::ZERO);
        lock(&imds.state).issued.1 = Some(SystemTime::now());
        let second = get(&imds, "iam/security-credentials/lb", "").await.body;
        assert!(second.contains("ASIA00000002"), "{second}");
    }
}
