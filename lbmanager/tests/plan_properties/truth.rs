//! What really happened, kept apart from what the manager believes.

use std::collections::BTreeSet;

use presence::model::MemberId;

use super::action::MEMBERS;
use super::driver::Decision;
use super::world::member;

#[derive(Default)]
pub struct Truth {
    /// Members of whom a key was deleted since they were last seen listed in
    /// the class in force, and of whom one was on a lease then.
    pub deleted: BTreeSet<MemberId>,
    pub lease_ended: BTreeSet<MemberId>,
    pub ever_listed: BTreeSet<MemberId>,
    /// Left alone by a purge that the manager has yet to see,
    pending: BTreeSet<MemberId>,
    /// or has seen.
    purged: BTreeSet<MemberId>,
    /// There, and listed when last seen or since.
    pub known: BTreeSet<MemberId>,
    /// There, because the manager put them there.
    pub placed: BTreeSet<MemberId>,
    restored: bool,
}

impl Truth {
    pub fn listed(&mut self, member: &MemberId) {
        self.ever_listed.insert(member.clone());
        self.pending.remove(member);
        self.purged.remove(member);
    }

    pub fn vanished(&mut self, member: &MemberId, explicit: bool, on_lease: bool) {
        if explicit {
            self.deleted.insert(member.clone());
        }
        if on_lease {
            self.lease_ended.insert(member.clone());
        }
    }

    /// Everyone is to be left alone from now on.
    pub fn purged(&mut self) {
        // In a history that the manager has yet to see it cannot be told.
        if !self.restored {
            self.pending = (0..MEMBERS).map(member).collect();
        }
        self.known.clear();
        self.placed.clear();
    }

    /// The manager may not be able to tell that it was a purge.
    pub fn purge_is_unsure(&mut self) {
        self.pending.clear();
    }

    pub fn is_left_alone(&self, member: &MemberId) -> bool {
        self.pending.contains(member) || self.purged.contains(member)
    }

    pub fn restarted(&mut self) {
        self.pending.clear();
        if self.restored {
            self.known.clear();
            self.placed.clear();
        }
    }

    pub fn restored(&mut self) {
        self.pending.clear();
        self.purged.clear();
        self.restored = true;
    }

    /// Members that are not listed are unmanaged from now on.
    pub fn disowned(&mut self, is_listed: impl Fn(&MemberId) -> bool) {
        self.known.retain(&is_listed);
        self.placed.retain(is_listed);
    }

    pub fn acted(&mut self, decision: &Decision, added: &BTreeSet<MemberId>) {
        let there = &decision.observed.members;
        let listed = &decision.desired.members;
        self.known
            .retain(|member| there.contains_key(member) || listed.contains_key(member));
        self.placed.retain(|member| there.contains_key(member));
        self.placed.extend(added.iter().cloned());
    }

    /// A pass came to its end, and its record is in the store.
    pub fn reported(&mut self, decision: &Decision, holds: impl Fn(&MemberId) -> bool) {
        let listed = decision.desired.members.keys();
        self.known.retain(holds);
        for member in listed {
            self.known.insert(member.clone());
            self.deleted.remove(member);
            self.lease_ended.remove(member);
        }
        self.purged.append(&mut self.pending);
        self.restored = false;
    }

    pub fn forgotten(&mut self) {
        self.purged.append(&mut self.pending);
        self.known.clear();
        self.placed.clear();
    }
}
