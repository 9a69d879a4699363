//! A publisher under test, and what it must never do.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use serde_json::Value;
use tokio::sync::watch as latest;
use tokio::time::Instant;

use super::{KEYS, TTL, content, heirs, options, own};
use crate::model::{LeaseId, Revision};
use crate::publisher::driver::Driver;
use crate::publisher::state::Step;
use crate::publisher::{Content, Report, Standing, Wanted, WantedKey};
use crate::store::memory::MemoryStore;
use crate::store::watches::next;
use crate::store::{Entry, Store};

pub(super) struct Publisher {
    pub(super) who: usize,
    pub(super) driver: Driver<MemoryStore>,
    pub(super) wanted: Wanted,
    pub(super) leases: BTreeSet<LeaseId>,
    /// Deleted by an operator while it was known to be ours, on this lease.
    pub(super) forbidden: BTreeMap<String, LeaseId>,
    /// To be taken from whoever has it: not known to have been ours yet.
    pub(super) taking: BTreeSet<String>,
    pub(super) history_is_whole: bool,
    /// It goes on with an earlier life, which began then.
    pub(super) since: Option<Revision>,
    /// What that life left is to stay.
    pub(super) stays: bool,
}

impl Publisher {
    pub(super) fn new(store: &MemoryStore, who: usize) -> Self {
        let (report, _) = latest::channel(Report::default());
        let mut driver = Driver::new(store.clone(), TTL, report);
        driver.inherited_by(Some(heirs(who)));
        Self {
            who,
            driver,
            wanted: Wanted::default(),
            leases: BTreeSet::new(),
            forbidden: BTreeMap::new(),
            taking: BTreeSet::new(),
            history_is_whole: true,
            since: None,
            stays: false,
        }
    }

    pub(super) fn standing(&self, key: &str) -> Option<Standing> {
        self.driver.state.report().keys.remove(key)
    }

    /// What came before what is not known any more.
    pub(super) fn lost_history(&mut self) {
        self.forbidden.clear();
        self.taking = self.wanted.keys.keys().cloned().collect();
        self.history_is_whole = false;
        self.since = None;
    }

    /// What it did, if there was anything to do.
    pub(super) async fn step(&mut self, store: &MemoryStore) -> Option<Step> {
        let step = self.driver.state.next(Instant::now())?;
        let key = step.key().map(str::to_owned);
        let before = key.as_deref().and_then(|key| store.peek(key));
        self.driver.carry_out(step.clone()).await;
        self.leases.extend(self.driver.state.report().lease);
        if let Some(key) = key {
            let after = store.peek(&key);
            if matches!(step, Step::Withhold(..)) {
                // Whose delete it was cannot be told if the answer is lost.
                self.forbidden.remove(&key);
            }
            self.check(store, &step, &key, before.as_ref(), after.as_ref())
                .await;
            if let Some(Standing::Published { .. }) = self.standing(&key) {
                self.taking.remove(&key);
            }
        }
        Some(step)
    }

    pub(super) async fn check(
        &self,
        store: &MemoryStore,
        step: &Step,
        key: &str,
        before: Option<&Entry>,
        after: Option<&Entry>,
    ) {
        if before == after {
            return;
        }
        match (step, before, after) {
            (Step::Delete(..) | Step::Withhold(..), Some(before), None) => {
                let its = before
                    .lease
                    .is_some_and(|lease| self.leases.contains(&lease));
                assert!(its, "deleted what is not its own: {key} {before:?}");
            }
            (Step::Put(..), before, Some(after)) => {
                let holder = before.and_then(|before| before.lease);
                let others =
                    before.is_some() && holder.is_none_or(|its| !self.leases.contains(&its));
                let earlier = before
                    .zip(self.since)
                    .is_some_and(|(b, since)| rank(b) <= since);
                let allowed = !others || earlier || self.taking.contains(key);
                assert!(allowed, "took {key} from another that came later");
                if let Some(lease) = self.forbidden.get(key) {
                    let alive = store.lease_exists(*lease).await;
                    assert!(
                        alive == Ok(false),
                        "wrote {key} against the operator's word"
                    );
                }
                let since = options(after).get("since").and_then(Value::as_i64);
                let ranked = since.is_none_or(|since| since < after.mod_revision.0);
                assert!(ranked || !self.history_is_whole, "{since:?} in {after:?}");
            }
            (Step::Announce(..), Some(before), Some(after)) => {
                let its = before
                    .lease
                    .is_some_and(|lease| self.leases.contains(&lease));
                assert!(its && after.lease == before.lease, "{before:?} {after:?}");
                assert_eq!(options(after).get("leaving"), Some(&true.into()));
                assert_eq!(rank(after), rank(before), "{key}");
            }
            (Step::HandOver(..), Some(before), Some(after)) => {
                let is_its = |entry: &Entry| {
                    let lease = entry.lease;
                    lease.is_some_and(|lease| self.leases.contains(&lease))
                };
                assert!(is_its(before) && !is_its(after), "{before:?} {after:?}");
                let heir = store.peek(&own(1 - self.who)).expect("it is there");
                assert_eq!(after.lease, heir.lease);
                let wants = heirs(self.who).wants;
                assert!(wants(&heir.value, key), "{key} is not wanted: {heir:?}");
                assert_eq!(rank(after), rank(before), "{key}");
            }
            _ => panic!("{step:?} made {after:?} of {before:?}"),
        }
    }

    pub(super) fn deliver(&mut self) -> bool {
        match next(&mut self.driver.watches).now_or_never() {
            Some(told) => self.driver.told(told),
            None => return false,
        }
        true
    }

    pub(super) fn want(&mut self, keys: u8, value: u8) {
        self.stays = false;
        for (bit, key) in KEYS.iter().enumerate() {
            if keys & (1 << bit) == 0 {
                self.wanted.keys.remove(*key);
                self.forbidden.remove(*key);
                self.taking.remove(*key);
            } else {
                if !self.wanted.keys.contains_key(*key) {
                    self.taking.insert((*key).to_owned());
                }
                let wanted = self.wanted.keys.entry((*key).to_owned());
                let wanted = wanted.or_insert_with(|| WantedKey::new(content(0)));
                *wanted = WantedKey {
                    told: wanted.told,
                    ..WantedKey::new(content(value))
                };
            }
        }
        self.announce();
        self.driver.state.want(&self.wanted);
    }

    /// Whether the entry holds what it wants.
    pub(super) fn wants(&self, key: &str, entry: &Entry) -> bool {
        let mut found = options(entry);
        found.remove("since");
        self.wanted
            .keys
            .get(key)
            .is_some_and(|wanted| wanted.content == Content::Member(found))
    }

    /// Says which keys it wants.
    fn announce(&mut self) {
        let own = own(self.who);
        self.wanted.keys.remove(&own);
        let names: Vec<&str> = self.wanted.keys.keys().map(String::as_str).collect();
        let names = Content::Plain(names.join(",").into_bytes());
        self.taking.insert(own.clone());
        self.wanted.keys.insert(own, WantedKey::new(names));
    }

    pub(super) fn tell(&mut self, key: &str) {
        if let Some(wanted) = self.wanted.keys.get_mut(key) {
            wanted.told += 1;
            self.taking.insert(key.to_owned());
            self.forbidden.remove(key);
        }
        self.stays = false;
        self.driver.state.want(&self.wanted);
    }
}

fn rank(entry: &Entry) -> Revision {
    let since = options(entry).get("since").and_then(Value::as_i64);
    let since = since
        .map(Revision)
        .filter(|since| *since <= entry.mod_revision);
    since.unwrap_or(entry.mod_revision)
}
