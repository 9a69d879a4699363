//! Two publishers of the same keys and everything that can come between
//! them, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use proptest::prelude::*;
use serde_json::{Map, Value};
use tokio::sync::watch as latest;
use tokio::time::{Instant, advance};

use super::driver::{Driver, next};
use super::state::Step;
use super::{Content, Report, Standing, Wanted, WantedKey};
use crate::model::LeaseId;
use crate::store::memory::MemoryStore;
use crate::store::{Entry, Store, Transaction};

const KEYS: [&str; 2] = ["/m/1", "/m/2"];
const TTL: Duration = Duration::from_secs(30);

/// More than settling ever takes; less than a quarrel without end.
const PATIENCE: usize = 400;

#[derive(Debug, Clone, Copy)]
enum Happening {
    Step(usize),
    Deliver(usize),
    /// What is wanted: bits for the keys, and the value.
    Want(usize, u8, u8),
    Tell(usize, usize),
    Restart(usize),
    Expire(usize),
    OperatorDeletes(usize),
    OperatorWrites(usize),
    OperatorEdits(usize),
    AnswerIsLost,
    CallFails,
    WatchesBreak,
    Compact,
    TimePasses(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let (who, key) = (0..2_usize, 0..KEYS.len());
    prop_oneof![
        12 => who.clone().prop_map(Step),
        8 => who.clone().prop_map(Deliver),
        3 => (who.clone(), 0..4_u8, 0..3_u8).prop_map(|(who, keys, value)| Want(who, keys, value)),
        1 => (who.clone(), key.clone()).prop_map(|(who, key)| Tell(who, key)),
        1 => who.clone().prop_map(Restart),
        1 => who.prop_map(Expire),
        2 => key.clone().prop_map(OperatorDeletes),
        1 => key.clone().prop_map(OperatorWrites),
        1 => key.prop_map(OperatorEdits),
        1 => Just(AnswerIsLost),
        1 => Just(CallFails),
        1 => Just(WatchesBreak),
        1 => Just(Compact),
        2 => (0..20_u8).prop_map(TimePasses),
    ]
}

struct Publisher {
    driver: Driver<MemoryStore>,
    wanted: Wanted,
    leases: BTreeSet<LeaseId>,
    /// Deleted by an operator while it was known to be ours, on this lease.
    forbidden: BTreeMap<String, LeaseId>,
}

impl Publisher {
    fn new(store: &MemoryStore) -> Self {
        let (report, _) = latest::channel(Report::default());
        Self {
            driver: Driver::new(store.clone(), TTL, report),
            wanted: Wanted::default(),
            leases: BTreeSet::new(),
            forbidden: BTreeMap::new(),
        }
    }

    fn standing(&self, key: &str) -> Option<Standing> {
        self.driver.state.report().keys.remove(key)
    }

    /// `false`: there was nothing to do.
    async fn step(&mut self, store: &MemoryStore) -> bool {
        let Some(step) = self.driver.state.next(Instant::now()) else {
            return false;
        };
        let key = step.key().map(str::to_owned);
        let before = key.as_deref().and_then(|key| store.peek(key));
        self.driver.carry_out(step.clone()).await;
        self.leases.extend(self.driver.state.report().lease);
        if let Some(key) = key {
            let after = store.peek(&key);
            self.check(store, &step, &key, before.as_ref(), after.as_ref())
                .await;
        }
        true
    }

    async fn check(
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
            (Step::Delete(..), Some(before), None) => {
                let its = before
                    .lease
                    .is_some_and(|lease| self.leases.contains(&lease));
                assert!(its, "deleted what is not its own: {key} {before:?}");
            }
            (Step::Put(..), _, Some(after)) => {
                if let Some(lease) = self.forbidden.get(key) {
                    let alive = store.lease_exists(*lease).await;
                    assert!(
                        alive == Ok(false),
                        "wrote {key} against the operator's word"
                    );
                }
                let since = options(after).get("since").and_then(Value::as_i64);
                assert!(since.is_none_or(|since| since < after.mod_revision.0));
            }
            _ => panic!("{step:?} made {after:?} of {before:?}"),
        }
    }

    async fn deliver(&mut self) -> bool {
        match next(&mut self.driver.watches).now_or_never() {
            Some(told) => self.driver.told(told),
            None => return false,
        }
        true
    }

