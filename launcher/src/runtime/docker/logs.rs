//! What a container writes, read.

use std::time::Duration;

use bollard::query_parameters::{InspectContainerOptions, LogsOptions, LogsOptionsBuilder};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::failure::{Doing, is_missing, server_error};
use super::frames::{self, Terminal};
use super::{DockerRuntime, Error};
use crate::runtime::{Frame, Ours, RuntimeError};

const VERB: &str = "give the output of";
/// Docker 20.10 does not begin to answer before there is something to tell, which may never be.
const ANSWER: Duration = Duration::MAX;

type Frames = BoxStream<'static, Result<Frame, RuntimeError>>;

impl DockerRuntime {
    pub(super) async fn frames(
        self,
        ours: &Ours,
        since: Option<Timestamp>,
        follow: bool,
    ) -> Result<Frames, RuntimeError> {
        let client = self.client().await?;
        let inspected = client.inspect_container(ours.id(), None::<InspectContainerOptions>);
        let failing = (self.clone(), ours.clone());
        let failed = move |error| failing.0.not_given(&failing.1, error);
        let config = inspected.await.map_err(&failed)?.config;
        let output = client
            .with_timeout(ANSWER)
            .logs(ours.id(), Some(options(since, follow)));
        let output = output.map_err(failed);
        let name = ours.name().to_owned();
        let unexpected = move |answer| RuntimeError::Refused {
            doing: format!("{VERB} {name}"),
            answer,
        };
        if config.and_then(|config| config.tty) != Some(true) {
            let frame = move |output| frames::apart(output).map_err(&unexpected);
            return Ok(output.map(move |output| frame(output?)).boxed());
        }
        // The last item is the end, which may complete a frame.
        let output = output.map_ok(Some).chain(stream::iter([Ok(None)]));
        let mut terminal = Terminal::default();
        let frames = output.map(move |output| {
            let frames = match output? {
                Some(output) => terminal.push(&output),
                None => std::mem::take(&mut terminal).finish(),
            };
            let frames = frames.map_err(&unexpected)?;
            Ok(stream::iter(frames.into_iter().map(Ok)))
        });
        Ok(frames.try_flatten().boxed())
    }

    fn not_given(&self, ours: &Ours, error: Error) -> RuntimeError {
        // 409: somebody is removing it.
        if is_missing(&error) || server_error(&error, 409).is_some() {
            let container = ours.to_string();
            return RuntimeError::Gone { container };
        }
        self.failed(Doing::Other(VERB, ours.name()), error)
    }
}

fn options(since: Option<Timestamp>, follow: bool) -> LogsOptions {
    let since = since.map_or(0, |since| since.as_second().max(0));
    LogsOptionsBuilder::new()
        .follow(follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(i32::try_from(since).unwrap_or(i32::MAX))
        .build()
}
