//! All the simulator knows, and who is told when it changes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::calls::{Call, Outcome};
use super::elb::Elb;
use super::faults::FaultList;
use super::throttle::Throttles;

/// Everything but the network.
#[derive(Debug, Default)]
pub(super) struct World {
    pub elb: Elb,
    pub faults: FaultList,
    pub throttles: Throttles,
    /// Accepted ones; `None` accepts all.
    pub access_keys: Option<BTreeSet<String>>,
    pub calls: Vec<Call>,
    pub last_call: u64,
}

impl World {
    /// Notes what became of a call; calls cleared from the log in the meantime are overlooked.
    pub(super) fn finish(&mut self, seq: u64, outcome: Outcome) {
        if let Some(call) = self.call(seq) {
            call.outcome = outcome;
            call.answered = Some(Instant::now());
        }
    }

    pub(super) fn applied(&mut self, seq: u64) {
        if let Some(call) = self.call(seq) {
            call.applied = true;
        }
    }

    fn call(&mut self, seq: u64) -> Option<&mut Call> {
        self.calls.iter_mut().rev().find(|call| call.seq == seq)
    }
}

/// The world behind its lock.
#[derive(Debug, Default)]
pub(super) struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<()>,
}

impl Shared {
    pub(super) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.elb.settle(Instant::now());
        look(&world)
    }

    /// As [`Shared::read`], and tells all who wait.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.elb.settle(Instant::now());
        let result = change(&mut world);
        drop(world);
        self.changed.send_replace(());
        result
    }

    /// Waits until `look` gives something. It is asked again after each change, and when something
    /// is due by the clock.
    pub(super) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = look() {
                return found;
            }
            let due = self.read(|world| world.elb.next_due(Instant::now()));
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            // The sender is borrowed from `self`, so the wait cannot fail.
            tokio::select! {
                _ = changed.changed() => {}
                () = due => {}
            }
        }
    }
}
