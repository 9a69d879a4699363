//! What is to be done next so that the store holds what is wanted.
//!
//! Pure: it is told what happened and what time it is, and says one step at a
//! time. A step that is being carried out may be abandoned at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::key::{Key, Leases, Need};
use super::tenure::Tenure;
use super::{Others, Report, Wanted};
use crate::model::{LeaseId, Revision};
use crate::process::backoff::Backoff;
use crate::store::{Commit, Condition, Event, Fetched, Header, StoreError, Transaction};

/// Waits after failures: short at first, as most outages are, and never so
/// long that a member stays away much longer than etcd did.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// One call to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Get a lease.
    Grant,
    /// Renew the lease, which also tells whether it lives.
    Renew(LeaseId),
    /// Ask which keys are on the lease of an earlier life.
    Survey(LeaseId),
    /// Get the key, and watch it from there.
    Read(String),
    /// Write the key on this lease.
    Put(String, LeaseId, Transaction),
    /// Find out who has the key after us, if it is on this lease.
    Seek(String, LeaseId),
    /// Put the key on another's lease.
    HandOver(String, Transaction),
    /// Delete the key.
    Delete(String, Transaction),
}

impl Step {
    /// The key that it is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Grant | Self::Renew(_) | Self::Survey(_) => None,
            Self::Read(key)
            | Self::Put(key, ..)
            | Self::Seek(key, _)
            | Self::HandOver(key, _)
            | Self::Delete(key, _) => Some(key),
        }
    }
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct State {
    ttl: Duration,
    keys: BTreeMap<String, Key>,
    leases: Leases,
    /// The lease of an earlier life, until it is known what is on it.
    survey: Option<LeaseId>,
    others: Others,
    gone: BTreeMap<String, Revision>,
    passed_on: BTreeSet<String>,
    /// The key by which others know what we want.
    own: Option<String>,
    renew_at: Option<Instant>,
    header: Option<Header>,
    backoff: Backoff,
    not_before: Option<Instant>,
    trouble: Option<String>,
}

