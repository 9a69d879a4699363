//! What is to be done next so that the store holds what is wanted.
//!
//! Pure: it is told what happened and what time it is, and says one step at a
//! time. A step that is being carried out may be abandoned at any point.

mod outcome;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::step::Step;
use self::step::{May, step};
use super::key::{Key, Leases, Need};
use super::tenure::Tenure;
use super::{Others, Report, Wanted};
use crate::model::{LeaseId, Revision};
use crate::process::backoff::Backoff;
use crate::store::Header;

/// Waits after failures: short at first, as most outages are, and never so
/// long that a member stays away much longer than etcd did.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

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
    space: Space,
}

/// Whether etcd has space for writes.
#[derive(Debug)]
struct Space {
    backoff: Backoff,
    /// No write is tried before.
    not_before: Option<Instant>,
    /// Why the last write was refused.
    trouble: Option<String>,
}

impl Space {
    fn new() -> Self {
        Self {
            backoff: backoff(),
            not_before: None,
            trouble: None,
        }
    }

    fn refused(&mut self, why: String, now: Instant) {
        self.trouble = Some(why);
        self.not_before = Some(now + self.backoff.failed());
    }

    /// Until when nothing is written.
    fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|not_before| *not_before > now)
    }
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
            space: Space::new(),
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
        let may = May {
            inherit: own.is_some() && !of_own,
            write: self.space.waits_until(now).is_none(),
        };
        let mut ready = self.keys.iter_mut().filter(|(name, _)| is_meant(name));
        ready.find_map(|(name, key)| match key.waits_until(now) {
            Some(_) => None,
            None if lags && !of_own && key.leaves() => None,
            None => step(name, key, &self.leases, may),
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
            Some(Need::Put(_)) => {
                let waits = key.waits_until(now).max(self.space.waits_until(now));
                Some(waits.unwrap_or(now))
            }
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
            trouble: self.trouble.clone().or_else(|| self.space.trouble.clone()),
            ..Report::default()
        }
    }
}

/// A request may take 5 s until it is known that its endpoint does not answer.
/// At a TTL of 8 s, the renewal over another endpoint is still in time.
const RENEWALS: u32 = 6;

fn backoff() -> Backoff {
    let (first, longest) = WAITS;
    Backoff::new(first, longest)
}