    fn want(&mut self, keys: u8, value: u8) {
        for (bit, key) in KEYS.iter().enumerate() {
            if keys & (1 << bit) == 0 {
                self.wanted.keys.remove(*key);
                self.forbidden.remove(*key);
            } else {
                let wanted = self.wanted.keys.entry((*key).to_owned());
                wanted.or_insert_with(|| WantedKey::new(content(0))).content = content(value);
            }
        }
        self.driver.state.want(&self.wanted);
    }

    fn tell(&mut self, key: &str) {
        if let Some(wanted) = self.wanted.keys.get_mut(key) {
            wanted.told += 1;
            self.forbidden.remove(key);
        }
        self.driver.state.want(&self.wanted);
    }
}

fn content(weight: u8) -> Content {
    Content::Member(Map::from_iter([("weight".to_owned(), weight.into())]))
}

fn options(entry: &Entry) -> Map<String, Value> {
    serde_json::from_slice(&entry.value).unwrap_or_default()
}

struct World {
    store: MemoryStore,
    publishers: [Publisher; 2],
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new();
        let publishers = [Publisher::new(&store), Publisher::new(&store)];
        Self { store, publishers }
    }

    async fn happen(&mut self, happening: Happening) {
        use Happening::*;
        let store = self.store.clone();
        match happening {
            Step(who) => drop(self.publishers[who].step(&store).await),
            Deliver(who) => drop(self.publishers[who].deliver().await),
            Want(who, keys, value) => self.publishers[who].want(keys, value),
            Tell(who, key) => self.publishers[who].tell(KEYS[key]),
            Restart(who) => self.restart(who),
            Expire(who) => {
                if let Some(lease) = self.publishers[who].driver.state.report().lease {
                    store.expire(lease);
                }
            }
            OperatorDeletes(key) => self.operator_deletes(KEYS[key]).await,
            OperatorWrites(key) => self.operator(Transaction::put(KEYS[key], "mine")).await,
            OperatorEdits(key) => self.operator_edits(KEYS[key]).await,
            AnswerIsLost => store.lose_next_answers(1),
            CallFails => store.fail_next(1),
            WatchesBreak => store.break_watches(),
            Compact => store.compact(store.revision()),
            TimePasses(seconds) => advance(Duration::from_secs(seconds.into())).await,
        }
    }

    async fn operator(&self, transaction: Transaction) {
        self.store.lose_next_answers(0);
        self.store.fail_next(0);
        self.store.commit(transaction).await.unwrap();
    }

    async fn operator_edits(&self, key: &str) {
        if let Some(entry) = self.store.peek(key) {
            let edit = Transaction::default().and_put(key, r#"{"drain":true}"#, entry.lease);
            self.operator(edit).await;
        }
    }

    async fn operator_deletes(&mut self, key: &str) {
        let Some(entry) = self.store.peek(key) else {
            return;
        };
        for publisher in &mut self.publishers {
            if let Some(Standing::Published { at, lease, .. }) = publisher.standing(key)
                && (at, Some(lease)) == (entry.mod_revision, entry.lease)
            {
                publisher.forbidden.insert(key.to_owned(), lease);
            }
        }
        self.operator(Transaction::delete(key)).await;
    }

    fn restart(&mut self, who: usize) {
        let wanted = std::mem::take(&mut self.publishers[who].wanted);
        self.publishers[who] = Publisher::new(&self.store);
        self.publishers[who].driver.state.want(&wanted);
        self.publishers[who].wanted = wanted;
    }

    /// Until nobody has anything to do. Leases of those who are gone end.
    async fn settle(&mut self) {
        self.store.lose_next_answers(0);
        self.store.fail_next(0);
        for _ in 0..PATIENCE {
            let mut busy = false;
            for publisher in &mut self.publishers {
                busy |= publisher.step(&self.store).await;
                busy |= publisher.deliver().await;
            }
            let waiting = |publisher: &Publisher| {
                let now = Instant::now();
                let wakes_at = publisher.driver.state.wakes_at(now);
                wakes_at.is_some_and(|at| at < now + Duration::from_secs(4))
            };
            if !busy && !self.publishers.iter().any(waiting) {
                return;
            }
            if !busy {
                advance(Duration::from_secs(1)).await;
            }
        }
        panic!(
            "still busy: {:?}",
            self.publishers.each_ref().map(|p| p.driver.state.report())
        );
    }

    async fn end_old_leases(&self) {
        let current = |publisher: &Publisher| publisher.driver.state.report().lease;
        let current: Vec<_> = self.publishers.iter().filter_map(current).collect();
        for lease in (1..1_000).map(LeaseId) {
            if !current.contains(&lease) {
                self.store.expire(lease);
            }
        }
    }

    fn check_settled(&self) {
        for key in KEYS {
            let entry = self.store.peek(key);
            for publisher in &self.publishers {
                let wanted = publisher.wanted.keys.contains_key(key);
                let own = |lease: LeaseId| publisher.leases.contains(&lease);
                let has = entry
                    .as_ref()
                    .and_then(|entry| entry.lease)
                    .is_some_and(own);
                match publisher.standing(key) {
                    None => assert!(!wanted && !has, "{key} is left behind"),
                    Some(Standing::Published {
                        at,
                        lease,
                        trouble: None,
                    }) => {
                        let entry = entry.as_ref().expect("published means there");
                        assert_eq!((entry.mod_revision, entry.lease), (at, Some(lease)));
                    }
                    Some(Standing::StandingBy { holder }) => {
                        let entry = entry.as_ref().expect("standing by somebody");
                        assert!(entry.lease == holder && !has);
                    }
                    Some(Standing::Withdrawn { .. }) => assert!(!has),
                    other => panic!("{key} is settled as {other:?}"),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_it_settles_as_it_should(
        happenings in prop::collection::vec(happening(), 0..120)
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for publisher in &mut world.publishers {
                publisher.want(3, 0);
            }
            for happening in happenings {
                world.happen(happening).await;
            }
            world.settle().await;
            world.end_old_leases().await;
            world.settle().await;
            world.check_settled();
        });
    }
}

/// All that one publisher does and is told until it has nothing to do.
async fn run_dry(publisher: &mut Publisher, store: &MemoryStore) {
    while publisher.step(store).await || publisher.deliver().await {}
}

#[tokio::test(start_paused = true)]
async fn an_edit_by_an_operator_stays_when_the_value_changes() {
    let mut world = World::new();
    let [publisher, _] = &mut world.publishers;
    publisher.want(1, 1);
    run_dry(publisher, &world.store).await;
    let first = world.store.peek(KEYS[0]).unwrap();
    let edit = Transaction::default().and_put(KEYS[0], r#"{"weight":1,"drain":true}"#, first.lease);
    world.store.commit(edit).await.unwrap();
    run_dry(publisher, &world.store).await;
    assert_eq!(
        world.store.counts().writes,
        2,
        "an edit is no reason to write"
    );
    publisher.want(1, 2);
    run_dry(publisher, &world.store).await;
    let value = options(&world.store.peek(KEYS[0]).unwrap());
    let since = first.mod_revision.0;
    let expected = serde_json::json!({"weight": 2, "drain": true, "since": since});
    assert_eq!(Value::Object(value), expected);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_history_starts_ranks_over() {
    let mut world = World::new();
    let [publisher, _] = &mut world.publishers;
    for _ in 0..5 {
        world
            .store
            .commit(Transaction::put("/x", ""))
            .await
            .unwrap();
    }
    publisher.want(1, 1);
    run_dry(publisher, &world.store).await;
    world.store.wipe();
    while publisher
        .standing(KEYS[0])
        .is_none_or(|s| !matches!(s, Standing::Published { .. }))
        || world.store.peek(KEYS[0]).is_none()
    {
        run_dry(publisher, &world.store).await;
        advance(Duration::from_secs(1)).await;
    }
    let value = options(&world.store.peek(KEYS[0]).unwrap());
    assert_eq!(value.get("since"), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_long_is_not_pestered() {
    let store = MemoryStore::new();
    store.set_unavailable(true);
    let (report, _) = latest::channel(Report::default());
    let keys = KEYS.map(|key| (key.to_owned(), WantedKey::new(content(1))));
    let keys = keys.into_iter().collect();
    let (_wanted, wanted) = latest::channel(Arc::new(Wanted { keys }));
    let away = tokio::time::sleep(Duration::from_mins(5));
    super::run(store.clone(), TTL, wanted, report, away).await;
    let calls = store.counts().calls;
    assert!((90..250).contains(&calls), "{calls} calls in 5 minutes");
}
