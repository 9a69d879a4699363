//! What a program under test writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How many lines of output an error quotes.
const QUOTED: usize = 20;

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// Where it was written to.
    pub stream: Stream,
    /// The line, without its end.
    pub text: String,
}

/// What a process has written, filled by a task for each stream.
#[derive(Debug, Default, Clone)]
pub(super) struct Output {
    lines: Arc<Mutex<Vec<Line>>>,
    pub(super) changed: watch::Sender<()>,
    /// Streams still open: the tasks hold a receiver each.
    open: watch::Sender<()>,
}

impl Output {
    pub(super) fn read(&self, pipe: impl AsyncRead + Unpin + Send + 'static, stream: Stream) {
        let (lines, changed, open) = (
            Arc::clone(&self.lines),
            self.changed.clone(),
            self.open.subscribe(),
        );
        tokio::spawn(async move {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while pipe
                .read_until(b'\n', &mut bytes)
                .await
                .is_ok_and(|length| length > 0)
            {
                let text = String::from_utf8_lossy(&bytes)
                    .trim_end_matches('\n')
                    .to_owned();
                let line = Line {
                    at: Instant::now(),
                    stream,
                    text,
                };
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                changed.send_replace(());
                bytes.clear();
            }
            drop(open);
        });
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until both streams are read to their end; a grandchild may hold them open, hence the
    /// deadline.
    pub(super) async fn ended(&self, deadline: Duration) {
        let _ = timeout(deadline, self.open.closed()).await;
    }

    pub(super) fn tail(&self) -> String {
        let lines = self.lines();
        let last = &lines[lines.len().saturating_sub(QUOTED)..];
        last.iter()
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }
}
