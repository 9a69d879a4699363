//! Reads what a container writes until it has ended.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use presence::process::backoff::Backoff;
use presence::process::shutdown::Shutdown;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::last::LastLines;
use super::lines::{Line, Lines};
use super::sink::Sink;
use super::writer::Writer;
use crate::runtime::{ContainerRuntime, Frame, Ours, RuntimeError, State};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What was written before it was told to stop is there when so long nothing came.
const QUIET: Duration = Duration::from_millis(200);
/// So long after it was told to stop it ends in any case.
const DRAIN: Duration = Duration::from_secs(5);
/// So often Docker may fail to give the output of a container that has ended.
const ATTEMPTS: u32 = 8;

/// Hands on the output of one container.
#[derive(Debug)]
pub struct Follower<R> {
    runtime: R,
    ours: Ours,
    state_dir: PathBuf,
    sink: Sink,
    last: LastLines,
}

/// How one attempt to read went.
enum Read {
    /// There is no more to come.
    End,
    /// It was told to stop, and what was there is read.
    Stopped,
    /// The answer ended, and the container may not have.
    Again,
    /// Docker did not give it; whether the container has ended.
    Failed(RuntimeError, bool),
}

impl<R: ContainerRuntime> Follower<R> {
    /// For this container, which exists. Where it is, is kept in the state directory, which exists
    /// too; see [`forget`](super::forget).
    pub fn new(runtime: R, ours: Ours, state_dir: &Path, sink: Sink) -> Self {
        Self {
            runtime,
            ours,
            state_dir: state_dir.to_owned(),
            sink,
            last: LastLines::default(),
        }
    }

    /// The last lines that were read.
    pub fn last_lines(&self) -> LastLines {
        self.last.clone()
    }

    /// Goes on until the container has ended, or is gone, and all that it wrote is handed on; while
    /// Docker is away, and while nobody takes the lines, it waits: bound that by the stop. Told to
    /// stop it ends with the container if that has ended, else once nothing came for 0.2 s, and after
    /// 5 s in any case. A process that is to end still wants the output of its container, so this is
    /// not its own shutdown.
    ///
    /// When it is dropped, what was read already is still handed on, by a thread of its own, and
    /// who follows the same container next waits for that.
    pub async fn run(self, stop: Shutdown) {
        let name = self.ours.name().to_owned();
        let mut following = pin!(self.follow(&stop));
        // Both arms are cancel-safe: the first goes on below.
        tokio::select! {
            biased;
            () = &mut following => return,
            () = stop.triggered() => {}
        }
        if timeout(DRAIN, following).await.is_err() {
            warn!("{name}: not all of its output was taken in {DRAIN:?}; the rest comes later");
        }
    }

    async fn follow(self, stop: &Shutdown) {
        let Self {
            runtime,
            ours,
            state_dir,
            sink,
            last,
        } = self;
        let started = Writer::start(sink, state_dir, &ours).await;
        let (writer, position) = match started {
            Ok(started) => started,
            Err(error) => return error!("{ours}: its output is not handed on: {error}"),
        };
        let mut reader = Reader {
            runtime: &runtime,
            ours: &ours,
            stop,
            writer: &writer,
            last: &last,
            lines: Lines::resume(position),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            complained: false,
        };
        reader.run().await;
        writer.finish().await;
    }
}

struct Reader<'a, R> {
    runtime: &'a R,
    ours: &'a Ours,
    stop: &'a Shutdown,
    writer: &'a Writer,
    last: &'a LastLines,
    lines: Lines,
    /// Starts over with each line.
    backoff: Backoff,
    complained: bool,
}

impl<R: ContainerRuntime> Reader<'_, R> {
    async fn run(&mut self) {
        loop {
            let stopping = self.stop.is_triggered();
            let result = self.read().await;
            let pause = self.backoff.failed();
            match result {
                Read::End => break,
                Read::Stopped => return,
                // Who is told to stop asks once more, for it may have ended; and does not wait.
                Read::Again | Read::Failed(..) if stopping => return,
                Read::Again => {}
                Read::Failed(why, true) if self.is_hopeless(&why) => {
                    return error!("{}: the end of its output is lost: {why}", self.ours);
                }
                Read::Failed(why, _) => self.complain(&why),
            }
            // Both arms are cancel-safe.
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stop.triggered() => {}
            }
        }
        for line in self.lines.finish() {
            self.hand_on(line).await;
        }
    }

    /// Once, until it is read again.
    fn complain(&mut self, why: &RuntimeError) {
        if !self.complained {
            warn!("{}: its output cannot be read, and waits: {why}", self.ours);
        }
        self.complained = true;
    }

    fn is_hopeless(&self, why: &RuntimeError) -> bool {
        !why.may_pass() && self.backoff.failures() >= ATTEMPTS
    }

    /// Reads on until the answer ends. That there is no more to come is known where the container
    /// had ended before it was asked for: Docker says so only after it has taken all output.
    async fn read(&mut self) -> Read {
        let has_ended = match self.runtime.inspect(self.ours).await {
            Ok(None) => return Read::End,
            Ok(Some(container)) => !container.is_up() && container.state != State::Created,
            Err(why) => return Read::Failed(why, false),
        };
        self.lines = Lines::resume(self.lines.position());
        let mut frames = self.runtime.logs(self.ours, self.lines.position().since);
        loop {
            match self.next(&mut frames, has_ended).await {
                None => return Read::Stopped,
                Some(None) if has_ended => return Read::End,
                Some(None) => return Read::Again,
                Some(Some(Ok(frame))) => self.take(&frame).await,
                Some(Some(Err(RuntimeError::Gone { .. }))) => return Read::End,
                Some(Some(Err(why))) => return Read::Failed(why, has_ended),
            }
        }
    }

    /// What comes next, which may be the end of the answer; `None` where it is to stop, and a
    /// container that has not ended seems to have written no more.
    async fn next(
        &self,
        frames: &mut BoxStream<'static, Result<Frame, RuntimeError>>,
        has_ended: bool,
    ) -> Option<Option<Result<Frame, RuntimeError>>> {
        let quiet = async {
            self.stop.triggered().await;
            sleep(QUIET).await;
        };
        // Both arms are cancel-safe: a stream keeps what it was not asked for.
        tokio::select! {
            biased;
            next = frames.next() => Some(next),
            () = quiet, if !has_ended => None,
        }
    }

    async fn take(&mut self, frame: &Frame) {
        if let Some(line) = self.lines.push(frame) {
            if std::mem::take(&mut self.complained) {
                info!("{}: its output is read again", self.ours);
            }
            self.backoff.succeeded();
            self.hand_on(line).await;
        }
    }

    async fn hand_on(&self, line: Line) {
        self.last.push(&line.bytes);
        self.writer.push(line).await;
    }
}
