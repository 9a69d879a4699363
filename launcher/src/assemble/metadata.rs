//! The EC2 instance that this host is, by its instance metadata.

use std::time::Duration;

use presence::process::backoff::Backoff;
use reqwest::{Client, Method, RequestBuilder, StatusCode};

/// Where every EC2 instance finds it.
const ENDPOINT: &str = "http://169.254.169.254";
/// The variable of the AWS tools that names another place.
const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// It is on the same machine, more or less.
const LIMIT: Duration = Duration::from_secs(1);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// No instance ID is nearly as long.
const LONGEST_ID: usize = 64;

/// The instance metadata of this host.
#[derive(Debug, Clone)]
pub struct Metadata {
    endpoint: String,
    client: Client,
}

/// Why the instance metadata does not say which instance this is.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Nobody answers.
    #[error(
        "the instance metadata does not answer at {endpoint} ({why}): $INSTANCE_ID is known only on \
         an EC2 instance; in a container its hop limit has to be 2 or more"
    )]
    Silent {
        /// Where it was asked.
        endpoint: String,
        /// What happened.
        why: String,
    },
    /// Somebody answers something else.
    #[error(
        "the instance metadata at {endpoint} answers {answer} when asked for the instance ID: see \
         that it is switched on for this instance"
    )]
    Refused {
        /// Where it was asked.
        endpoint: String,
        /// The status, or what else is wrong.
        answer: String,
    },
}

impl Metadata {
    /// That of this host, or what `AWS_EC2_METADATA_SERVICE_ENDPOINT` names.
    pub fn from_env() -> Self {
        let named = std::env::var(VARIABLE).ok();
        let named = named.filter(|named| !named.is_empty());
        Self::at(named.as_deref().unwrap_or(ENDPOINT))
    }

    /// That at this place: `http://HOST[:PORT]`.
    pub fn at(endpoint: &str) -> Self {
        // It is never behind a proxy, and its answers are for this host alone.
        let client = Client::builder().no_proxy().timeout(LIMIT).build();
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            client: client.expect("the certificates of the system can be read, or are none"),
        }
    }

    /// The ID of this instance. Asks until it is known, with growing pauses: `tell` gets why it is
    /// not yet. Cancel-safe.
    pub async fn instance_id(&self, mut tell: impl FnMut(&MetadataError) + Send) -> String {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            match self.ask().await {
                Ok(id) => return id,
                Err(error) => tell(&error),
            }
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    /// Asks once, by version 2 of the protocol, or by version 1 where that is unknown.
    async fn ask(&self) -> Result<String, MetadataError> {
        let token = self.token().await?;
        let mut request = self.request(Method::GET, "/latest/meta-data/instance-id");
        if let Some(token) = token {
            request = request.header("X-aws-ec2-metadata-token", token);
        }
        let (status, id) = self.send(request).await?;
        let is_id = id.len() <= LONGEST_ID && id.bytes().all(|b| b.is_ascii_graphic());
        if status != StatusCode::OK {
            return Err(self.refused(status.to_string()));
        }
        if id.is_empty() || !is_id {
            return Err(self.refused(format!("{:?}", presence::model::excerpt(&id))));
        }
        Ok(id)
    }

    /// `None` where there are no tokens.
    async fn token(&self) -> Result<Option<String>, MetadataError> {
        let request = self.request(Method::PUT, "/latest/api/token");
        let request = request.header("X-aws-ec2-metadata-token-ttl-seconds", "60");
        let (status, token) = self.send(request).await?;
        match status {
            StatusCode::OK => Ok(Some(token)),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Ok(None)
            }
            _ => Err(self.refused(status.to_string())),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.endpoint))
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, String), MetadataError> {
        let silent = |error: reqwest::Error| MetadataError::Silent {
            endpoint: self.endpoint.clone(),
            why: presence::probe::root_cause(&error),
        };
        let answer = request.send().await.map_err(silent)?;
        Ok((answer.status(), answer.text().await.map_err(silent)?))
    }

    fn refused(&self, answer: String) -> MetadataError {
        MetadataError::Refused {
            endpoint: self.endpoint.clone(),
            answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use testbed::aws::Imds;

    use super::*;

    #[tokio::test]
    async fn version_2_is_asked_first_and_then_version_1() {
        let imds = Imds::start().await.unwrap();
        imds.instance_id("i-0123456789abcdef0");
        for require_token in [true, false] {
            imds.require_token(require_token);
            let id = Metadata::at(&imds.url()).ask().await.unwrap();
            assert_eq!(id, "i-0123456789abcdef0");
        }
        let paths = ["/latest/api/token", "/latest/meta-data/instance-id"];
        assert_eq!(imds.requests(), [paths, paths].concat());
    }

    /// One that knows no tokens, as some that are not AWS' own.
    #[tokio::test]
    async fn without_tokens_it_is_asked_without() {
        let web = testbed::web::Web::start().await.unwrap();
        web.set(testbed::web::Act::Answer(404, String::new()));
        let error = Metadata::at(&web.url())
            .ask()
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("answers 404 Not Found when asked"),
            "{error}"
        );
        assert_eq!(web.requests(), 2);
    }

    #[tokio::test]
    async fn it_is_asked_until_it_answers_and_says_why_it_is_not() {
        let imds = Imds::start().await.unwrap();
        imds.instance_id("i-7").fail_with(Some(503));
        let said = Mutex::new(Vec::new());
        let tell = |error: &MetadataError| {
            said.lock().unwrap().push(error.to_string());
            imds.fail_with(None);
        };
        assert_eq!(Metadata::at(&imds.url()).instance_id(tell).await, "i-7");
        let said = said.into_inner().unwrap();
        assert_eq!(said.len(), 1);
        assert!(
            said[0].contains("answers 503 Service Unavailable"),
            "{said:?}"
        );
    }

    #[tokio::test]
    async fn what_is_no_id_and_who_is_silent_is_told() {
        let imds = Imds::start().await.unwrap();
        for id in ["", "i 7", "<html>no</html>\n", &"i".repeat(65)] {
            imds.instance_id(id);
            let error = Metadata::at(&imds.url()).ask().await.unwrap_err();
            assert!(matches!(error, MetadataError::Refused { .. }), "{error}");
        }
        let port = testbed::ports::free().unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        let error = Metadata::at(&endpoint).ask().await.unwrap_err().to_string();
        let start = format!("the instance metadata does not answer at {endpoint} (Connection");
        assert!(error.starts_with(&start), "{error}");
    }
}
