//! Everything that can happen, and how it must end.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::KEYS;
use super::actor::Publisher;
use crate::model::{LeaseId, Revision};
use crate::publisher::state::Step;
use crate::publisher::{Others, Standing, Wanted};
use crate::store::memory::{MemoryStore, Snapshot};
use crate::store::{Store, Transaction};

/// More than settling ever takes; less than a quarrel without end.
const PATIENCE: usize = 600;

/// Seconds in which nothing but renewals happens; longer than any wait.
const QUIET: usize = 24;

/// Seconds.
const SILENCE: u8 = 19;

#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    Step(usize),
    Deliver(usize),
    /// What is wanted: bits for the keys, and the value.
    Want(usize, u8, u8),
    Tell(usize, usize),
    Restart(usize),
    /// Killed, it goes on; whether what it left stays until it is told.
    Resume(usize, bool),
    Expire(usize),
    OperatorDeletes(usize),
    OperatorWrites(usize),
    OperatorEdits(usize),
    AnswerIsLost,
    CallFails,
    StoreIsFull(bool),
    WatchesBreak,
    SnapshotIsTaken,
    SnapshotIsRestored,
    Compact,
    TimePasses(u8),
}

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let (who, key) = (0..2_usize, 0..KEYS.len());
    prop_oneof![
        12 => who.clone().prop_map(Step),
        8 => who.clone().prop_map(Deliver),
        3 => (who.clone(), 0..4_u8, 0..3_u8).prop_map(|(who, keys, value)| Want(who, keys, value)),
        1 => (who.clone(), key.clone()).prop_map(|(who, key)| Tell(who, key)),
        1 => who.clone().prop_map(Restart),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, stays)| Resume(who, stays)),
        1 => who.prop_map(Expire),
        2 => key.clone().prop_map(OperatorDeletes),
        1 => key.clone().prop_map(OperatorWrites),
        1 => key.prop_map(OperatorEdits),
        1 => Just(AnswerIsLost),
        1 => Just(CallFails),
        1 => any::<bool>().prop_map(StoreIsFull),
        1 => Just(WatchesBreak),
        1 => Just(SnapshotIsTaken),
        1 => Just(SnapshotIsRestored),
        1 => Just(Compact),
        2 => (0..20_u8).prop_map(TimePasses),
    ]
}

pub(super) struct World {
    pub(super) store: MemoryStore,
    pub(super) publishers: [Publisher; 2],
    pub(super) compacted: Revision,
    snapshot: Snapshot,
    silence: u8,
    /// By an operator: then what it holds is not ours to say.
    is_edited: bool,
}

impl World {
    pub(super) fn new() -> Self {
        let store = MemoryStore::new();
        let publishers = [0, 1].map(|who| Publisher::new(&store, who));
        Self {
            snapshot: store.snapshot(),
            store,
            publishers,
            compacted: Revision(0),
            silence: 0,
            is_edited: false,
        }
    }

    pub(super) async fn happen(&mut self, happening: Happening) {
        use Happening::*;
        let store = self.store.clone();
        match happening {
            Step(who) => drop(self.step(who).await),
            Deliver(who) => drop(self.publishers[who].deliver()),
            Want(who, keys, value) => self.publishers[who].want(keys, value),
            Tell(who, key) => self.publishers[who].tell(KEYS[key]),
            Restart(who) => self.restart(who),
            Resume(who, stays) => self.resume(who, stays),
            Expire(who) => {
                if let Some(lease) = self.publishers[who].driver.state.report().lease {
                    store.expire(lease);
                }
            }
            OperatorDeletes(key) => self.operator_deletes(KEYS[key]).await,
            OperatorWrites(key) => self.operator(Transaction::put(KEYS[key], "mine")).await,
            OperatorEdits(key) => {
                self.is_edited = true;
                self.operator_edits(KEYS[key]).await;
            }
            AnswerIsLost => store.lose_next_answers(1),
            CallFails => store.fail_next(1),
            StoreIsFull(is_full) => store.set_full(is_full),
            WatchesBreak => store.break_watches(),
            SnapshotIsTaken => self.snapshot = store.snapshot(),
            SnapshotIsRestored => {
                store.restore(&self.snapshot);
                for publisher in &mut self.publishers {
                    publisher.lost_history();
                }
            }
            Compact => {
                self.compacted = store.revision();
                store.compact(self.compacted);
                // Who had not heard of a deletion yet may never do.
                for publisher in &mut self.publishers {
                    publisher.forbidden.clear();
                }
            }
            TimePasses(seconds) => self.time_passes(seconds).await,
        }
    }

    async fn step(&mut self, who: usize) -> Option<Step> {
        let store = self.store.clone();
        let before = self.store.revision();
        let step = self.publishers[who].step(&store).await;
        if let Some(Step::HandOver(key, _)) = &step
            && self.store.revision() > before
        {
            // Whoever left it had published it against that word.
            self.publishers[1 - who].forbidden.remove(key);
        }
        step
    }

