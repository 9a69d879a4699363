//! What is known of a key, from reads and from its watch.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::super::Content;
use super::super::heirs::rank;
use super::{Bequest, Claim, Key, Leases, Past, Space};
use crate::model::{LeaseId, MemberOptions, Revision};
use crate::store::{Entry, Event};

/// A watch tells what has happened, or is noticed to be broken, before this.
/// If neither comes, the history that it is to tell is not there: it was
/// replaced by another that has grown as long.
const TELLING: Duration = Duration::from_secs(20);

/// How far what was seen last can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// What happens next is told.
    Sure,
    /// Something may have happened that is never told.
    Doubtful,
    /// Something has happened, and the watch is about to tell how it came to
    /// be as it was found.
    Awaiting {
        found: Option<Holder>,
        until: Instant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub at: Revision,
    pub holder: Option<Holder>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub lease: Option<LeaseId>,
    pub written: Revision,
}

impl Key {
    /// What a read found, and the revision to watch it from.
    ///
    /// Where something was known before, how it came to be so matters: whether
    /// ours was deleted, or first overwritten. So the watch tells that.
    pub fn found(
        &mut self,
        entry: Option<&Entry>,
        at: Revision,
        leases: &Leases,
        now: Instant,
    ) -> Revision {
        let holder = entry.map(Holder::of);
        match self.seen {
            Some(seen) if seen.holder != holder => {
                self.trust = Trust::Awaiting {
                    found: holder,
                    until: now + TELLING,
                };
                seen.at
            }
            Some(_) => {
                self.know(at, holder);
                at
            }
            None => {
                self.know(at, holder);
                if let Some((entry, holder)) = entry.zip(holder) {
                    self.has_holder(entry, holder, leases);
                }
                at
            }
        }
    }

    /// A change that the watch told. What is older than known is no news.
    pub fn happened(&mut self, event: &Event, leases: &Leases) {
        if self.seen.is_some_and(|seen| event.revision() <= seen.at) {
            return;
        }
        match event {
            Event::Put { entry, .. } => {
                let holder = Holder::of(entry);
                self.hear(event.revision(), Some(holder));
                self.has_holder(entry, holder, leases);
            }
            Event::Delete { previous, .. } => {
                self.hear(event.revision(), None);
                let was_on = previous.as_ref().map_or(self.held_on, |entry| entry.lease);
                let by_us = self.space == Space::Withheld;
                if !by_us && was_on.is_some() && was_on == leases.current {
                    self.question = was_on;
                }
            }
        }
    }

    pub(super) fn know(&mut self, at: Revision, holder: Option<Holder>) {
        self.seen = Some(Seen { at, holder });
        self.trust = Trust::Sure;
    }

    /// News may be older than a write of which there was no answer, so they
    /// do not remove every doubt.
    fn hear(&mut self, at: Revision, holder: Option<Holder>) {
        self.seen = Some(Seen { at, holder });
        if matches!(self.trust, Trust::Awaiting { found, .. } if found == holder) {
            self.trust = Trust::Sure;
        }
    }

    /// Until when it waits to be told.
    pub fn awaits_until(&self) -> Option<Instant> {
        match self.trust {
            Trust::Awaiting { until, .. } => Some(until),
            Trust::Sure | Trust::Doubtful => None,
        }
    }

    fn has_holder(&mut self, entry: &Entry, holder: Holder, leases: &Leases) {
        if leases.owns(holder) {
            self.is_ours(entry, holder);
        } else {
            self.is_theirs(holder, came_later(entry, leases));
        }
    }

    fn is_ours(&mut self, entry: &Entry, holder: Holder) {
        match self.claim {
            Claim::New if !self.taking => self.outdated = !self.is_in(entry),
            // Another's, until it was left to us.
            Claim::New | Claim::Theirs | Claim::Withdrawn => {
                self.outdated |= !self.is_in(entry) || self.is_of_another(entry);
            }
            Claim::Mine => self.outdated |= self.is_of_another(entry),
        }
        if self.is_in(entry) {
            self.space = Space::Enough;
        }
        self.claim = Claim::Mine;
        self.question = None;
        self.held_on = holder.lease;
        // An earlier life may have written it.
        self.tried = self.tried.or(holder.lease);
        self.first.get_or_insert(rank(entry));
        let options = serde_json::from_slice::<Map<String, Value>>(&entry.value);
        self.drain = options.ok().and_then(|mut options| options.remove("drain"));
    }

    /// Whether it has a rank that we never gave it.
    fn is_of_another(&self, entry: &Entry) -> bool {
        let says = MemberOptions::parse(&entry.value).ok();
        let says = says.and_then(|parsed| parsed.options.since);
        says.zip(self.first)
            .is_some_and(|(says, first)| says != first)
    }

    /// Whether the entry holds what is wanted; what is not ours to say in it
    /// does not count.
    fn is_in(&self, entry: &Entry) -> bool {
        match self.wanted.as_ref().map(|wanted| &wanted.content) {
            None => true,
            Some(Content::Plain(value)) => **value == *entry.value,
            Some(Content::Member(wanted)) => {
                let found = serde_json::from_slice::<Map<String, Value>>(&entry.value);
                found.is_ok_and(|mut found| {
                    found.retain(|name, _| wanted.contains_key(name) || !is_foreign(name));
                    found == *wanted
                })
            }
        }
    }

    fn is_theirs(&mut self, holder: Holder, came_later: bool) {
        match self.claim {
            Claim::Mine => self.claim = Claim::Theirs,
            Claim::New if self.past == Past::Perhaps && came_later => {
                self.claim = Claim::Theirs;
            }
            Claim::New if !self.taking => self.predecessor = holder.lease,
            // Whoever came after our attempt was started after us.
            Claim::New if self.predecessor != holder.lease => self.claim = Claim::Theirs,
            Claim::New | Claim::Theirs | Claim::Withdrawn => {}
        }
    }

    /// What happens is not told any more, or something was done of which is
    /// not known whether it was.
    pub fn doubt(&mut self) {
        self.trust = Trust::Doubtful;
        self.bequest = Bequest::Unknown;
    }

    /// What happened cannot be learnt any more, only what is.
    pub fn forget_seen(&mut self) {
        self.doubt();
        self.seen = None;
    }

    /// The store's history is another one: revisions of the old one mean
    /// nothing in it.
    pub fn forget_history(&mut self) {
        self.forget_seen();
        self.space = Space::Enough;
        self.first = None;
        self.question = None;
    }

    /// The moment of which it is known how it was.
    pub fn seen_at(&self) -> Option<Revision> {
        self.seen.map(|seen| seen.at)
    }

    /// Whether what is known comes from a later moment than this.
    pub fn seen_after(&self, at: Revision) -> bool {
        self.seen.is_some_and(|seen| seen.at > at)
    }
}

impl Holder {
    fn of(entry: &Entry) -> Self {
        Self {
            lease: entry.lease,
            written: entry.mod_revision,
        }
    }
}

/// What of the options a publisher or an operator adds to what is wanted.
fn is_foreign(name: &str) -> bool {
    matches!(name, "since" | "drain")
}

/// Whether its holder came after an earlier life that this one goes on with.
fn came_later(entry: &Entry, leases: &Leases) -> bool {
    let since = leases.since.filter(|_| leases.is_resumed);
    since.is_some_and(|since| rank(entry) > since)
}

impl Leases {
    fn owns(&self, holder: Holder) -> bool {
        holder.lease.is_some_and(|lease| self.had.contains(&lease))
    }
}
