//! One key: what is known of it, and what is to be done about it.

mod leave;
mod sight;

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::time::Instant;

pub(super) use self::leave::Bequest;
use self::sight::{Holder, Seen, Trust};
use super::tenure::Tenure;
use super::{Content, Standing, WantedKey};
use crate::model::{LeaseId, Revision};
use crate::process::backoff::Backoff;
use crate::store::{Condition, StoreError};

/// The leases that this process has had.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub current: Option<LeaseId>,
    pub had: BTreeSet<LeaseId>,
    /// The store's revision when the first of them was granted.
    pub since: Option<Revision>,
    /// That was in an earlier life, which this one goes on with.
    pub is_resumed: bool,
    /// Others may put keys that we want on the current one.
    pub are_given_to: bool,
}

impl Leases {
    pub fn resumed(tenure: Tenure) -> Self {
        Self {
            current: Some(tenure.lease),
            had: BTreeSet::from([tenure.lease]),
            since: tenure.since,
            is_resumed: tenure.since.is_some(),
            are_given_to: false,
        }
    }
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
    /// Delete it, if it is on this lease, until there is space to write it.
    Withhold(LeaseId),
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

/// Whether etcd has space for the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    /// As far as it is known.
    Enough,
    /// The last write was refused.
    Refused,
    /// The key is being deleted, or was, until there is space for it.
    Withheld,
}

/// Whether an earlier life of this process, which it goes on with, had the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// It left it, and nobody has said yet whether it is wanted.
    Left,
    /// It left it, and it ended with its lease before that was said.
    Ended,
    /// Perhaps: who wrote it since came later.
    Perhaps,
    /// That does not matter any more.
    Over,
}

#[derive(Debug)]
pub(super) struct Key {
    /// `None`: it is to go.
    wanted: Option<WantedKey>,
    past: Past,
    claim: Claim,
    /// The last that is known of it, exactly as it was then. `None`: nothing
    /// that counts.
    seen: Option<Seen>,
    trust: Trust,
    /// Who had it before we tried to take it over.
    predecessor: Option<LeaseId>,
    /// A write was sent since we claimed it.
    taking: bool,
    /// The lease of the last write that was sent, carried out or not; in this
    /// life or an earlier one.
    tried: Option<LeaseId>,
    /// It was deleted while it was on this lease, of which is not known
    /// whether it lived.
    question: Option<LeaseId>,
    /// The lease that it was last seen on, of ours.
    held_on: Option<LeaseId>,
    /// The first write of this incarnation.
    first: Option<Revision>,
    /// Another value is wanted than was written.
    outdated: bool,
    /// An operator's word in the value that was last seen on our lease.
    drain: Option<Value>,
    bequest: Bequest,
    /// The value that was wanted last is of no member.
    is_plain: bool,
    space: Space,
    trouble: Option<String>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Key {
    pub fn new(wanted: WantedKey, backoff: Backoff) -> Self {
        Self {
            is_plain: matches!(wanted.content, Content::Plain(_)),
            space: Space::Enough,
            wanted: Some(wanted),
            past: Past::Perhaps,
            claim: Claim::New,
            seen: None,
            trust: Trust::Doubtful,
            predecessor: None,
            taking: false,
            tried: None,
            question: None,
            held_on: None,
            first: None,
            outdated: false,
            drain: None,
            bequest: Bequest::Unknown,
            trouble: None,
            backoff,
            not_before: None,
        }
    }

    /// One that was found on the lease of an earlier life.
    pub fn left(lease: LeaseId, backoff: Backoff) -> Self {
        Self {
            wanted: None,
            past: Past::Left,
            claim: Claim::Mine,
            tried: Some(lease),
            held_on: Some(lease),
            is_plain: false,
            ..Self::new(WantedKey::new(Content::Plain(Vec::new())), backoff)
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
                if self.space == Space::Refused {
                    self.space = Space::Enough;
                }
                self.not_before = None;
            }
            Some(_) => {}
        }
    }

