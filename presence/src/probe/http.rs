//! A GET over HTTP or HTTPS.

use std::error::Error;

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use super::{Body, Expected, InvalidTarget, Outcome, Statuses};
use crate::model::excerpt;

/// As many redirects as are followed, if they are.
const REDIRECTS: usize = 10;

/// What is asked over HTTP or HTTPS, and what is to come back.
///
/// Certificates are checked against those of the system, or those in the file
/// that `SSL_CERT_FILE` names, unless any will do. No proxy is used: it is the
/// service that is asked, and nobody in its place.
#[derive(Debug, Clone)]
pub struct HttpTarget {
    client: Client,
    url: Url,
    statuses: Statuses,
    body: Body,
    follows: bool,
}

impl HttpTarget {
    pub(super) fn new(url: Url, expected: Expected) -> Result<Self, InvalidTarget> {
        let policy = if expected.follow_redirects {
            Policy::limited(REDIRECTS)
        } else {
            Policy::none()
        };
        let client = Client::builder()
            .user_agent(concat!("lbmanager-probe/", env!("CARGO_PKG_VERSION")))
            .redirect(policy)
            .no_proxy()
            .tls_danger_accept_invalid_certs(expected.any_certificate)
            // A connection that is open already says nothing of new ones.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| InvalidTarget::Tls(root_cause(&error)))?;
        Ok(Self {
            client,
            url,
            statuses: expected.statuses.unwrap_or_default(),
            body: expected.body.unwrap_or_default(),
            follows: expected.follow_redirects,
        })
    }

    /// The same with another body to come back.
    #[must_use]
    pub fn expecting(&self, body: Body) -> Self {
        Self {
            body,
            ..self.clone()
        }
    }

    pub(super) async fn attempt(&self) -> Outcome {
        match self.client.get(self.url.clone()).send().await {
            Ok(response) => self.judge(response).await,
            Err(error) => Outcome::down(root_cause(&error)),
        }
    }

    async fn judge(&self, mut response: Response) -> Outcome {
        let status = response.status();
        if !self.statuses.contain(status.as_u16()) {
            let hint = self.redirect(&response);
            return Outcome::down(format!("{status}{hint}, {} is expected", self.statuses));
        }
        if matches!(self.body, Body::Any) {
            return Outcome::up(status.to_string());
        }
        match beginning(&mut response, self.body.longest()).await {
            Ok(body) => self.body.judge(&status.to_string(), &body),
            Err(error) => Outcome::down(format!(
                "{status}, but the body cannot be read: {}",
                root_cause(&error)
            )),
        }
    }

    /// Where it leads, and that nobody goes there.
    fn redirect(&self, response: &Response) -> String {
        let location = response.headers().get(LOCATION);
        match location.and_then(|location| location.to_str().ok()) {
            Some(location) if response.status().is_redirection() && !self.follows => {
                format!(" to {}, which is not followed", excerpt(location))
            }
            _ => String::new(),
        }
    }
}

async fn beginning(response: &mut Response, longest: usize) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(longest - body.len())]);
        if body.len() == longest {
            break;
        }
    }
    Ok(body)
}

/// What lies behind an error: its other words name the URL, which is known and
/// may hold a password.
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, error) {
        return "the request failed".to_owned();
    }
    cause.to_string()
}
