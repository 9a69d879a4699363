//! What a program in a guest writes: kept up to a limit, and passed on as it comes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

/// How much of a stream is kept: the end says what went wrong.
const KEPT: usize = 4 * 1024 * 1024;

/// Called with all that is written, in pieces as they come.
pub(super) type Listener = Box<dyn FnMut(&[u8]) + Send>;

/// One stream, read by a task of its own until its end.
#[derive(Clone)]
pub(super) struct Capture {
    text: Arc<Mutex<Text>>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Text {
    end: VecDeque<u8>,
    lost: u64,
}

impl Capture {
    pub(super) fn new(
        mut pipe: impl AsyncRead + Unpin + Send + 'static,
        mut listener: Option<Listener>,
    ) -> Self {
        let text = Arc::<Mutex<Text>>::default();
        let changed = watch::Sender::new(());
        let (kept, open) = (Arc::clone(&text), changed.subscribe());
        let notify = changed.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
                let bytes = &buffer[..length];
                if let Some(listener) = &mut listener {
                    listener(bytes);
                }
                lock(&kept).add(bytes);
                notify.send_replace(());
            }
            drop(open);
        });
        Self { text, changed }
    }

    /// Waits until the stream is read to its end.
    pub(super) async fn ended(&self) {
        self.changed.closed().await;
    }

    /// For those who wait for more of it.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What was kept of it so far.
    pub(super) fn text(&self) -> String {
        lock(&self.text).to_string()
    }
}

fn lock(text: &Mutex<Text>) -> MutexGuard<'_, Text> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Text {
    fn add(&mut self, bytes: &[u8]) {
        self.end.extend(bytes);
        let excess = self.end.len().saturating_sub(KEPT);
        self.end.drain(..excess);
        self.lost += excess as u64;
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lost > 0 {
            writeln!(f, "[{} bytes before this were not kept]", self.lost)?;
        }
        let (front, back) = self.end.as_slices();
        f.write_str(&String::from_utf8_lossy(&[front, back].concat()))
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capture({} bytes)", lock(&self.text).end.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_much_the_end_is_kept() {
        let mut text = Text::default();
        text.add(b"first");
        assert_eq!(text.to_string(), "first");
        text.add(&vec![b'.'; KEPT]);
        text.add(b"last");
        let told = text.to_string();
        assert!(told.starts_with("[9 bytes before this were not kept]\n..."));
        assert!(told.ends_with("...last"));
        assert_eq!(text.end.len(), KEPT);
    }
}
