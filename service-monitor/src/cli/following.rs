//! A mirror of what a command shows, looked at whenever it changes.

use std::sync::Arc;

use presence::mirror::{Connection, Mirror, Snapshot, View};
use presence::process::exit::Failure;
use presence::process::shutdown::Shutdown;
use presence::store::{KeyRange, Store};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

/// The mirror, and what it shows.
pub(super) struct Following<V> {
    snapshots: watch::Receiver<Option<Arc<Snapshot<V>>>>,
    mirror: JoinHandle<()>,
    pub shutdown: Shutdown,
}

/// Why no more is shown.
pub(super) enum End {
    Shutdown,
    /// Nobody reads it any more.
    Unread,
    Fault(Failure),
}

impl<V: View + Send + Sync + 'static> Following<V> {
    pub fn start<S: Store>(store: S, prefix: &str, empty: V, shutdown: Shutdown) -> Self {
        let (sender, snapshots) = watch::channel(None);
        let mirror = Mirror {
            store,
            range: KeyRange::below(prefix),
            empty,
            replay: std::future::ready(|_: &V| None),
            absorbed: None,
            told: None,
            snapshots: sender,
            connection: watch::Sender::new(Connection::Starting),
            heartbeat: None,
        };
        Self {
            snapshots,
            mirror: tokio::spawn(mirror.run(shutdown.clone())),
            shutdown,
        }
    }

    /// Waits for the next snapshot, or the end.
    pub async fn changed(&mut self) -> Result<(), End> {
        tokio::select! {
            biased;
            // All cancel-safe: what was missed is still there when asked again.
            () = self.shutdown.triggered() => Err(End::Shutdown),
            ended = &mut self.mirror => Err(End::Fault(fault(ended))),
            Ok(()) = self.snapshots.changed() => Ok(()),
        }
    }

    /// The newest; `None` before the first.
    pub fn now(&mut self) -> Option<Arc<Snapshot<V>>> {
        self.snapshots.borrow_and_update().clone()
    }
}

fn fault(ended: Result<(), JoinError>) -> Failure {
    let why = match ended {
        Ok(()) => String::new(),
        Err(error) => format!(": {error}"),
    };
    Failure::unexpected(format!(
        "the mirror of etcd ended{why}; this is a fault of service-monitor"
    ))
}
