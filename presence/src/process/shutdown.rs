//! The end, as one future handed to everybody.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::thread;

use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

/// What ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Signal(Signal),
    Internal,
}

/// Whether the process is to end. Clones are told together.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<End>);

/// Ends what holds the [`Shutdown`] that was made with it. Dropping it does
/// the same: an end that nobody could trigger any more would never come.
#[derive(Debug)]
pub struct Trigger(watch::Sender<End>);

impl Trigger {
    /// The end has come.
    pub fn trigger(&self) {
        self.end(End::Internal);
    }

    fn end(&self, end: End) {
        self.0.send_if_modified(|now| {
            let first = *now == End::NotYet;
            if first {
                *now = end;
            }
            first
        });
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.trigger();
    }
}

impl Shutdown {
    /// One that is triggered by hand: in tests, and for an end from inside.
    pub fn manual() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(End::NotYet);
        (Trigger(sender), Self(receiver))
    }

    /// One that the first SIGTERM or SIGINT triggers. A second one ends the
    /// process at once, with 128 and the signal's number as exit code.
    ///
    /// To be called once, at the start. A thread of its own waits for the
    /// signals, so that the second one also ends a process that is stuck.
    pub fn from_signals() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (terminate, interrupt) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        let (trigger, shutdown) = Self::manual();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(wait(terminate, interrupt, trigger)))?;
        Ok(shutdown)
    }

    /// Ready once it is triggered, and from then on. Cancel-safe.
    ///
    /// Who is asked after a task has ended for it is ready, too: the channel
    /// wakes one after the other, so whether it is triggered is looked at each
    /// time.
    pub async fn triggered(&self) {
        let mut end = self.0.clone();
        let mut woken = pin!(end.wait_for(|end| *end != End::NotYet));
        poll_fn(|context| {
            if self.is_triggered() {
                return Poll::Ready(());
            }
            // An error means that the trigger is gone, and it triggers as it
            // goes.
            woken.as_mut().poll(context).map(|_| ())
        })
        .await;
    }

    /// Whether it has been triggered.
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow() != End::NotYet
    }

    /// The signal that triggered it, if one did.
    pub fn signal(&self) -> Option<Signal> {
        match *self.0.borrow() {
            End::Signal(signal) => Some(signal),
            End::NotYet | End::Internal => None,
        }
    }
}

async fn wait(mut terminate: Stream, mut interrupt: Stream, trigger: Trigger) {
    let first = next(&mut terminate, &mut interrupt).await;
    info!("{first}: shutting down; a second signal ends the process at once");
    trigger.end(End::Signal(first));
    let second = next(&mut terminate, &mut interrupt).await;
    std::process::exit(128 + second as i32);
}

async fn next(terminate: &mut Stream, interrupt: &mut Stream) -> Signal {
    // Both arms are cancel-safe: a signal that arrived is kept by its stream.
    tokio::select! {
        _ = terminate.recv() => Signal::SIGTERM,
        _ = interrupt.recv() => Signal::SIGINT,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn every_clone_is_told_now_and_later() {
        let (trigger, shutdown) = Shutdown::manual();
        let waiting = shutdown.clone();
        assert!(waiting.triggered().now_or_never().is_none());
        assert!(!shutdown.is_triggered());
        trigger.trigger();
        trigger.trigger();
        waiting.triggered().await;
        shutdown.clone().triggered().await;
        assert!(shutdown.is_triggered());
        assert_eq!(shutdown.signal(), None);
    }

    #[tokio::test]
    async fn whoever_ended_for_it_is_not_seen_to_end_before_it() {
        for _ in 0..2000 {
            let (trigger, shutdown) = Shutdown::manual();
            let mut tasks = JoinSet::new();
            for _ in 0..8 {
                let shutdown = shutdown.clone();
                tasks.spawn(async move { shutdown.triggered().await });
            }
            // All of them wait.
            tokio::task::yield_now().await;
            let triggering = thread::spawn(move || trigger.trigger());
            tokio::select! {
                biased;
                () = shutdown.triggered() => {}
                _ = tasks.join_next() => panic!("it ended for no reason"),
            }
            triggering.join().unwrap();
        }
    }

    #[tokio::test]
    async fn whoever_drops_the_trigger_triggers() {
        let (trigger, shutdown) = Shutdown::manual();
        drop(trigger);
        shutdown.triggered().await;
        assert!(shutdown.is_triggered());
    }

    #[test]
    fn the_first_end_is_the_one_that_counts() {
        let (trigger, shutdown) = Shutdown::manual();
        trigger.end(End::Signal(Signal::SIGINT));
        drop(trigger);
        assert_eq!(shutdown.signal(), Some(Signal::SIGINT));
    }
}
