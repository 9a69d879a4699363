//! The log of all calls, answered or not.

use std::ops::Deref;
use std::time::SystemTime;

use tokio::time::Instant;

use super::request::{self, ApiRequest};

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not answered yet.
    Pending,
    /// Answered with success.
    Ok,
    /// Answered with an error of this code.
    Error(String),
    /// The connection was dropped instead of an answer.
    Dropped,
    /// The caller had gone away before the answer.
    Abandoned,
}

/// One call, as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    /// Counts from 1, never reused.
    pub seq: u64,
    /// Such as `DescribeLoadBalancers`.
    pub operation: String,
    /// The region it is signed for.
    pub region: String,
    /// All load balancers it names.
    pub load_balancers: Vec<String>,
    /// Where the page that it asks for begins, if not at the start.
    pub marker: Option<String>,
    /// All instances it names.
    pub instances: Vec<String>,
    /// The access key it is signed with.
    pub writer: Option<String>,
    /// When it says it was signed.
    pub signed_at: Option<SystemTime>,
    /// When it arrived, by tokio's clock.
    pub arrived: Instant,
    /// When it arrived, by the wall clock.
    pub arrived_wall: SystemTime,
    /// When it was answered or given up, by tokio's clock.
    pub answered: Option<Instant>,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it was carried out, whatever was answered.
    pub applied: bool,
}

impl Call {
    pub(super) fn new(seq: u64, request: &ApiRequest) -> Self {
        Self {
            seq,
            operation: request.operation.clone(),
            region: request.region.clone(),
            load_balancers: request.load_balancers(),
            marker: request.get("Marker").map(str::to_owned),
            instances: request.instances(),
            writer: request.writer.clone(),
            signed_at: request.signed_at,
            arrived: Instant::now(),
            arrived_wall: SystemTime::now(),
            answered: None,
            outcome: Outcome::Pending,
            applied: false,
        }
    }

    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        request::is_write(&self.operation)
    }

    /// Whether it was answered with success.
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// The code of the error it was answered with.
    pub fn error(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Error(code) => Some(code),
            _ => None,
        }
    }
}

/// Calls in the order of their arrival; a slice of them in all else.
#[derive(Debug, Clone, Default)]
pub struct Calls(pub(super) Vec<Call>);

impl Calls {
    /// Those that `wanted` is true of.
    #[must_use]
    pub fn matching(mut self, wanted: impl FnMut(&Call) -> bool) -> Self {
        self.0.retain(wanted);
        self
    }

    /// Those of one operation.
    #[must_use]
    pub fn of(self, operation: &str) -> Self {
        self.matching(|call| call.operation == operation)
    }

    /// Those that change something.
    #[must_use]
    pub fn writes(self) -> Self {
        self.matching(Call::is_write)
    }

    /// Those that only ask.
    #[must_use]
    pub fn describes(self) -> Self {
        self.matching(|call| !call.is_write())
    }

    /// Those in one region.
    #[must_use]
    pub fn in_region(self, region: &str) -> Self {
        self.matching(|call| call.region == region)
    }

    /// Those that name one load balancer.
    #[must_use]
    pub fn to(self, load_balancer: &str) -> Self {
        self.matching(|call| call.load_balancers.iter().any(|name| name == load_balancer))
    }

    /// Those that name one instance.
    #[must_use]
    pub fn with_instance(self, instance: &str) -> Self {
        self.matching(|call| call.instances.iter().any(|id| id == instance))
    }

    /// Those signed with one access key.
    #[must_use]
    pub fn by(self, writer: &str) -> Self {
        self.matching(|call| call.writer.as_deref() == Some(writer))
    }

    /// Those that were carried out.
    #[must_use]
    pub fn applied(self) -> Self {
        self.matching(|call| call.applied)
    }
}

impl Deref for Calls {
    type Target = [Call];

    fn deref(&self) -> &[Call] {
        &self.0
    }
}

impl IntoIterator for Calls {
    type Item = Call;
    type IntoIter = std::vec::IntoIter<Call>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
