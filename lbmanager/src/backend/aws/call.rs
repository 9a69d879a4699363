//! One call to AWS: credentials, its turn, the fence, its deadline, and what
//! became of it.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::{Instant, timeout};

use super::bucket::{Rate, Turns};
use super::credentials::Problem;
use super::error::{Failure, Kind};
use super::{Counters, Credentials, Fence};
use crate::backend::Urgency;

/// An operation.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Its name in the API.
    pub operation: &'static str,
    /// What IAM must allow for it.
    pub action: &'static str,
    /// Whether it changes something.
    pub write: bool,
}

impl Call {
    /// Longer for writes: one that is given up may be done all the same, and
    /// nobody knows.
    fn deadline(&self) -> Duration {
        Duration::from_secs(if self.write { 10 } else { 2 })
    }
}

/// How often one service in one region is called at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls that only ask.
    pub read: Rate,
    /// Calls that change something.
    pub write: Rate,
}

impl Limits {
    /// For load balancers of both versions, each a bucket of its own. Reads:
    /// the example in "Throttling for the Elastic Load Balancing API" of the
    /// API reference. Writes: what aws-load-balancer-controller keeps itself
    /// to for registering and deregistering targets (`pkg/aws/throttle`).
    pub const LOAD_BALANCING: Self = Self {
        read: Rate {
            burst: 40.0,
            per_second: 10.0,
        },
        write: Rate {
            burst: 20.0,
            per_second: 4.0,
        },
    };
}

/// What the calls of one service in one region go through.
pub struct Gate {
    service: &'static str,
    region: String,
    reads: Turns,
    writes: Turns,
    credentials: Credentials,
    counters: Counters,
    fence: Fence,
}

impl Gate {
    pub(super) fn new(
        service: &'static str,
        region: &str,
        limits: Limits,
        credentials: Credentials,
        counters: Counters,
        fence: Fence,
    ) -> Self {
        Self {
            service,
            region: region.to_owned(),
            reads: Turns::new(limits.read),
            writes: Turns::new(limits.write),
            credentials,
            counters,
            fence,
        }
    }

    /// Its region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Makes one attempt. Nothing is sent before `send` is polled, and that is
    /// after the wait for its turn.
    pub fn call<T, E>(
        &self,
        call: &Call,
        urgency: Urgency,
        send: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        T: Send,
        E: ProvideErrorMetadata + Error + Send + 'static,
    {
        // The SDK's futures are large, and would be part of all that wait.
        let send = Box::pin(send);
        async move {
            self.admit(call, urgency).await?;
            let deadline = call.deadline();
            let started = Instant::now();
            let result = match timeout(deadline, send).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(Failure::from_sdk(call, &self.region, &error)),
                Err(_) => Err(Failure::timed_out(call, &self.region, deadline)),
            };
            self.note(call, result.as_ref().err(), started.elapsed());
            result
        }
    }

    async fn admit(&self, call: &Call, urgency: Urgency) -> Result<(), Failure> {
        let credentials = self.credentials.ready().await;
        credentials.map_err(|Problem { kind, words }| self.failure(call, kind, words))?;
        let waited = self.turns(call).wait(urgency).await;
        self.counters.waited(self.service, &self.region, waited);
        if call.write {
            let allowed = (self.fence)();
            allowed
                .map_err(|why| self.failure(call, Kind::Unanswered, format!("not sent: {why}")))?;
        }
        Ok(())
    }

    fn note(&self, call: &Call, failure: Option<&Failure>, took: Duration) {
        let outcome = failure.map_or("ok", |failure| failure.about("").class());
        let operation = (self.service, call.operation);
        self.counters.called(operation, &self.region, outcome, took);
        let Some(failure) = failure else { return };
        if failure.kind == Kind::Throttled {
            self.turns(call).throttled();
        }
        if failure.blames_credentials() {
            self.credentials.refused();
        }
    }

    /// A failure that no error of AWS says.
    pub fn failure(&self, call: &Call, kind: Kind, words: impl Into<String>) -> Failure {
        Failure::own(kind, call, &self.region, words.into())
    }

    fn turns(&self, call: &Call) -> &Turns {
        if call.write {
            &self.writes
        } else {
            &self.reads
        }
    }
}
