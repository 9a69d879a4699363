//! What is sent to queue up, and to hold.

use jiff::Timestamp;

use super::{Hold, Lease, Purpose, Sight, State, Step};
use crate::semaphore::queue::{Place, Ticket};
use crate::store::{Condition, Transaction};

impl State {
    pub(super) fn join(&self) -> Step {
        let Some(lease) = self.waiting else {
            return Step::Grant(Purpose::Wait, self.claim.waiting);
        };
        let key = self.key();
        let value = self.ticket(false, self.clock.now());
        let join = Transaction::default().when(key.as_str(), Condition::Absent);
        Step::Join(join.and_put(key, value, Some(lease.id)))
    }

    /// The transaction says what was decided on. All before us hold, and what
    /// holds stays so until it is gone; who came after us cannot hold before
    /// us. So with our place and the number of slots unchanged, nothing that
    /// happened since can have made it one too many.
    pub(super) fn hold(&mut self, place: &Place) -> Option<Step> {
        let Sight::Known(queue) = &self.sight else {
            return None;
        };
        let taken_over = place.holds() && place.is_on(&self.claim.host);
        let admitted = || self.is_ours(place) && queue.admits(place.token, self.allowed(queue));
        if !taken_over && !admitted() {
            return None;
        }
        let slots = (self.keys.slots(), queue.slots_condition());
        let Some(lease) = self.lease_to_hold_on() else {
            return Some(self.grant_to_hold());
        };
        let key = self.key();
        let since = place.ticket.as_ref().filter(|_| taken_over);
        let since = since.map_or_else(|| self.clock.now(), |ticket| ticket.since);
        let mut turn = Transaction::default().when(key.as_str(), Condition::ModRevision(place.at));
        if !taken_over {
            turn = turn.when(slots.0, slots.1);
        }
        let turn = turn.and_put(key, self.ticket(true, since), Some(lease.id));
        let hold = Hold {
            lease,
            token: place.token,
            taken_over,
        };
        self.attempts.push(hold);
        Some(Step::Hold(hold, turn))
    }

    /// Where the times are the same, one lease serves for both.
    fn is_one_lease(&self) -> bool {
        self.claim.ttl == self.claim.waiting
    }

    fn lease_to_hold_on(&self) -> Option<Lease> {
        if self.is_one_lease() {
            self.waiting
        } else {
            self.holding
        }
    }

    fn grant_to_hold(&self) -> Step {
        if self.is_one_lease() {
            Step::Grant(Purpose::Wait, self.claim.waiting)
        } else {
            Step::Grant(Purpose::Hold, self.claim.ttl)
        }
    }

    fn ticket(&self, held: bool, since: Timestamp) -> Vec<u8> {
        let ticket = Ticket {
            service_id: self.claim.service.clone(),
            host: self.claim.host.clone(),
            since,
            held,
        };
        serde_json::to_vec(&ticket).expect("names, a time and a flag are JSON")
    }
}
