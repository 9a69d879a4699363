//! The place that the semaphore guards, which tells if too many are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use presence::model::{LeaseId, Revision};
use presence::process::deadline::Deadline;
use presence::semaphore::Held;
use presence::store::Store;
use tokio::sync::watch;

/// Who is there, and the register that they write.
#[derive(Debug, Default)]
pub struct Site {
    inside: Mutex<BTreeMap<Revision, Inside>>,
    register: Mutex<Register>,
}

/// One that is there, by its token: another process of its service that takes
/// it over is the same.
#[derive(Debug)]
struct Inside {
    lease: LeaseId,
    until: watch::Receiver<Deadline>,
}

/// What refuses a token that is older than one it has seen.
#[derive(Debug, Default)]
struct Register {
    seen: BTreeSet<Revision>,
}

impl Site {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Enters, and fails if more than so many are there then. Those do not
    /// count who are no more sure to hold. `false`: refused, as the register
    /// has seen a newer token; with several slots none is.
    pub fn enter<S: Store>(&self, held: &Held<S>, slots: usize) -> bool {
        if slots == 1 && !self.write(held.token()) {
            return false;
        }
        let mut inside = self.inside.lock().unwrap();
        let one = Inside {
            lease: held.lease(),
            until: held.deadlines(),
        };
        inside.insert(held.token(), one);
        let sure = |one: &&Inside| !one.until.borrow().has_passed();
        let many = inside.values().filter(sure).count();
        assert!(many <= slots, "{many} are here: {inside:?}");
        self.register.lock().unwrap().seen.insert(held.token());
        true
    }

    /// A write of who has entered. `false`: refused, as another came since.
    pub fn write(&self, token: Revision) -> bool {
        self.register.lock().unwrap().seen.last() <= Some(&token)
    }

    /// Leaves, or is known to be no holder any more.
    pub fn leave(&self, token: Revision) {
        self.inside.lock().unwrap().remove(&token);
    }

    /// Whether it is there.
    pub fn has(&self, token: Revision) -> bool {
        self.inside.lock().unwrap().contains_key(&token)
    }

    /// Who are there, and on which leases.
    pub fn inside(&self) -> Vec<(Revision, LeaseId)> {
        let inside = self.inside.lock().unwrap();
        inside
            .iter()
            .map(|(token, one)| (*token, one.lease))
            .collect()
    }

    /// How many entered.
    pub fn grants(&self) -> usize {
        self.register.lock().unwrap().seen.len()
    }
}
