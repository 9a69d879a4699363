//! A service manager's notification socket, as `sd_notify` sees it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::error::{Error, Result};
use crate::wait::TimedOut;

/// Larger than what systemd takes.
const DATAGRAM: usize = 64 * 1024;

/// One assignment out of a notification, such as `READY=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// When its datagram was read.
    pub at: Instant,
    /// Assignments sent together have the same number here.
    pub datagram: usize,
    /// The assignment.
    pub state: String,
}

/// A socket to pass to a program under test as `NOTIFY_SOCKET`.
#[derive(Debug)]
pub struct NotifySocket {
    path: PathBuf,
    received: Arc<Mutex<Vec<Notification>>>,
    changed: watch::Receiver<()>,
    reader: JoinHandle<()>,
    _directory: TempDir,
}

impl NotifySocket {
    /// Makes one in a directory of its own, and begins to read.
    pub fn bind() -> Result<Self> {
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).map_err(Error::io("bind", &path))?;
        let received = Arc::default();
        let (change, changed) = watch::channel(());
        let reader = tokio::spawn(read(socket, Arc::clone(&received), change));
        Ok(Self {
            path,
            received,
            changed,
            reader,
            _directory: directory,
        })
    }

    /// The environment variable for the program under test.
    pub fn env(&self) -> (&'static str, String) {
        ("NOTIFY_SOCKET", self.path.display().to_string())
    }

    /// All assignments received so far.
    pub fn received(&self) -> Vec<Notification> {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The text of the latest `STATUS=`.
    pub fn status(&self) -> Option<String> {
        let received = self.received();
        received
            .iter()
            .rev()
            .find_map(|n| n.state.strip_prefix("STATUS=").map(str::to_owned))
    }

    /// Waits for an assignment that `wanted` is true of, and gives the first; one received before
    /// counts.
    pub async fn wait_for(
        &self,
        mut wanted: impl FnMut(&str) -> bool,
        deadline: Duration,
    ) -> Result<Notification, TimedOut> {
        let mut changed = self.changed.clone();
        let found = async {
            loop {
                changed.mark_unchanged();
                let found = self.received().into_iter().find(|n| wanted(&n.state));
                match found {
                    Some(found) => return found,
                    None if changed.changed().await.is_err() => std::future::pending().await,
                    None => {}
                }
            }
        };
        timeout(deadline, found).await.map_err(|_| {
            let states: Vec<String> = self.received().into_iter().map(|n| n.state).collect();
            TimedOut {
                what: "a notification".to_owned(),
                deadline,
                last: format!("{states:?}"),
            }
        })
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(
    socket: UnixDatagram,
    received: Arc<Mutex<Vec<Notification>>>,
    change: watch::Sender<()>,
) {
    let mut buffer = vec![0; DATAGRAM];
    let mut datagram = 0;
    while let Ok(length) = socket.recv(&mut buffer).await {
        let at = Instant::now();
        let text = String::from_utf8_lossy(&buffer[..length]);
        let states = text.lines().map(|state| Notification {
            at,
            datagram,
            state: state.to_owned(),
        });
        received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(states);
        datagram += 1;
        change.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn assignments_arrive_in_order() {
        let socket = NotifySocket::bind().unwrap();
        let (name, path) = socket.env();
        assert_eq!(name, "NOTIFY_SOCKET");
        let sender = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let early = socket
            .wait_for(|state| state == "READY=1", Duration::from_millis(20))
            .await;
        assert!(early.is_err());
        sender.send_to(b"READY=1\nSTATUS=first", &path).unwrap();
        sender.send_to(b"STATUS=second\n", &path).unwrap();
        let deadline = Duration::from_secs(5);
        let ready = socket
            .wait_for(|state| state == "READY=1", deadline)
            .await
            .unwrap();
        let second = socket
            .wait_for(|state| state == "STATUS=second", deadline)
            .await
            .unwrap();
        assert_eq!((ready.datagram, second.datagram), (0, 1));
        assert_eq!(socket.received().len(), 3);
        assert_eq!(socket.status().as_deref(), Some("second"));
    }
}
