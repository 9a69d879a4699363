//! What is to be done to one of the virtual services, as things are. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ipvs::ServiceKey;
use jiff::Timestamp;
use presence::model::MemberId;

use super::image::Image;
use super::ledger::Ledger;
use super::line::{Around, Decision};
use super::lines::Lines;
use super::translate;
use crate::manager::whole::Orders;

/// How things are, beside what the tree says.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The time.
    pub now: Timestamp,
    /// See `--hold`.
    pub hold: Duration,
    /// See `--settle`.
    pub settle: Duration,
    /// Which services are ours.
    pub ledger: &'a Ledger,
    /// What the kernel has.
    pub image: Option<&'a Image>,
    /// Held members that do not answer.
    pub silent: &'a BTreeSet<SocketAddr>,
}

impl Lines {
    /// Takes in what the tree says of this one, and decides. `None`: there is
    /// no such line.
    pub fn decide(
        &mut self,
        key: &ServiceKey,
        orders: &Orders,
        scene: &Scene<'_>,
    ) -> Option<Decision> {
        let line = self.get(key)?;
        let own = self.is_own(line);
        let silent = silent_members(line.record.withheld.keys(), scene.silent);
        let line = self.get_mut(key)?;
        let around = Around {
            now: scene.now,
            general: orders.general.as_deref(),
            release: line.release(orders),
            frozen: orders.frozen.as_ref(),
            hold: scene.hold,
            settle: scene.settle,
            own,
            ours: scene.ledger.has(key),
            made: scene.ledger.made(key),
            present: scene.image.and_then(|image| image.get(key)),
            silent: &silent,
        };
        Some(line.decide(&around))
    }
}

fn silent_members<'a>(
    members: impl Iterator<Item = &'a MemberId>,
    silent: &BTreeSet<SocketAddr>,
) -> BTreeSet<MemberId> {
    let is_silent = |member: &&MemberId| {
        translate::server_key(member).is_some_and(|server| silent.contains(&server.0))
    };
    members.filter(is_silent).cloned().collect()
}
