//! The connection to one endpoint of several, made when it is needed and
//! given up when it fails.
//!
//! etcd-client's own balancer picks among its endpoints by lot, those that
//! are down included. Here every endpoint is asked how it is, the first good
//! answer wins, and the others are dropped.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{Client, Error};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

use super::config::{Checked, Endpoint, wrong};
use super::failure::{Failure, asks_for_no_user};
use super::listing::PageKeys;
use crate::model::LeaseId;
use crate::store::StoreError;

/// How long a request may take.
pub const REQUEST: Duration = Duration::from_secs(5);

/// The endpoint that is talked to.
#[derive(Clone)]
pub(super) struct Member {
    pub client: Arc<Client>,
    pub place: Arc<str>,
    serial: u64,
}

/// Which endpoint is talked to, if any.
pub(super) struct Connection {
    config: Checked,
    pub page_keys: PageKeys,
    current: Mutex<Current>,
    /// Held while connecting, so that one does it for all who wait; holds how
    /// that failed last.
    dialing: tokio::sync::Mutex<Option<(Instant, StoreError)>>,
}

#[derive(Default)]
struct Current {
    serial: u64,
    member: Option<Member>,
}

impl Connection {
    /// Nothing is sent before the first call.
    pub async fn new(config: Checked) -> Result<Self, StoreError> {
        for endpoint in &config.endpoints {
            let unusable = |error: Error| {
                let Failure::Unavailable(reason) = Failure::from(error) else {
                    return wrong(endpoint.as_str());
                };
                wrong(format!("endpoint {}: {reason}", endpoint.as_str()))
            };
            Client::connect([endpoint.as_str()], Some(config.options(endpoint)))
                .await
                .map_err(unusable)?;
        }
        Ok(Self {
            config,
            page_keys: PageKeys::default(),
            current: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
        })
    }

    pub fn places(&self) -> String {
        self.config.places()
    }