impl State {
    pub fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            keys: BTreeMap::new(),
            leases: Leases::default(),
            survey: None,
            others: Others::default(),
            gone: BTreeMap::new(),
            passed_on: BTreeSet::new(),
            own: None,
            renew_at: None,
            header: None,
            backoff: backoff(),
            not_before: None,
            trouble: None,
        }
    }

    /// Others want the same keys, and know by this one which we want.
    pub fn inherited_by(&mut self, own: Option<String>) {
        self.leases.are_given_to = own.is_some();
        self.own = own;
    }

    /// Goes on where an earlier life of this process ended.
    pub fn resume(&mut self, tenure: Tenure, now: Instant) {
        self.leases = Leases {
            are_given_to: self.leases.are_given_to,
            ..Leases::resumed(tenure)
        };
        // It was granted as that life was told, and is renewed in time for that.
        self.ttl = self.ttl.min(Duration::from_secs(tenure.ttl));
        self.survey = Some(tenure.lease);
        self.renew_at = Some(now);
    }

    /// What a life that went on here would have to know.
    pub fn tenure(&self) -> Option<Tenure> {
        let lease = self.leases.current?;
        Some(Tenure {
            lease,
            ttl: self.ttl.as_secs(),
            since: self.leases.since,
        })
    }

    pub fn want(&mut self, wanted: &Wanted) {
        if (self.others, wanted.others) == (Others::Stay, Others::Go) && self.own.is_some() {
            // Others may have given it more since it was asked.
            self.survey = self.survey.or(self.leases.current);
        }
        self.others = wanted.others;
        self.gone.retain(|name, _| !wanted.keys.contains_key(name));
        self.passed_on
            .retain(|name| !wanted.keys.contains_key(name));
        for (name, key) in &mut self.keys {
            if !wanted.keys.contains_key(name) {
                key.unwant(wanted.others);
            }
        }
        for (name, wanted) in &wanted.keys {
            let fresh = || Key::new(wanted.clone(), backoff());
            self.keys
                .entry(name.clone())
                .or_insert_with(fresh)
                .want(wanted);
        }
    }

    /// The next step, if there is one now. To be asked again after each.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        self.forget(now);
        if self.not_before.is_some_and(|not_before| not_before > now) {
            return None;
        }
        if let (Some(lease), Some(at)) = (self.leases.current, self.renew_at)
            && at <= now
        {
            return Some(Step::Renew(lease));
        }
        // Who is told that we do not want a key gives it to us no more: only then can it go.
        if let Some(step) = self.step(now, true) {
            return Some(step);
        }
        if let Some(lease) = self.survey {
            return Some(Step::Survey(lease));
        }
        self.step(now, false)
    }

    /// The next step for our own key among those of the heirs, or for the others.
    fn step(&mut self, now: Instant, of_own: bool) -> Option<Step> {
        let (own, lags) = (self.own.as_ref(), self.lags());
        let is_meant = |name: &String| (own == Some(name)) == of_own;
        let mut ready = self.keys.iter_mut().filter(|(name, _)| is_meant(name));
        ready.find_map(|(name, key)| match key.waits_until(now) {
            Some(_) => None,
            None if lags && !of_own && key.leaves() => None,
            None => step(name, key, &self.leases, own.is_some() && !of_own),
        })
    }

    /// Whether our own key is about to say something else: until it does, no key leaves.
    fn lags(&self) -> bool {
        let own = self.own.as_ref().and_then(|own| self.keys.get(own));
        own.is_some_and(Key::lags)
    }

    fn forget(&mut self, now: Instant) {
        let (leases, gone, passed_on) = (&self.leases, &mut self.gone, &mut self.passed_on);
        self.keys.retain(|name, key| {
            if key.awaits_until().is_some_and(|until| until <= now) {
                key.forget_seen();
            }
            let stays = key.need(leases) != Some(Need::Forget);
            if let Some(at) = key.withdrawn().filter(|_| !stays) {
                gone.insert(name.clone(), at);
            }
            if key.was_ours() && key.is_anothers() && !stays {
                passed_on.insert(name.clone());
            }
            stays
        });
    }

    /// When [`Self::next`] has something to say, if nothing happens before.
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let lags = self.lags();
        let keys = self.keys.values();
        let keys = keys.filter_map(|key| match key.need(&self.leases) {
            Some(_) if lags && key.leaves() => None,
            Some(_) => Some(key.waits_until(now).unwrap_or(now)),
            None => key.awaits_until(),
        });
        let renewal = self.leases.current.and(self.renew_at);
        let survey = self.survey.map(|_| now);
        let first = keys.chain(renewal).chain(survey).min()?;
        Some(self.not_before.map_or(first, |wait| wait.max(first)))
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.survey.is_none()
    }

    pub fn knows(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    /// `asked`: when the request was sent.
    pub fn granted(&mut self, lease: LeaseId, asked: Instant) {
        self.leases.current = Some(lease);
        self.leases.had.insert(lease);
        let now = self.header.map(|header| header.revision);
        self.leases.since = self.leases.since.or(now);
        self.renew_at = Some(asked + self.ttl / 3);
        self.works();
    }

    /// `asked`: when the request was sent.
    pub fn renewed(&mut self, lease: LeaseId, alive: bool, asked: Instant) {
        self.works();
        if alive {
            self.renew_at = Some(asked + self.ttl / 3);
            for key in self.keys.values_mut() {
                key.lease_lives(lease);
            }
        } else {
            self.lost(lease);
        }
    }

    /// These keys are on the lease of an earlier life.
    pub fn surveyed(&mut self, lease: LeaseId, keys: Option<Vec<String>>) {
        self.works();
        let Some(keys) = keys else {
            self.lost(lease);
            return;
        };
        self.survey = None;
        for name in keys {
            let others = self.others;
            self.keys.entry(name).or_insert_with(|| {
                let mut left = Key::left(lease, backoff());
                left.unwant(others);
                left
            });
        }
    }

    /// The revision to watch the key from.
    pub fn read(&mut self, name: &str, fetched: &Fetched, now: Instant) -> Revision {
        self.works();
        let at = fetched.header.revision;
        self.check_history(name, fetched.header);
        let Some(key) = self.keys.get_mut(name) else {
            return at;
        };
        let from = key.found(fetched.entry.as_ref(), at, &self.leases, now);
        if key.need(&self.leases).is_none() {
            key.works();
        }
        from
    }

    /// A change that the key's watch told.
    pub fn happened(&mut self, name: &str, event: &Event) {
        if let Some(key) = self.keys.get_mut(name) {
            key.works();
            key.happened(event, &self.leases);
        }
    }

    /// What hands the key over, if there is somebody to have it.
    pub fn sought(&mut self, name: &str, bequest: Option<Transaction>) {
        self.works();
        if let Some(key) = self.keys.get_mut(name) {
            key.sought(bequest);
        }
    }

    pub fn committed(&mut self, step: &Step, commit: &Commit) {
        self.works();
        match step {
            Step::Put(name, lease, _) if commit.succeeded => {
                if let Some(key) = self.keys.get_mut(name) {
                    key.written(commit.header.revision, *lease);
                }
            }
            Step::HandOver(name, _) if commit.succeeded => {
                self.keys.remove(name);
                self.passed_on.insert(name.clone());
            }
            Step::HandOver(name, _) => {
                if let Some(key) = self.keys.get_mut(name) {
                    key.doubt();
                }
            }
            Step::Delete(name, _) => self.deleted(name, commit),
            // Not what it was taken for: to be read again.
            _ => {}
        }
    }

    /// Whether it was ours or not: now it is not.
    fn deleted(&mut self, name: &str, commit: &Commit) {
        let Some(key) = self.keys.remove(name) else {
            return;
        };
        let name = name.to_owned();
        if commit.succeeded {
            self.gone.insert(name, commit.header.revision);
            // Until it was, it may have told others to give an earlier life more.
            self.survey = self
                .survey
                .or(self.leases.current.filter(|_| key.was_left()));
        } else if key.is_anothers() && key.was_ours() {
            self.passed_on.insert(name);
        } else if key.was_tried() {
            // Since some time after it was last seen.
            let at = key.seen_at().unwrap_or(commit.header.revision);
            self.gone.insert(name, at);
        }
    }

    pub fn failed(&mut self, step: &Step, error: &StoreError, now: Instant) {
        let everybody = matches!(error, StoreError::Unavailable { .. }) || step.key().is_none();
        if let Some(key) = step.key().and_then(|name| self.keys.get_mut(name)) {
            key.doubt();
            if everybody {
                key.held_up(error);
            } else {
                key.failed(error.to_string(), now);
            }
        }
        if everybody {
            self.trouble = Some(error.to_string());
            self.not_before = Some(now + self.backoff.failed());
        }
        if let StoreError::LeaseGone(lease) = error {
            self.lost(*lease);
        }
    }

    /// The watch of this key is over.
    pub fn watch_ended(&mut self, name: &str, why: &StoreError, now: Instant) {
        if let Some(key) = self.keys.get_mut(name) {
            key.failed(why.to_string(), now);
            match why {
                StoreError::Compacted => key.forget_seen(),
                _ => key.doubt(),
            }
        }
    }

    pub fn report(&self) -> Report {
        let keys = self.keys.iter();
        Report {
            lease: self.leases.current,
            keys: keys
                .map(|(name, key)| (name.clone(), key.standing(&self.leases)))
                .collect(),
            gone: self.gone.clone(),
            passed_on: self.passed_on.clone(),
            may_be_more: self.survey.is_some(),
            trouble: self.trouble.clone(),
            ..Report::default()
        }
    }

    fn lost(&mut self, lease: LeaseId) {
        self.survey = self.survey.filter(|earlier| *earlier != lease);
        if self.leases.current == Some(lease) {
            self.leases.current = None;
            self.renew_at = None;
        }
        for key in self.keys.values_mut() {
            key.lease_ended(lease);
        }
    }

    fn works(&mut self) {
        self.backoff.succeeded();
        self.not_before = None;
        self.trouble = None;
    }

    /// A read that is older than what is known, or from another cluster:
    /// the store was restored or started empty.
    fn check_history(&mut self, name: &str, header: Header) {
        let another = self
            .header
            .is_some_and(|before| before.cluster != header.cluster);
        let older = self
            .header
            .is_some_and(|before| before.revision > header.revision);
        let behind = self
            .keys
            .get(name)
            .is_some_and(|key| key.seen_after(header.revision));
        if another || older || behind {
            for key in self.keys.values_mut() {
                key.forget_history();
            }
            // Keys that we deleted may be back on our lease, unknown to us:
            // they go with it.
            self.leases = Leases {
                had: std::mem::take(&mut self.leases.had),
                are_given_to: self.leases.are_given_to,
                ..Leases::default()
            };
            self.survey = None;
            self.gone.clear();
            self.passed_on.clear();
        }
        self.header = Some(header);
    }
}