    /// A new incarnation.
    fn start_over(&mut self, wanted: &WantedKey) {
        *self = Self {
            tried: self.tried,
            past: match self.past {
                Past::Left | Past::Ended => Past::Perhaps,
                Past::Perhaps | Past::Over => Past::Over,
            },
            ..Self::new(wanted.clone(), self.backoff.clone())
        };
    }

    pub fn lease_ended(&mut self, lease: LeaseId) {
        if self.past == Past::Left && self.held_on == Some(lease) {
            self.past = Past::Ended;
        }
        if self.held_on == Some(lease) && self.claim == Claim::Mine {
            self.forget_seen();
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
        if self.past == Past::Left {
            return None;
        }
        if self.wanted.is_none() {
            return Some(self.need_to_leave(leases));
        }
        let seen = match (self.seen, self.trust) {
            (Some(seen), Trust::Sure) => seen,
            (Some(_), Trust::Awaiting { .. }) => return None,
            _ => return Some(Need::Read),
        };
        if let Some(lease) = self.question
            && leases.current == Some(lease)
        {
            return Some(Need::Lease(lease));
        }
        match (self.claim, seen.holder) {
            // Who goes on with an earlier life takes nothing from who came since.
            (Claim::New, holder) if self.past == Past::Perhaps && leases.is_resumed => {
                let unchanged = holder.map(|holder| Condition::ModRevision(holder.written));
                Some(Need::Put(Some(unchanged.unwrap_or(Condition::Absent))))
            }
            (Claim::New, _) => Some(Need::Put(None)),
            (Claim::Theirs | Claim::Mine, None) => Some(Need::Put(Some(Condition::Absent))),
            (Claim::Mine, Some(holder)) => {
                if let Some(lease) = leases.current.filter(|lease| self.must_not_stay(*lease)) {
                    return Some(Need::Withhold(lease));
                }
                let moves = holder.lease != leases.current || self.outdated;
                let still_ours = holder.lease.map(Condition::Lease);
                moves.then_some(Need::Put(still_ours))
            }
            (Claim::Theirs, Some(_)) | (Claim::Withdrawn, _) => None,
        }
    }

    /// Whether the value that is there, on this lease, keeps in service what is
    /// wanted out of service, and cannot be changed.
    fn must_not_stay(&self, lease: LeaseId) -> bool {
        let deletes = self
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.delete_if_no_space);
        deletes && self.space != Space::Enough && self.outdated && self.held_on == Some(lease)
    }

    /// The write was refused for want of space: nothing has changed.
    pub fn refused(&mut self) {
        if self.space == Space::Enough {
            self.space = Space::Refused;
        }
        if self.seen.is_some() && self.trust == Trust::Doubtful {
            self.trust = Trust::Sure;
        }
    }

    /// It is about to be deleted until there is space.
    pub fn withholding(&mut self) {
        self.space = Space::Withheld;
        self.doubt();
    }

    /// It was deleted, or was not ours.
    pub fn was_withheld(&mut self, at: Revision, deleted: bool) {
        if deleted {
            self.know(at, None);
        } else {
            self.space = Space::Enough;
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
        self.doubt();
    }

    pub fn written(&mut self, at: Revision, lease: LeaseId) {
        let holder = Holder {
            lease: Some(lease),
            written: at,
        };
        self.know(at, Some(holder));
        self.claim = Claim::Mine;
        self.question = None;
        self.held_on = Some(lease);
        self.first.get_or_insert(at);
        self.outdated = false;
        self.space = Space::Enough;
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
        if self.past == Past::Left {
            return Standing::Left;
        }
        if self.wanted.is_none() {
            return Standing::Leaving { trouble };
        }
        let holder = self.seen.and_then(|seen| seen.holder);
        match (self.claim, self.seen, holder) {
            (Claim::Withdrawn, Some(seen), _) => Standing::Withdrawn { at: seen.at },
            (Claim::Theirs, _, Some(holder)) => Standing::StandingBy {
                holder: holder.lease,
            },
            (Claim::Mine, _, Some(holder))
                if holder.lease == leases.current && self.space != Space::Withheld =>
            {
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
