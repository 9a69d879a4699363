//! Reads what a container writes until it has ended.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use presence::process::backoff::Backoff;
use presence::process::shutdown::Shutdown;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::last::LastLines;
use super::lines::{Line, Lines};
use super::sink::Sink;
use super::writer::Writer;
use crate::runtime::{ContainerRuntime, Ours, RuntimeError, State};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Who follows and sees a line so long after it was written has fallen behind. Docker would have to
/// take 200 MB a second to be ahead by a file of its log.
const LATE: SignedDuration = SignedDuration::from_millis(250);
/// To read all that is there anew Docker goes through the whole of its log.
const LATE_PAUSE: Duration = Duration::from_millis(500);
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
    /// It is to be read on.
    Again,
    /// The same, but others write faster than it is read.
    Late,
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
    /// stop it hands on what is there and ends, after 5 s in any case. A process that is to end still
    /// wants the output of its container, so this is not its own shutdown.
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
            let result = self.read(stopping).await;
            let mut pause = self.backoff.failed();
            match result {
                Read::End => break,
                _ if stopping => return,
                Read::Again => {}
                Read::Late => pause = LATE_PAUSE,
                Read::Failed(why, true) if self.is_hopeless(&why) => {
                    return error!("{}: the end of its output is lost: {why}", self.ours);
                }
                Read::Failed(why, _) => self.complain(&why),
            }
            // Both arms are cancel-safe. Who is told to stop reads once more what is there.
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

    /// Reads what is there, and then what comes. There is no more to come where the container had
    /// ended before: Docker says so only after it has taken all output.
    async fn read(&mut self, stopping: bool) -> Read {
        let has_ended = match self.runtime.inspect(self.ours).await {
            Ok(None) => return Read::End,
            Ok(Some(container)) => !container.is_up() && container.state != State::Created,
            Err(why) => return Read::Failed(why, false),
        };
        let mut result = self.read_frames(false).await;
        if matches!(result, Ok(Read::Again)) && !has_ended && !stopping {
            result = self.read_frames(true).await;
        }
        match result {
            Ok(Read::Again) if has_ended => Read::End,
            Ok(read) => read,
            Err(RuntimeError::Gone { .. }) => Read::End,
            Err(why) => Read::Failed(why, has_ended),
        }
    }

    /// Until the answer ends, and what follows until it is to stop or has fallen behind.
    async fn read_frames(&mut self, follow: bool) -> Result<Read, RuntimeError> {
        let position = self.lines.position();
        self.lines = Lines::resume(position);
        let mut frames = self.runtime.logs(self.ours, position.since, follow);
        loop {
            // Both arms are cancel-safe: a stream keeps what it was not asked for.
            let next = tokio::select! {
                biased;
                () = self.stop.triggered(), if follow => None,
                next = frames.next() => next,
            };
            let Some(frame) = next.transpose()? else {
                return Ok(Read::Again);
            };
            let Some(line) = self.lines.push(&frame) else {
                continue;
            };
            let age = Timestamp::now().duration_since(line.time);
            self.take(line).await;
            if follow && age > LATE {
                return Ok(Read::Late);
            }
        }
    }

    async fn take(&mut self, line: Line) {
        if std::mem::take(&mut self.complained) {
            info!("{}: its output is read again", self.ours);
        }
        self.backoff.succeeded();
        self.hand_on(line).await;
    }

    async fn hand_on(&self, line: Line) {
        self.last.push(&line.bytes);
        self.writer.push(line).await;
    }
}
