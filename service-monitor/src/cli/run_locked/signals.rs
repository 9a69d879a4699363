//! Signals that are passed on to a command.

use std::io;

use futures::future::select_all;
use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Those that people and service managers send. The others mean what they
/// always mean.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Those of them that end who has no use for them.
const LAST: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

/// Signals as they come.
pub(super) struct Signals(Vec<(Signal, Stream)>);

impl Signals {
    /// From now on none of them ends this process.
    pub fn listen() -> io::Result<Self> {
        let streams = PASSED_ON.map(|number| {
            let stream = signal(SignalKind::from_raw(number as i32))?;
            Ok((number, stream))
        });
        streams.into_iter().collect::<io::Result<_>>().map(Self)
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        let streams = self.0.iter_mut().map(|(number, stream)| {
            Box::pin(async move {
                // Signals do not cease to come.
                let _ = stream.recv().await;
                *number
            })
        });
        select_all(streams).await.0
    }

    /// The next one that is to end the process. Cancel-safe.
    pub async fn last(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if LAST.contains(&signal) {
                return signal;
            }
        }
    }
}
