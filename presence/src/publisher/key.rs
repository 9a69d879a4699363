//! One key: what is known of it, and what is to be done about it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Content, Standing, WantedKey};
use crate::model::{LeaseId, Revision};
use crate::process::backoff::Backoff;
use crate::store::{Condition, Entry, StoreError};

/// The leases that this process has had.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub current: Option<LeaseId>,
    pub had: BTreeSet<LeaseId>,
}

/// What is to be done next about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Look what is there.
    Read,
    /// Find out whether the lease lives: it tells a deletion from an end.
    Lease(LeaseId),
    /// Write it, if this holds.
    Put(Option<Condition>),
    /// Delete it, if it is on this lease.
    Delete(LeaseId),
    /// It is no longer our business.
    Forget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// To be written whoever has it.
    New,
    /// Ours, until somebody else writes or deletes it.
    Mine,
    /// Somebody else's, until it vanishes.
    Theirs,
    /// An operator's decision.
    Withdrawn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    at: Revision,
    holder: Option<Holder>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    lease: Option<LeaseId>,
    written: Revision,
}

#[derive(Debug)]
pub(super) struct Key {
    /// `None`: it is to go.
    wanted: Option<WantedKey>,
    claim: Claim,
    /// `None`: not known.
    seen: Option<Seen>,
    /// Who had it before we tried to take it over.
    predecessor: Option<LeaseId>,
    /// A write was sent since we claimed it.
    taking: bool,
    /// The lease of the last write that was sent, carried out or not.
    tried: Option<LeaseId>,
    /// It vanished while it was on this lease, of which is not known whether
    /// it lived.
    question: Option<LeaseId>,
    /// The lease that it was last seen on, of ours.
    held_on: Option<LeaseId>,
    /// The first write of this incarnation.
    first: Option<Revision>,
    /// Another value is wanted than was written.
    outdated: bool,
    /// An operator's word in the value that was last seen on our lease.
    drain: Option<Value>,
    trouble: Option<String>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Key {
    pub fn new(wanted: WantedKey, backoff: Backoff) -> Self {
        Self {
            wanted: Some(wanted),
            claim: Claim::New,
            seen: None,
            predecessor: None,
            taking: false,
            tried: None,
            question: None,
            held_on: None,
            first: None,
            outdated: false,
            drain: None,
            trouble: None,
            backoff,
            not_before: None,
        }
    }

    pub fn want(&mut self, wanted: &WantedKey) {
        if self.wanted.as_ref() == Some(wanted) {
            return;
        }
        match self.wanted.replace(wanted.clone()) {
            // Its deletion may be under way.
            None => self.start_over(wanted),
            Some(before) if wanted.told > before.told && self.claim != Claim::Mine => {
                self.start_over(wanted);
            }
            Some(before) if wanted.content != before.content => {
                self.outdated = true;
                self.not_before = None;
            }
            Some(_) => {}
        }
    }

    /// A new incarnation.
    fn start_over(&mut self, wanted: &WantedKey) {
        *self = Self {
            tried: self.tried,
            ..Self::new(wanted.clone(), self.backoff.clone())
        };
    }

    pub fn unwant(&mut self) {
        self.wanted = None;
    }

    /// What is there as of that revision, from any source; older news than
    /// known is no news.
    pub fn observe(&mut self, entry: Option<&Entry>, at: Revision, leases: &Leases) {
        if self.seen.is_some_and(|seen| at <= seen.at) {
            return;
        }
        let holder = entry.map(|entry| Holder {
            lease: entry.lease,
            written: entry.mod_revision,
        });
        self.seen = Some(Seen { at, holder });
        match (entry, holder) {
            (Some(entry), Some(holder)) if leases.owns(holder) => self.is_ours(entry, holder),
            (_, Some(holder)) => self.is_theirs(holder),
            (_, None) if self.claim == Claim::Mine && self.held_on == leases.current => {
                self.question = self.held_on;
            }
            (_, None) => {}
        }
    }

    fn is_ours(&mut self, entry: &Entry, holder: Holder) {
        self.claim = Claim::Mine;
        self.question = None;
        self.held_on = holder.lease;
        self.first.get_or_insert(holder.written);
        let options = serde_json::from_slice::<Map<String, Value>>(&entry.value);
        self.drain = options.ok().and_then(|mut options| options.remove("drain"));
    }

    fn is_theirs(&mut self, holder: Holder) {
        match self.claim {
            Claim::Mine => self.claim = Claim::Theirs,
            Claim::New if !self.taking => self.predecessor = holder.lease,
            // Whoever came after our attempt was started after us.
            Claim::New if self.predecessor != holder.lease => self.claim = Claim::Theirs,
            Claim::New | Claim::Theirs | Claim::Withdrawn => {}
        }
    }

    /// Whatever was known of it holds no longer.
    pub fn forget_seen(&mut self) {
        self.seen = None;
    }

    /// The store's history is another one: revisions of the old one mean
    /// nothing in it.
    pub fn forget_history(&mut self) {
        self.seen = None;
        self.first = None;
        // What is missing in it has not been deleted by anybody.
        self.held_on = None;
        self.question = None;
    }

    /// Whether what is known comes from a later moment than this.
    pub fn seen_after(&self, at: Revision) -> bool {
        self.seen.is_some_and(|seen| seen.at > at)
    }

    pub fn lease_ended(&mut self, lease: LeaseId) {
        if self.held_on == Some(lease) && self.claim == Claim::Mine {
            self.seen = None;
        }
        self.question = self.question.filter(|asked| *asked != lease);
    }

    /// The lease lives, so a key on it that vanished has been deleted.
    pub fn lease_lives(&mut self, lease: LeaseId) {
        if self.question == Some(lease) {
            self.question = None;
            self.claim = Claim::Withdrawn;
        }
    }

    pub fn need(&self, leases: &Leases) -> Option<Need> {
        if self.wanted.is_none() {
            return Some(self.need_to_leave());
        }
        let Some(seen) = self.seen else {
            return Some(Need::Read);
        };
        if let Some(lease) = self.question
            && leases.current == Some(lease)
        {
            return Some(Need::Lease(lease));
        }
        match (self.claim, seen.holder) {
            (Claim::New, _) => Some(Need::Put(None)),
            (Claim::Theirs | Claim::Mine, None) => Some(Need::Put(Some(Condition::Absent))),
            (Claim::Mine, Some(holder)) => {
                let moves = holder.lease != leases.current || self.outdated;
                let still_ours = holder.lease.map(Condition::Lease);
                moves.then_some(Need::Put(still_ours))
            }
            (Claim::Theirs, Some(_)) | (Claim::Withdrawn, _) => None,
        }
    }

    fn need_to_leave(&self) -> Need {
        let gone = self.seen.is_some_and(|seen| seen.holder.is_none());
        let may_be_ours = match self.claim {
            Claim::New | Claim::Mine => !gone,
            Claim::Theirs => self.seen.is_none(),
            Claim::Withdrawn => false,
        };
        match self.tried {
            Some(lease) if may_be_ours => Need::Delete(lease),
            _ => Need::Forget,
        }
    }

    /// What is written now.
    pub fn value(&self) -> Vec<u8> {
        match self.wanted.as_ref().map(|wanted| &wanted.content) {
            None => Vec::new(),
            Some(Content::Plain(value)) => value.clone(),
            Some(Content::Member(options)) => {
                let mut options = options.clone();
                if let Some(first) = self.first {
                    options.insert("since".to_owned(), first.0.into());
                }
                if let Some(drain) = &self.drain {
                    options.entry("drain").or_insert_with(|| drain.clone());
                }
                Value::Object(options).to_string().into_bytes()
            }
        }
    }

    /// A write is sent. Whether it is carried out is not known until there is
    /// an answer; there may be none.
    pub fn trying(&mut self, lease: LeaseId) {
        self.taking = true;
        self.tried = Some(lease);
        self.seen = None;
    }

    pub fn written(&mut self, at: Revision, lease: LeaseId) {
        let holder = Holder {
            lease: Some(lease),
            written: at,
        };
        self.seen = Some(Seen {
            at,
            holder: Some(holder),
        });
        self.claim = Claim::Mine;
        self.question = None;
        self.held_on = Some(lease);
        self.first.get_or_insert(at);
        self.outdated = false;
        self.works();
    }

    pub fn works(&mut self) {
        self.trouble = None;
        self.not_before = None;
        self.backoff.succeeded();
    }

    /// Alone in its trouble: it waits alone.
    pub fn failed(&mut self, why: String, now: Instant) {
        self.trouble = Some(why);
        self.not_before = Some(now + self.backoff.failed());
    }

    /// Not its own fault.
    pub fn held_up(&mut self, error: &StoreError) {
        self.trouble = Some(error.to_string());
    }

    /// Until when it is to be left alone.
    pub fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|not_before| *not_before > now)
    }

    pub fn standing(&self, leases: &Leases) -> Standing {
        let trouble = self.trouble.clone();
        if self.wanted.is_none() {
            return Standing::Leaving { trouble };
        }
        let holder = self.seen.and_then(|seen| seen.holder);
        match (self.claim, self.seen, holder) {
            (Claim::Withdrawn, Some(seen), _) => Standing::Withdrawn { at: seen.at },
            (Claim::Theirs, _, Some(holder)) => Standing::StandingBy {
                holder: holder.lease,
            },
            (Claim::Mine, _, Some(holder)) if holder.lease == leases.current => {
                match holder.lease {
                    Some(lease) => Standing::Published {
                        at: holder.written,
                        lease,
                        trouble,
                    },
                    None => Standing::Pending { trouble },
                }
            }
            _ => Standing::Pending { trouble },
        }
    }
}

impl Leases {
    fn owns(&self, holder: Holder) -> bool {
        holder.lease.is_some_and(|lease| self.had.contains(&lease))
    }
}