    /// One request, with its time limit.
    pub async fn call<T, F>(
        &self,
        subject: &str,
        lease: Option<LeaseId>,
        operation: impl Fn(Arc<Client>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.call_member(subject, lease, |member| operation(member.client))
            .await
    }

    /// As [`Self::call`], told which member it goes to. It is sent a second
    /// time only if the first one certainly was not carried out: nobody
    /// listened there, or the token had to be renewed.
    pub async fn call_member<T, F>(
        &self,
        subject: &str,
        lease: Option<LeaseId>,
        operation: impl Fn(Member) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let member = self.member().await?;
        let failure = match self.attempt(&member, operation(member.clone())).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if !matches!(failure, Failure::NobodyThere(_)) && !self.renewable(&failure) {
            return Err(failure.at(&member.place, subject, lease));
        }
        let member = self.member().await?;
        self.attempt(&member, operation(member.clone()))
            .await
            .map_err(|failure| failure.at(&member.place, subject, lease))
    }

    fn renewable(&self, failure: &Failure) -> bool {
        self.config.user.is_some() && matches!(failure, Failure::StaleToken(_))
    }

    async fn attempt<T>(
        &self,
        member: &Member,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let answer = timeout(REQUEST, Box::pin(request))
            .await
            .unwrap_or_else(|_| Err(Failure::timed_out(REQUEST)));
        if let Err(failure) = &answer {
            self.failed(member, failure);
        }
        answer
    }

    /// Gives the member up if the failure is the connection's or the token's.
    pub fn failed(&self, member: &Member, failure: &Failure) {
        let gives_up = matches!(
            failure,
            Failure::Unavailable(_) | Failure::NobodyThere(_) | Failure::StaleToken(_)
        );
        let mut current = self.current();
        if gives_up && current.serial == member.serial {
            tracing::debug!(endpoint = %member.place, ?failure, "leaving this etcd endpoint");
            current.member = None;
        }
    }

    /// The member that is talked to; connects if there is none.
    async fn member(&self) -> Result<Member, StoreError> {
        let asked = Instant::now();
        if let Some(member) = self.current().member.clone() {
            return Ok(member);
        }
        let mut dialing = self.dialing.lock().await;
        if let Some(member) = self.current().member.clone() {
            return Ok(member);
        }
        if let Some((at, error)) = &*dialing
            && *at > asked
        {
            return Err(error.clone());
        }
        match Box::pin(self.dial()).await {
            Ok((client, place)) => Ok(self.current().set(client, place)),
            Err(error) => {
                *dialing = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<(Client, Arc<str>), StoreError> {
        let (client, endpoint) = self.first_to_answer().await?;
        let client = self.authenticated(client, endpoint).await?;
        Ok((client, Arc::from(endpoint.as_str())))
    }

    async fn first_to_answer(&self) -> Result<(Client, &Endpoint), StoreError> {
        let endpoints = self.config.endpoints.iter();
        let mut probes: FuturesUnordered<_> = endpoints
            .map(|endpoint| async move { (endpoint, self.probe(endpoint).await) })
            .collect();
        let mut reasons = Vec::new();
        while let Some((endpoint, answer)) = probes.next().await {
            match answer {
                Ok(client) => return Ok((client, endpoint)),
                Err(failure) => reasons.push((endpoint, failure)),
            }
        }
        Err(self.nobody_answers(&reasons))
    }

    fn nobody_answers(&self, reasons: &[(&Endpoint, Failure)]) -> StoreError {
        let reason = |failure: &Failure| match failure {
            Failure::Unavailable(reason)
            | Failure::NobodyThere(reason)
            | Failure::Rejected(reason) => reason.clone(),
            other => format!("{other:?}"),
        };
        let reason = match reasons {
            [(_, failure)] => reason(failure),
            many => {
                let each = many.iter().map(|(endpoint, failure)| {
                    format!("{}: {}", endpoint.as_str(), reason(failure))
                });
                // In one order, whoever was first to fail.
                let mut each: Vec<String> = each.collect();
                each.sort();
                each.join("; ")
            }
        };
        StoreError::Unavailable {
            endpoints: self.places(),
            reason,
        }
    }

    /// A connection that has proved to be good: somebody answers who knows a
    /// leader and may serve us.
    async fn probe(&self, endpoint: &Endpoint) -> Result<Client, Failure> {
        let wait = self.config.dial_timeout;
        let probe = async {
            let options = self.config.options(endpoint);
            let mut client = Client::connect([endpoint.as_str()], Some(options)).await?;
            match client.status().await.map_err(Failure::from) {
                Ok(status) if status.is_learner() => Err(Failure::Unavailable(
                    "it is a learner, which serves nobody yet".to_owned(),
                )),
                // Somebody who wants to know us first is there all the same.
                Ok(_) | Err(Failure::StaleToken(_) | Failure::Denied(_)) => Ok(client),
                Err(failure) => Err(failure),
            }
        };
        timeout(wait, probe)
            .await
            .unwrap_or_else(|_| Err(Failure::timed_out(wait)))
            .map_err(|failure| failure.at_first_contact(endpoint.is_tls()))
    }

    async fn authenticated(
        &self,
        mut client: Client,
        endpoint: &Endpoint,
    ) -> Result<Client, StoreError> {
        let Some((user, password)) = &self.config.user else {
            return Ok(client);
        };
        let login = (user.clone(), password.expose().to_owned());
        let failure = match timeout(REQUEST, client.update_user(Some(login))).await {
            Ok(Ok(())) => return Ok(client),
            // etcdctl takes it so, too: a user is no harm where none is needed.
            Ok(Err(error)) if asks_for_no_user(&error) => return Ok(client),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::timed_out(REQUEST),
        };
        Err(failure.at(endpoint.as_str(), &format!("user {user}"), None))
    }
}

impl Current {
    fn set(&mut self, client: Client, place: Arc<str>) -> Member {
        self.serial += 1;
        let member = Member {
            client: Arc::new(client),
            place,
            serial: self.serial,
        };
        self.member = Some(member.clone());
        member
    }
}