    /// No watch that is not broken is silent for so long.
    async fn time_passes(&mut self, seconds: u8) {
        self.silence += seconds;
        if self.silence > SILENCE {
            for publisher in &mut self.publishers {
                while publisher.deliver() {}
            }
            self.silence = seconds;
        }
        advance(Duration::from_secs(seconds.into())).await;
    }

    async fn operator(&self, transaction: Transaction) {
        self.store.lose_next_answers(0);
        self.store.fail_next(0);
        self.store.set_full(false);
        self.store.commit(transaction).await.unwrap();
    }

    pub(super) async fn operator_edits(&self, key: &str) {
        if let Some(entry) = self.store.peek(key) {
            let edit = Transaction::default().and_put(key, r#"{"drain":true}"#, entry.lease);
            self.operator(edit).await;
        }
    }

    pub(super) async fn operator_deletes(&mut self, key: &str) {
        let Some(entry) = self.store.peek(key) else {
            return;
        };
        for publisher in &mut self.publishers {
            if let Some(Standing::Published { at, lease, .. }) = publisher.standing(key)
                && (at, Some(lease)) == (entry.mod_revision, entry.lease)
                && at >= self.compacted
                && publisher.history_is_whole
            {
                publisher.forbidden.insert(key.to_owned(), lease);
            }
        }
        self.operator(Transaction::delete(key)).await;
    }

    pub(super) fn restart(&mut self, who: usize) {
        let wanted = std::mem::take(&mut self.publishers[who].wanted);
        self.publishers[who] = Publisher::new(&self.store, who);
        self.publishers[who].driver.state.want(&wanted);
        self.publishers[who].taking = wanted.keys.keys().cloned().collect();
        self.publishers[who].wanted = wanted;
    }

    pub(super) fn resume(&mut self, who: usize, stays: bool) {
        let before = &mut self.publishers[who];
        let Some(tenure) = before.driver.state.tenure() else {
            return;
        };
        let mut publisher = Publisher::new(&self.store, who);
        publisher.wanted = std::mem::take(&mut before.wanted);
        publisher.history_is_whole = before.history_is_whole;
        publisher.leases.insert(tenure.lease);
        publisher.since = tenure.since;
        publisher.stays = stays;
        publisher.driver.state.resume(tenure, Instant::now());
        let wanted = Wanted {
            keys: if stays {
                BTreeMap::new()
            } else {
                publisher.wanted.keys.clone()
            },
            others: if stays { Others::Stay } else { Others::Go },
        };
        publisher.driver.state.want(&wanted);
        *before = publisher;
    }

    /// Until nobody has anything to do. Leases of those who are gone end.
    pub(super) async fn settle(&mut self) {
        self.store.lose_next_answers(0);
        self.store.fail_next(0);
        self.store.set_full(false);
        let mut quiet = 0;
        for _ in 0..PATIENCE {
            let mut moved = false;
            for who in 0..2 {
                let step = self.step(who).await;
                let told = self.publishers[who].deliver();
                moved |= step.is_some() || told;
                if told || !matches!(step, None | Some(Step::Renew(_))) {
                    quiet = 0;
                }
            }
            if !moved {
                advance(Duration::from_secs(1)).await;
                quiet += 1;
            }
            if quiet > QUIET {
                return;
            }
        }
        panic!(
            "still busy: {:?}",
            self.publishers.each_ref().map(|p| p.driver.state.report())
        );
    }

    pub(super) fn end_old_leases(&self) {
        let current = |publisher: &Publisher| publisher.driver.state.report().lease;
        let current: Vec<_> = self.publishers.iter().filter_map(current).collect();
        for lease in (1..1_000).map(LeaseId) {
            if !current.contains(&lease) {
                self.store.expire(lease);
            }
        }
    }

    pub(super) fn check_settled(&self) {
        for key in KEYS {
            let entry = self.store.peek(key);
            for publisher in &self.publishers {
                let wanted = !publisher.stays && publisher.wanted.keys.contains_key(key);
                let own = |lease: LeaseId| publisher.leases.contains(&lease);
                let has = entry
                    .as_ref()
                    .and_then(|entry| entry.lease)
                    .is_some_and(own);
                match publisher.standing(key) {
                    None => {
                        // What a restore brought back ends with the lease; what another gave it is
                        // looked for when it is told what is to stay.
                        let allowed = !has || !publisher.history_is_whole || publisher.stays;
                        assert!(!wanted && allowed, "{key} is left behind");
                    }
                    Some(Standing::Published {
                        at,
                        lease,
                        trouble: None,
                    }) => {
                        let entry = entry.as_ref().expect("published means there");
                        assert_eq!((entry.mod_revision, entry.lease), (at, Some(lease)));
                        assert!(self.is_edited || publisher.wants(key, entry), "{entry:?}");
                    }
                    Some(Standing::StandingBy { holder }) => {
                        let entry = entry.as_ref().expect("standing by somebody");
                        assert!(entry.lease == holder && !has);
                    }
                    Some(Standing::Withdrawn { .. }) => assert!(!has),
                    Some(Standing::Left) => assert!(publisher.stays),
                    other => panic!("{key} is settled as {other:?}"),
                }
            }
        }
    }
}
