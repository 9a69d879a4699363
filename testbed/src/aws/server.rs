//! From a request to its answer: log, credentials, faults, throttling, the operation.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::calls::{Call, Outcome};
use super::elb;
use super::faults::{Effect, FaultId};
use super::listener::{Answer, Listener};
use super::reply::{self, ApiError};
use super::request::ApiRequest;
use super::shared::Shared;
use super::throttle::Class;
use crate::error::Result;

/// What the caller gets: an answer or, with `None`, a dropped connection.
type Answered = (Outcome, Option<Answer>);

/// The simulator on the network, gone when dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) listener: Listener,
    /// Calls in flight end when this is dropped.
    _running: watch::Sender<()>,
}

impl Server {
    pub(super) async fn start(shared: Arc<Shared>) -> Result<Self> {
        let (running, stop) = watch::channel(());
        let listener = Listener::start(move |parts, body| {
            serve(Arc::clone(&shared), stop.clone(), parts, body)
        });
        Ok(Self {
            listener: listener.await?,
            _running: running,
        })
    }
}

/// Runs each call as a task of its own: like AWS, it goes on when the caller goes away.
async fn serve(
    shared: Arc<Shared>,
    mut stop: watch::Receiver<()>,
    parts: Parts,
    body: Bytes,
) -> Option<Answer> {
    let request = ApiRequest::parse(&parts, &body);
    let seq = shared.write(|world| {
        world.last_call += 1;
        world.calls.push(Call::new(world.last_call, &request));
        world.last_call
    });
    let (mut caller, answered) = oneshot::channel();
    tokio::spawn(async move {
        let (outcome, answer) = tokio::select! {
            answered = answer(&shared, &request, seq, &mut caller) => answered,
            _ = stop.changed() => return,
        };
        let outcome = if caller.is_closed() {
            Outcome::Abandoned
        } else {
            outcome
        };
        // Before the answer, so that whoever has the answer finds it in the log.
        shared.write(|world| world.finish(seq, outcome));
        let _ = caller.send(answer);
    });
    answered.await.ok().flatten()
}

async fn answer(
    shared: &Shared,
    request: &ApiRequest,
    seq: u64,
    caller: &mut oneshot::Sender<Option<Answer>>,
) -> Answered {
    if let Err(error) = authenticate(shared, request) {
        return failed(seq, &error);
    }
    let befallen = shared.write(|world| world.faults.befall(request));
    match befallen {
        None => carry_out(shared, request, seq),
        Some((_, Effect::Delay(delay))) => {
            sleep(delay).await;
            carry_out(shared, request, seq)
        }
        Some((_, Effect::DelayEach(delay))) => {
            let count = shared.read(|world| elb::page_of(&world.elb, request).len());
            sleep(delay * u32::try_from(count).unwrap_or(u32::MAX)).await;
            carry_out(shared, request, seq)
        }
        Some((id, Effect::Hang)) => tokio::select! {
            () = released(shared, id) => carry_out(shared, request, seq),
            () = caller.closed() => (Outcome::Abandoned, None),
        },
        Some((_, effect)) => {
            if matches!(effect, Effect::ApplyThenFail | Effect::ApplyThenDrop) {
                carry_out(shared, request, seq);
            }
            effect
                .error()
                .map_or((Outcome::Dropped, None), |error| failed(seq, &error))
        }
    }
}

async fn released(shared: &Shared, id: FaultId) {
    shared
        .wait_for(|| (!shared.read(|world| world.faults.contains(id))).then_some(()))
        .await;
}

fn authenticate(shared: &Shared, request: &ApiRequest) -> Result<(), ApiError> {
    let Some(writer) = &request.writer else {
        return Err(ApiError::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ));
    };
    let accepted = |keys: &std::collections::BTreeSet<String>| keys.contains(writer);
    if shared.read(|world| world.access_keys.as_ref().is_none_or(accepted)) {
        return Ok(());
    }
    let message = "The security token included in the request is invalid.";
    Err(ApiError::new(403, "InvalidClientTokenId", message))
}

fn carry_out(shared: &Shared, request: &ApiRequest, seq: u64) -> Answered {
    let class = if request.is_write() {
        Class::Write
    } else {
        Class::Describe
    };
    let result = shared.write(|world| {
        let now = Instant::now();
        if !world.throttles.admit(&request.region, class, now) {
            return Err(ApiError::throttling());
        }
        let result = match request.version.as_str() {
            elb::VERSION => elb::call(&mut world.elb, request, now, seq),
            other => Err(ApiError::new(
                400,
                "InvalidAction",
                format!("There is no API of version {other}."),
            )),
        }?;
        world.applied(seq);
        Ok(result)
    });
    match result {
        Ok(answer) => (Outcome::Ok, Some(answer)),
        Err(error) => failed(seq, &error),
    }
}

fn failed(seq: u64, error: &ApiError) -> Answered {
    (
        Outcome::Error(error.code.to_owned()),
        Some(reply::failure(elb::NAMESPACE, seq, error)),
    )
}
