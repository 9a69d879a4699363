//! What is to go wrong, for whom and how often.

use std::time::Duration;

use super::reply::ApiError;
use super::request::{self, ApiRequest};
use super::shared::Shared;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// 400 Throttling; nothing is changed.
    Throttle,
    /// 500 InternalFailure; nothing is changed.
    InternalFailure,
    /// 503 ServiceUnavailable; nothing is changed.
    ServiceUnavailable,
    /// 403 AccessDenied; nothing is changed.
    AccessDenied,
    /// 403 ExpiredToken; nothing is changed.
    ExpiredToken,
    /// Nothing happens until the fault is removed; then the call goes on, unless the caller has gone
    /// away: then it is never carried out.
    Hang,
    /// The call is carried out and answered so much later, even if the caller has gone away: this is
    /// how a write arrives late.
    Delay(Duration),
    /// A describe is answered so much later for each load balancer in its answer.
    DelayEach(Duration),
    /// The connection is dropped; nothing is changed.
    Drop,
    /// The call is carried out, and then answered with 500: the caller cannot know.
    ApplyThenFail,
    /// The call is carried out, and then the connection is dropped: the caller cannot know.
    ApplyThenDrop,
}

impl Effect {
    pub(super) fn error(self) -> Option<ApiError> {
        match self {
            Self::Throttle => Some(ApiError::throttling()),
            Self::InternalFailure | Self::ApplyThenFail => Some(ApiError::new(
                500,
                "InternalFailure",
                "An internal error occurred.",
            )),
            Self::ServiceUnavailable => Some(ApiError::new(
                503,
                "ServiceUnavailable",
                "The service is unavailable.",
            )),
            Self::AccessDenied => Some(ApiError::new(
                403,
                "AccessDenied",
                "User is not authorized to perform this operation.",
            )),
            Self::ExpiredToken => {
                let message = "The security token included in the request is expired";
                Some(ApiError::new(403, "ExpiredToken", message))
            }
            Self::Hang | Self::Delay(_) | Self::DelayEach(_) | Self::Drop | Self::ApplyThenDrop => {
                None
            }
        }
    }
}

/// A fault for all calls, or for those it is narrowed down to.
#[derive(Debug, Clone)]
pub struct Fault {
    effect: Effect,
    writes_only: bool,
    operation: Option<String>,
    region: Option<String>,
    load_balancer: Option<String>,
    instance: Option<String>,
    writer: Option<String>,
    remaining: Option<u32>,
}

impl Fault {
    /// For all calls, until it is removed.
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            writes_only: false,
            operation: None,
            region: None,
            load_balancer: None,
            instance: None,
            writer: None,
            remaining: None,
        }
    }

    /// Only for calls that change something.
    #[must_use]
    pub fn writes(mut self) -> Self {
        self.writes_only = true;
        self
    }

    /// Only for one operation.
    #[must_use]
    pub fn operation(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Only in one region.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Only for calls that name this load balancer.
    #[must_use]
    pub fn load_balancer(mut self, name: &str) -> Self {
        self.load_balancer = Some(name.to_owned());
        self
    }

    /// Only for calls that name this instance.
    #[must_use]
    pub fn instance(mut self, id: &str) -> Self {
        self.instance = Some(id.to_owned());
        self
    }

    /// Only for calls signed with this access key.
    #[must_use]
    pub fn writer(mut self, access_key: &str) -> Self {
        self.writer = Some(access_key.to_owned());
        self
    }

    /// Only for the next so many calls that it is for.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.remaining = Some(count);
        self
    }

    fn matches(&self, request: &ApiRequest) -> bool {
        let is = |wanted: &Option<String>, seen: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == seen)
        };
        let among = |wanted: &Option<String>, seen: &[String]| {
            wanted.as_ref().is_none_or(|wanted| seen.contains(wanted))
        };
        self.remaining != Some(0)
            && (!self.writes_only || request::is_write(&request.operation))
            && is(&self.operation, &request.operation)
            && is(&self.region, &request.region)
            && is(&self.writer, request.writer.as_deref().unwrap_or_default())
            && among(&self.load_balancer, &request.load_balancers())
            && among(&self.instance, &request.instances())
    }
}

/// Names a fault that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

/// The faults in force; the first that matches a call befalls it.
#[derive(Debug, Default)]
pub(super) struct FaultList {
    next: u64,
    active: Vec<(FaultId, Fault, u32)>,
}

impl FaultList {
    pub(super) fn befall(&mut self, request: &ApiRequest) -> Option<(FaultId, Effect)> {
        let (id, fault, hits) = self
            .active
            .iter_mut()
            .find(|(_, fault, _)| fault.matches(request))?;
        *hits += 1;
        fault.remaining = fault.remaining.map(|count| count - 1);
        Some((*id, fault.effect))
    }

    pub(super) fn contains(&self, id: FaultId) -> bool {
        self.active.iter().any(|(active, _, _)| *active == id)
    }
}

/// Adds and removes faults while the simulator runs.
#[derive(Debug)]
pub struct Faults<'a>(pub(super) &'a Shared);

impl Faults<'_> {
    /// Adds one, behind those there are.
    pub fn add(&self, fault: Fault) -> FaultId {
        self.0.write(|world| {
            let faults = &mut world.faults;
            faults.next += 1;
            let id = FaultId(faults.next);
            faults.active.push((id, fault, 0));
            id
        })
    }

    /// Removes one; what hangs on it goes on.
    pub fn remove(&self, id: FaultId) {
        self.0
            .write(|world| world.faults.active.retain(|(active, _, _)| *active != id));
    }

    /// Removes all; what hangs goes on.
    pub fn clear(&self) {
        self.0.write(|world| world.faults.active.clear());
    }

    /// How many calls a fault has befallen; none once it is removed.
    pub fn hits(&self, id: FaultId) -> u32 {
        self.0.read(|world| {
            let found = world
                .faults
                .active
                .iter()
                .find(|(active, _, _)| *active == id);
            found.map_or(0, |(_, _, hits)| *hits)
        })
    }
}
