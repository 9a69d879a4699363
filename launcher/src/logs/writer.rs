//! The thread that gives lines to the sink, and notes how far it is.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use presence::process::backoff::Backoff;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::{info, warn};

use super::lines::{Line, Position};
use super::position::PositionFile;
use super::sink::Sink;
use crate::runtime::Ours;

/// How much may wait for the sink.
const QUEUE: u32 = 256 << 10;
/// What a short line takes in memory besides its bytes.
const OVERHEAD: usize = 256;
/// It needs little.
const STACK: usize = 256 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The queue to the thread, which ends once this is dropped and all lines are out.
#[derive(Debug)]
pub(super) struct Writer {
    queue: UnboundedSender<Queued>,
    /// What bounds the queue: as many permits as bytes.
    room: Arc<Semaphore>,
    ended: oneshot::Receiver<()>,
}

type Queued = (Line, OwnedSemaphorePermit);

/// What the thread works on.
struct Thread {
    name: String,
    sink: Sink,
    position: Option<PositionFile>,
    lines: UnboundedReceiver<Queued>,
}

impl Writer {
    /// Starts it, and waits until whoever handed on output of this container before is done; and
    /// where to go on.
    pub(super) async fn start(
        sink: Sink,
        state_dir: PathBuf,
        ours: &Ours,
    ) -> io::Result<(Self, Position)> {
        let (queue, lines) = unbounded_channel();
        let (opened, position) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let (name, id) = (ours.name().to_owned(), ours.id().to_owned());
        let work = move || {
            let (file, position) = match PositionFile::open(&state_dir, &name, &id) {
                Ok((file, position)) => (Some(file), position),
                Err(error) => {
                    let directory = state_dir.display();
                    warn!("{name}: output comes from its beginning: {directory}: {error}");
                    (None, Position::default())
                }
            };
            let thread = Thread {
                name,
                sink,
                position: file,
                lines,
            };
            if opened.send(position).is_ok() {
                thread.run();
            }
            let _ = done.send(());
        };
        let thread = thread::Builder::new().name("output".to_owned());
        thread.stack_size(STACK).spawn(work)?;
        let room = Arc::new(Semaphore::new(QUEUE as usize));
        let position = position.await.map_err(io::Error::other)?;
        Ok((Self { queue, room, ended }, position))
    }

    /// Queues a line once there is room. Cancel-safe: then it is not queued.
    pub(super) async fn push(&self, line: Line) {
        let size = u32::try_from(line.bytes.len() + OVERHEAD).unwrap_or(QUEUE);
        let room = Arc::clone(&self.room).acquire_many_owned(size.min(QUEUE));
        let room = room.await.expect("it is never closed");
        // The thread ends by a panic only, and then so does the process.
        let _ = self.queue.send((line, room));
    }

    /// Waits until all lines are out.
    pub(super) async fn finish(self) {
        drop(self.queue);
        let _ = self.ended.await;
    }
}

impl Thread {
    fn run(mut self) {
        while let Some((line, _room)) = self.lines.blocking_recv() {
            self.give(&line);
            if let Some(position) = &mut self.position {
                position.write(line.after);
            }
        }
    }

    /// Until it is taken: a disk that is full and a journal that is away are no reason to lose it.
    fn give(&mut self, line: &Line) {
        let (name, stream) = (&self.name, line.stream);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Err(error) = self.sink.give(line) {
            let pause = backoff.failed();
            if backoff.failures() == 1 {
                warn!("{name}: its {stream} cannot be handed on, and waits: {error}");
            }
            thread::sleep(pause);
        }
        if backoff.failures() > 0 {
            info!("{name}: its {stream} is handed on again");
        }
    }
}
