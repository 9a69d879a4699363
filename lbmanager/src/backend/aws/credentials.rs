//! Who we are to AWS: found once, found again before it runs out or when AWS
//! no longer takes it.
//!
//! Apart from the SDK's own cache, so that finding them is no part of a
//! call's deadline, and one failed search serves everybody who waited for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds;
use aws_credential_types::Credentials as Found;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use tokio::time::{Instant, timeout};

use super::AwsSettings;
use super::error::Kind;
use super::words;

/// A search may ask several places that do not answer.
const SEARCH: Duration = Duration::from_secs(10);
/// How long before their end new ones are searched for; instance metadata has
/// them five minutes before.
const MARGIN: Duration = Duration::from_mins(5);
/// How long nothing is searched after a search.
const PAUSE: Duration = Duration::from_secs(5);

/// Credentials that everything shares. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Credentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    state: Mutex<State>,
    /// Held by the one who searches.
    searching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum Source {
    Fixed(Found),
    Chain { metadata_url: Option<String> },
}

#[derive(Debug, Default)]
struct State {
    found: Option<Found>,
    searched: Option<Instant>,
    problem: Option<Problem>,
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub kind: Kind,
    pub words: String,
}

impl Credentials {
    /// Nothing is searched before they are needed.
    pub fn new(settings: &AwsSettings) -> Self {
        let source = match &settings.keys {
            Some(keys) => Source::Fixed(Found::new(
                keys.id.as_str(),
                keys.secret.as_str(),
                None,
                None,
                "settings",
            )),
            None => Source::Chain {
                metadata_url: settings.metadata_url.clone(),
            },
        };
        Self(Arc::new(Inner {
            source,
            state: Mutex::default(),
            searching: tokio::sync::Mutex::default(),
        }))
    }

    /// Waits until there are some.
    pub(super) async fn ready(&self) -> std::result::Result<(), Problem> {
        self.get().await.map(|_| ())
    }

    /// AWS did not take them: search again, but not more often than it helps.
    pub(super) fn refused(&self) {
        let mut state = self.state();
        if !state.just_searched() {
            state.found = None;
        }
    }

    /// Whoever comes while others are searched for makes do with those at
    /// hand, or else waits for the same search.
    async fn get(&self) -> std::result::Result<Found, Problem> {
        let chain = match &self.0.source {
            Source::Fixed(keys) => return Ok(keys.clone()),
            Source::Chain { metadata_url } => metadata_url.as_deref(),
        };
        let at_hand = self.usable();
        if !self.is_search_due() {
            return at_hand;
        }
        let searching = match self.0.searching.try_lock() {
            Ok(searching) => searching,
            Err(_) if at_hand.is_ok() => return at_hand,
            Err(_) => self.0.searching.lock().await,
        };
        if self.is_search_due() {
            let found = search(chain).await;
            self.state().learn(found);
        }
        drop(searching);
        self.usable()
    }

    fn is_search_due(&self) -> bool {
        let state = self.state();
        state.is_due(SystemTime::now()) && !state.just_searched()
    }

    fn usable(&self) -> std::result::Result<Found, Problem> {
        self.state().usable(SystemTime::now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self, now: SystemTime) -> bool {
        self.found.as_ref().is_none_or(|found| {
            let expiry = found.expiry();
            expiry.is_some_and(|expiry| expiry <= now + MARGIN)
        })
    }

    fn just_searched(&self) -> bool {
        self.searched.is_some_and(|at| at.elapsed() < PAUSE)
    }

    fn learn(&mut self, result: std::result::Result<Found, Problem>) {
        self.searched = Some(Instant::now());
        match result {
            Ok(found) => (self.found, self.problem) = (Some(found), None),
            Err(problem) => {
                if self.found.is_some() {
                    tracing::warn!(%problem.words, "cannot renew the AWS credentials");
                }
                self.problem = Some(problem);
            }
        }
    }

    /// Those that could not be renewed serve until their end.
    fn usable(&self, now: SystemTime) -> std::result::Result<Found, Problem> {
        let found = self.found.as_ref();
        let valid = found.filter(|found| found.expiry().is_none_or(|expiry| expiry > now));
        valid.cloned().ok_or_else(|| {
            self.problem.clone().unwrap_or_else(|| Problem {
                kind: Kind::Denied,
                words: "the AWS credentials have expired or were refused; others are searched for \
                        in a few seconds"
                    .to_owned(),
            })
        })
    }
}

/// The chain is built anew each time: it would remember the files it has read.
async fn search(metadata_url: Option<&str>) -> std::result::Result<Found, Problem> {
    let mut chain = DefaultCredentialsChain::builder();
    if let Some(url) = metadata_url {
        let metadata = imds::Client::builder().endpoint(url).map_err(|error| {
            let words = format!("the URL of the instance metadata, {url}, is none: {error}");
            Problem {
                kind: Kind::Denied,
                words,
            }
        })?;
        chain = chain.imds_client(metadata.build());
    }
    let search = async { chain.build().await.provide_credentials().await };
    match timeout(SEARCH, search).await {
        Ok(result) => result.map_err(|error| problem(&error)),
        Err(_) => Err(Problem {
            kind: Kind::Unanswered,
            words: format!(
                "the search for AWS credentials took more than {} s",
                SEARCH.as_secs()
            ),
        }),
    }
}

fn problem(error: &CredentialsError) -> Problem {
    let (kind, words) = match error {
        CredentialsError::CredentialsNotLoaded(_) => (
            Kind::Denied,
            "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
             AWS_PROFILE with ~/.aws/credentials, or give the EC2 instance a role"
                .to_owned(),
        ),
        CredentialsError::InvalidConfiguration(_) => (
            Kind::Denied,
            format!(
                "the AWS credentials are configured wrongly: {}",
                words::chain(error)
            ),
        ),
        _ => (
            Kind::Unanswered,
            format!(
                "the AWS credentials could not be had: {}",
                words::chain(error)
            ),
        ),
    };
    Problem { kind, words }
}

impl ProvideCredentials for Credentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let get = async move {
            let got: Result = self
                .get()
                .await
                .map_err(|problem| CredentialsError::provider_error(problem.words));
            got
        };
        future::ProvideCredentials::new(get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(expiry: Option<SystemTime>) -> Found {
        Found::new("AK", "hush", None, expiry, "test")
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_renewed_before_their_end_and_serve_until_it() {
        let now = SystemTime::now();
        let mut state = State::default();
        assert!(state.is_due(now));
        state.learn(Ok(found(Some(now + Duration::from_hours(1)))));
        assert!(!state.is_due(now));
        assert!(state.just_searched());
        let late = now + Duration::from_mins(56);
        assert!(state.is_due(late));
        tokio::time::advance(PAUSE).await;
        assert!(!state.just_searched());

        let problem = problem(&CredentialsError::provider_error("503"));
        state.learn(Err(problem.clone()));
        assert!(state.usable(late).is_ok(), "the old ones are good still");
        let over = now + Duration::from_hours(1);
        assert_eq!(state.usable(over), Err(problem));
    }

    #[test]
    fn those_without_an_end_are_never_renewed() {
        let state = State {
            found: Some(found(None)),
            ..State::default()
        };
        assert!(!state.is_due(SystemTime::now() + Duration::from_hours(100_000)));
    }

    #[test]
    fn who_has_none_is_told_what_to_set() {
        let none = problem(&CredentialsError::not_loaded_no_source());
        assert_eq!(none.kind, Kind::Denied);
        assert!(none.words.contains("AWS_SECRET_ACCESS_KEY"), "{none:?}");
    }
}
