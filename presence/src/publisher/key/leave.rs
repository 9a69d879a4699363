//! How a key goes that is not wanted any more.

use super::{Claim, Key, Leases, Need, Past, Trust};
use crate::model::Revision;
use crate::publisher::Others;
use crate::store::Transaction;

/// Who has a key after us.
#[derive(Debug)]
pub(in crate::publisher) enum Bequest {
    /// That was not asked yet, or may have changed.
    Unknown,
    Nobody,
    /// Nobody, and this announces that it is deleted.
    Announce(Transaction),
    /// Whom this gives it.
    Heir(Transaction),
}

impl Key {
    pub fn unwant(&mut self, others: Others) {
        self.wanted = None;
        if self.past == Past::Left && others == Others::Go {
            self.past = Past::Over;
        }
    }

    /// When an operator deleted it, if that is so.
    pub fn withdrawn(&self) -> Option<Revision> {
        let seen = self.seen.filter(|_| self.claim == Claim::Withdrawn);
        seen.map(|seen| seen.at)
    }

    pub(super) fn need_to_leave(&self, leases: &Leases) -> Need {
        if leases.are_given_to
            && let Some(lease) = leases.current
        {
            // It may be given to us of which we are told only later.
            return Need::Delete(lease);
        }
        let gone = self.seen.is_some_and(|seen| seen.holder.is_none());
        let may_be_ours = match self.claim {
            Claim::New | Claim::Mine => !(self.trust == Trust::Sure && gone),
            Claim::Theirs => self.trust != Trust::Sure,
            Claim::Withdrawn => false,
        };
        match self.tried {
            Some(lease) if may_be_ours => Need::Delete(lease),
            _ => Need::Forget,
        }
    }

    pub fn sought(&mut self, bequest: Bequest) {
        self.bequest = bequest;
    }

    /// Its deletion is announced, or cannot be: it is deleted now.
    pub fn announced(&mut self) {
        self.bequest = Bequest::Nobody;
    }

    pub fn bequest(&self) -> &Bequest {
        &self.bequest
    }

    /// Whether its value is known to be of no member.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether it is to go.
    pub fn leaves(&self) -> bool {
        self.wanted.is_none()
    }

    /// Whether the store has another value of it than is wanted, and nothing is in the way.
    pub fn lags(&self) -> bool {
        let is_ours = self.wanted.is_some() && self.claim == Claim::Mine;
        is_ours && self.outdated && self.trouble.is_none()
    }

    /// Whether an earlier life left it, which is known not to want it any more.
    pub fn was_left(&self) -> bool {
        self.past == Past::Over
    }

    /// Whether it ever was on a lease of ours.
    pub fn was_ours(&self) -> bool {
        self.held_on.is_some()
    }

    /// Whether a write of it was ever sent.
    pub fn was_tried(&self) -> bool {
        self.tried.is_some()
    }

    /// Whether another has it, as far as we know.
    pub fn is_anothers(&self) -> bool {
        self.claim == Claim::Theirs
    }
}
