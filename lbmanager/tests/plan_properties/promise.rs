//! The promise to the operator, as a model that knows nothing of how the planner
//! decides: no removal without a true reason, never the last member unless told,
//! nothing while frozen but what was requested after the reset, and a share of
//! the serving members in one incident of expired leases.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use presence::model::{Class, MemberId};

use super::balancer::after;
use super::check::holds;
use super::driver::HOLD;
use super::world::Verdict;

/// What is so when a decision is made.
pub struct Facts {
    pub now: Timestamp,
    /// The revision of the reload after a reset.
    pub frozen: Option<i64>,
    pub paused: bool,
    pub class: Option<Class>,
    /// Keys in the class in force, and which of them are drained or not ready,
    /// with the revision of that request.
    pub listed: BTreeSet<MemberId>,
    /// Keys in the other class.
    pub elsewhere: BTreeSet<MemberId>,
    pub asked_out: BTreeMap<MemberId, i64>,
    pub registered: BTreeSet<MemberId>,
    pub serving: BTreeSet<MemberId>,
    pub unhealthy: BTreeSet<MemberId>,
    /// Members whose health nothing reports.
    pub unreported: BTreeSet<MemberId>,
    pub max_removals: f64,
}

#[derive(Clone, Default)]
struct Incident {
    serving: usize,
    last: Timestamp,
    removed: BTreeSet<MemberId>,
}

#[derive(Default)]
pub struct Promise {
    /// Explicit deletes, with their revisions, until the key is written again.
    deleted: BTreeMap<(Class, MemberId), i64>,
    /// Members that a release covers, until their key is written again.
    released: BTreeSet<MemberId>,
    incident: Option<Incident>,
    stored: Option<Incident>,
    /// Which incident a restored status has is not known.
    is_unsure: bool,
    expired: BTreeSet<MemberId>,
    started: Timestamp,
    unreported: BTreeMap<MemberId, Timestamp>,
}

impl Promise {
    /// A key in the class that is not in force changes nothing.
    pub fn written(&mut self, class: Class, member: &MemberId, in_force: Option<Class>) {
        if in_force.is_some_and(|in_force| in_force != class) {
            return;
        }
        self.deleted.remove(&(class, member.clone()));
        self.released.remove(member);
        self.expired.remove(member);
    }

    pub fn deleted(&mut self, class: Class, member: &MemberId, revision: i64) {
        self.deleted.insert((class, member.clone()), revision);
    }

    pub fn released(&mut self, unlisted: impl Iterator<Item = MemberId>) {
        self.released.extend(unlisted);
        self.incident = None;
    }

    /// Who is not listed at that revision, to which the history was set back, may
    /// have been deleted in it.
    pub fn restored(&mut self, revision: i64, unlisted: impl Iterator<Item = (Class, MemberId)>) {
        self.deleted = unlisted.map(|key| (key, revision)).collect();
        self.released.clear();
        self.is_unsure = true;
    }

    pub fn restarted(&mut self, now: Timestamp) {
        self.incident = self.stored.clone();
        self.started = now;
    }

    pub fn stored(&mut self) {
        self.stored = self.incident.clone();
    }

    pub fn forgotten(&mut self) {
        self.incident = None;
        self.stored = None;
        self.is_unsure = false;
    }

    /// When somebody requested that it leaves.
    fn requested(&self, facts: &Facts, member: &MemberId) -> Option<i64> {
        let deletes = self.deleted.iter();
        let deletes = deletes.filter(|((_, id), _)| id == member && !facts.listed.contains(id));
        let asked_out = facts.asked_out.get(member);
        deletes
            .map(|(_, revision)| revision)
            .chain(asked_out)
            .max()
            .copied()
    }

    /// Whether the decision to remove these members keeps the promise.
    pub fn judge(&mut self, facts: &Facts, removed: &BTreeSet<MemberId>) -> Verdict {
        for member in removed {
            holds(has_reason(facts, member), || {
                format!("{member} is removed without a true reason")
            })?;
            let after_reset = |reset| self.requested(facts, member).is_some_and(|at| at > reset);
            holds(
                !facts.paused && facts.frozen.is_none_or(after_reset),
                || format!("{member} is removed although removals are held"),
            )?;
        }
        let told =
            |id: &MemberId| self.released.contains(id) || self.requested(facts, id).is_some();
        let empties = !facts.serving.is_empty() && facts.serving.is_subset(removed);
        holds(!empties || facts.serving.iter().all(told), || {
            format!("the last members are removed: {:?}", facts.serving)
        })?;
        self.keeps_to_budget(facts, removed)
    }

    /// Registered members whose keys are gone though nobody requested that.
    fn expired(&self, facts: &Facts, unmanaged: &BTreeSet<MemberId>) -> BTreeSet<MemberId> {
        let hold_is_over = |member: &MemberId| {
            let since = self
                .unreported
                .get(member)
                .map(|since| since.max(&self.started));
            since.is_some_and(|since| after(*since, HOLD) <= facts.now)
        };
        let takes_over = facts.class == Some(Class::Single) && !facts.listed.is_empty();
        if takes_over || facts.paused || facts.frozen.is_some() {
            return BTreeSet::new();
        }
        let gone = facts.registered.iter().filter(|member| {
            !facts.listed.contains(*member)
                && !facts.elsewhere.contains(*member)
                && !unmanaged.contains(*member)
                && !hold_is_over(member)
                && !self.released.contains(*member)
                && self.requested(facts, member).is_none()
        });
        gone.cloned().collect()
    }

    pub fn observe(&mut self, facts: &Facts, unmanaged: &BTreeSet<MemberId>) {
        let since = |id: &MemberId| *self.unreported.get(id).unwrap_or(&facts.now);
        let unreported = facts.unreported.iter().map(|id| (id.clone(), since(id)));
        self.unreported = unreported.collect();
        let over = |incident: &Incident| after(incident.last.max(self.started), HOLD) <= facts.now;
        if self.expired.is_empty() && self.incident.as_ref().is_some_and(over) {
            self.incident = None;
        }
        let expired = self.expired(facts, unmanaged);
        if let Some(new) = (!expired.is_empty()).then(|| !expired.is_subset(&self.expired)) {
            let serving = facts.serving.len();
            let begun = || Incident {
                serving,
                last: facts.now,
                ..Incident::default()
            };
            let incident = self.incident.get_or_insert_with(begun);
            if new {
                incident.last = facts.now;
            }
        }
        self.expired = expired;
    }

    fn keeps_to_budget(&mut self, facts: &Facts, removed: &BTreeSet<MemberId>) -> Verdict {
        let counted = removed.intersection(&self.expired);
        let counted: BTreeSet<_> = counted
            .filter(|id| !facts.unhealthy.contains(*id))
            .cloned()
            .collect();
        self.expired.retain(|member| !removed.contains(member));
        let Some(incident) = self.incident.as_mut().filter(|_| !counted.is_empty()) else {
            return Ok(());
        };
        let before = incident.removed.len();
        incident.removed.extend(counted);
        let all = incident.removed.len();
        let most = f64::from(u32::try_from(incident.serving).unwrap()) * facts.max_removals;
        let keeps = all == before || f64::from(u32::try_from(all).unwrap()) <= most;
        holds(keeps || self.is_unsure, || {
            format!("{all} members leave in one incident, at most {most} may")
        })
    }
}

fn has_reason(facts: &Facts, member: &MemberId) -> bool {
    let superseded =
        || facts.class == Some(Class::Single) && facts.serving.iter().any(|other| other != member);
    !facts.listed.contains(member) || facts.asked_out.contains_key(member) || superseded()
}