/// `inherited`: somebody may have it after us.
fn step(name: &str, key: &mut Key, leases: &Leases, inherited: bool) -> Option<Step> {
    let name = name.to_owned();
    match (key.need(leases)?, leases.current) {
        (Need::Forget, _) => None,
        (Need::Read, _) => Some(Step::Read(name)),
        (Need::Lease(lease), _) => Some(Step::Renew(lease)),
        (Need::Delete(lease), _) if inherited && !key.is_sought() => Some(Step::Seek(name, lease)),
        (Need::Delete(lease), _) => {
            if let Some(bequest) = key.bequest() {
                return Some(Step::HandOver(name, bequest));
            }
            let delete =
                Transaction::delete(name.as_str()).when(name.as_str(), Condition::Lease(lease));
            Some(Step::Delete(name, delete))
        }
        (Need::Put(_), None) => Some(Step::Grant),
        (Need::Put(condition), Some(lease)) => {
            let mut put = Transaction::default().and_put(name.as_str(), key.value(), Some(lease));
            if let Some(condition) = condition {
                put = put.when(name.as_str(), condition);
            }
            key.trying(lease);
            Some(Step::Put(name, lease, put))
        }
    }
}

fn backoff() -> Backoff {
    let (first, longest) = WAITS;
    Backoff::new(first, longest)
}
