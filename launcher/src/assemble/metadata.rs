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
