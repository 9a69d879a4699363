//! The queue of a semaphore as it was at one revision.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::semaphore::{Semaphore, SemaphoreKey};
use crate::model::{HostId, LeaseId, Revision, ServiceId, excerpt};
use crate::store::{Condition, Entry, Event, Listing};

/// What a key of the queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Who.
    pub service_id: ServiceId,
    /// On which host.
    pub host: HostId,
    /// Since when it holds, or waits.
    pub since: Timestamp,
    /// Whether it holds.
    pub held: bool,
}

/// One that holds or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who, by the key.
    pub service: ServiceId,
    /// What it says. `None`: something else, written by hand perhaps.
    pub ticket: Option<Ticket>,
    /// The lease that it ends with.
    pub lease: Option<LeaseId>,
    /// Its create_revision: its rank, and the fencing token of who holds.
    pub token: Revision,
    /// Its mod_revision.
    pub at: Revision,
}

impl Place {
    pub(super) fn new(service: ServiceId, entry: &Entry) -> Self {
        Self {
            service,
            ticket: serde_json::from_slice(&entry.value).ok(),
            lease: entry.lease,
            token: entry.create_revision,
            at: entry.mod_revision,
        }
    }

    /// Whether it holds. What cannot be read may be the word of a holder.
    pub fn holds(&self) -> bool {
        self.ticket.as_ref().is_none_or(|ticket| ticket.held)
    }

    /// Whether it is of that host.
    pub fn is_on(&self, host: &HostId) -> bool {
        let ticket = self.ticket.as_ref();
        ticket.is_some_and(|ticket| ticket.host == *host)
    }
}

/// The number of holders that the store allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// The number, or what stands there instead of one.
    pub number: Result<u32, String>,
    /// The key's mod_revision.
    pub at: Revision,
}

impl Slots {
    fn new(entry: &Entry) -> Self {
        let text = String::from_utf8_lossy(&entry.value);
        Self {
            number: text.trim().parse().map_err(|_| excerpt(&text)),
            at: entry.mod_revision,
        }
    }
}

/// All that hold and wait at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The revision.
    pub revision: Revision,
    /// How many may hold; `None`: the store does not say.
    pub slots: Option<Slots>,
    /// In the order of arrival.
    pub places: Vec<Place>,
}

impl Queue {
    /// What a listing of the semaphore's prefix says. Keys of another form are
    /// nobody's place.
    pub(super) fn read(keys: &Semaphore, listing: &Listing) -> Self {
        let mut queue = Self {
            revision: listing.header.revision,
            slots: None,
            places: Vec::new(),
        };
        for (key, entry) in &listing.entries {
            match keys.parse(key) {
                Ok(SemaphoreKey::Slots) => queue.slots = Some(Slots::new(entry)),
                Ok(SemaphoreKey::Entry(service)) => {
                    queue.places.push(Place::new(service, entry));
                }
                Err(error) => tracing::debug!(%error, "not a key of the semaphore"),
            }
        }
        queue.places.sort_by_key(|place| place.token);
        queue
    }

    /// How many may hold, `otherwise` where the store does not say. What is no
    /// number allows one, which is the strictest that lets anybody on.
    pub fn allowed(&self, otherwise: u32) -> u32 {
        match &self.slots {
            None => otherwise,
            Some(slots) => *slots.number.as_ref().unwrap_or(&1),
        }
    }

    /// That nobody has changed how many may hold.
    pub(super) fn slots_condition(&self) -> Condition {
        let slots = self.slots.as_ref();
        slots.map_or(Condition::Absent, |slots| Condition::ModRevision(slots.at))
    }

    /// The place of this service.
    pub fn place(&self, service: &ServiceId) -> Option<&Place> {
        self.places.iter().find(|place| place.service == *service)
    }

    /// Those that hold.
    pub fn holders(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.holds())
    }

    /// Those that must go before the one with this token may hold: who came
    /// before, and who holds in any case.
    pub(super) fn in_the_way(&self, token: Revision) -> Vec<&Place> {
        let others = self.places.iter().filter(|place| place.token != token);
        others
            .filter(|place| place.token < token || place.holds())
            .collect()
    }

    /// Whether the one with this token may hold, if so many may: there is room,
    /// and all who came before hold already.
    pub(super) fn admits(&self, token: Revision, allowed: u32) -> bool {
        let in_the_way = self.in_the_way(token);
        is_less(in_the_way.len(), allowed) && in_the_way.iter().all(|place| place.holds())
    }

    /// Who is watched by the one with this token: as many as may hold, the
    /// nearest. One of them must end, or hold, before it is its turn.
    pub(super) fn nearest(&self, token: Revision, allowed: u32) -> Vec<&ServiceId> {
        let in_the_way = self.in_the_way(token);
        let many = usize::try_from(allowed).unwrap_or(usize::MAX);
        let nearest = in_the_way.iter().rev().take(many);
        nearest.map(|place| &place.service).collect()
    }

    /// Takes a change of another's place in. `false`: the queue is to be read
    /// again.
    pub(super) fn follows(&mut self, service: &ServiceId, event: &Event) -> bool {
        let place = self
            .places
            .iter_mut()
            .find(|place| place.service == *service);
        match (event, place) {
            (_, Some(place)) if event.revision() <= place.at => true,
            (Event::Put { entry, .. }, Some(place)) if entry.create_revision == place.token => {
                *place = Place::new(service.clone(), entry);
                true
            }
            _ => false,
        }
    }
}

fn is_less(number: usize, than: u32) -> bool {
    u32::try_from(number).is_ok_and(|number| number < than)
}
