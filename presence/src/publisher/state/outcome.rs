//! What came of a step, and what was heard besides.

use tokio::time::Instant;

use super::super::key::{Bequest, Key, Leases};
use super::{RENEWALS, Space, State, Step, backoff};
use crate::model::{LeaseId, Revision};
use crate::store::{Commit, Event, Fetched, Header, StoreError};

impl State {
    /// `asked`: when the request was sent.
    pub fn granted(&mut self, lease: LeaseId, asked: Instant) {
        self.space = Space::new();
        self.leases.current = Some(lease);
        self.leases.had.insert(lease);
        let now = self.header.map(|header| header.revision);
        self.leases.since = self.leases.since.or(now);
        self.renew_at = Some(asked + self.ttl / RENEWALS);
        self.works();
    }

    /// `asked`: when the request was sent.
    pub fn renewed(&mut self, lease: LeaseId, alive: bool, asked: Instant) {
        self.works();
        if alive {
            self.renew_at = Some(asked + self.ttl / RENEWALS);
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

    /// Who has the key after us.
    pub fn sought(&mut self, name: &str, bequest: Bequest) {
        self.works();
        if let Some(key) = self.keys.get_mut(name) {
            key.sought(bequest);
        }
    }

    pub fn committed(&mut self, step: &Step, commit: &Commit) {
        self.works();
        let writes = matches!(
            step,
            Step::Put(..) | Step::HandOver(..) | Step::Announce(..)
        );
        if writes && commit.succeeded {
            self.space = Space::new();
        }
        match step {
            Step::Announce(name, _) => {
                if let Some(key) = self.keys.get_mut(name) {
                    key.announced();
                }
            }
            Step::Withhold(name, _) => {
                if let Some(key) = self.keys.get_mut(name) {
                    key.was_withheld(commit.header.revision, commit.succeeded);
                }
            }
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
        if matches!(error, StoreError::NoSpace { .. }) {
            self.has_no_space(step, error, now);
            return;
        }
        if let Step::Announce(name, _) = step
            && !matches!(error, StoreError::Unavailable { .. })
            && let Some(key) = self.keys.get_mut(name)
        {
            // It goes all the same.
            key.announced();
            return;
        }
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

    /// Only writes wait for space; what can be done without goes on.
    fn has_no_space(&mut self, step: &Step, error: &StoreError, now: Instant) {
        self.works();
        self.space.refused(error.to_string(), now);
        let Some(key) = step.key().and_then(|name| self.keys.get_mut(name)) else {
            return;
        };
        match step {
            Step::HandOver(..) | Step::Announce(..) => key.announced(),
            _ => {
                key.refused();
                key.held_up(error);
            }
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
