//! Everything that can happen, what may never be, and how it must end.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use super::actor::{Actor, Phase};
use super::{ACTORS, keys};
use crate::model::{LeaseId, Revision, ServiceId};
use crate::semaphore::{Place, Queue};
use crate::store::memory::MemoryStore;
use crate::store::{Header, Listing, Store, Transaction};

/// More than settling ever takes; less than a quarrel without end.
const PATIENCE: usize = 3_000;

#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    Start(usize),
    Step(usize),
    Deliver(usize),
    /// A transaction is sent, and takes its time.
    StepWithoutAnswer(usize),
    /// The oldest of those arrives.
    Arrives,
    Renew(usize),
    GiveUp(usize),
    Release(usize),
    /// What it holds stays held, what it waits on ends by itself.
    Exit(usize),
    Expire(usize),
    OperatorDeletes(usize),
    Slots(Option<u32>),
    AnswerIsLost,
    CallFails,
    WatchesBreak,
    Compact,
    TimePasses(u8),
}

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let who = 0..ACTORS.len();
    prop_oneof![
        6 => who.clone().prop_map(Start),
        30 => who.clone().prop_map(Step),
        12 => who.clone().prop_map(Deliver),
        3 => who.clone().prop_map(StepWithoutAnswer),
        3 => Just(Arrives),
        3 => who.clone().prop_map(Renew),
        1 => who.clone().prop_map(GiveUp),
        4 => who.clone().prop_map(Release),
        1 => who.clone().prop_map(Exit),
        1 => who.clone().prop_map(Expire),
        1 => who.prop_map(OperatorDeletes),
        3 => prop::option::of(0..4_u32).prop_map(Slots),
        1 => Just(AnswerIsLost),
        1 => Just(CallFails),
        1 => Just(WatchesBreak),
        1 => Just(Compact),
        2 => (0..8_u8).prop_map(TimePasses),
    ]
}

pub(super) struct World {
    store: MemoryStore,
    actors: Vec<Actor>,
    under_way: Vec<Transaction>,
    before: Queue,
    /// The highest token of all grants.
    granted: Revision,
    /// Leases that did not live for their time.
    cut_short: BTreeSet<LeaseId>,
}

impl World {
    pub(super) fn new() -> Self {
        let store = MemoryStore::new();
        let actors = (0..ACTORS.len()).map(Actor::new).collect();
        Self {
            before: queue(&store),
            store,
            actors,
            under_way: Vec::new(),
            granted: Revision(0),
            cut_short: BTreeSet::new(),
        }
    }

    pub(super) async fn happen(&mut self, happening: Happening) {
        use Happening::*;
        let store = self.store.clone();
        match happening {
            Start(who) => self.actors[who].start(&store),
            Step(who) => drop(self.actors[who].step().await),
            Deliver(who) => drop(self.actors[who].deliver().await),
            StepWithoutAnswer(who) => {
                self.under_way
                    .extend(self.actors[who].step_without_answer());
            }
            Arrives => self.arrives().await,
            Renew(who) => self.actors[who].renew(&store).await,
            GiveUp(who) => {
                self.healthy();
                self.actors[who].give_up().await;
            }
            Release(who) => {
                self.healthy();
                self.actors[who].release().await;
            }
            Exit(who) => self.actors[who].phase = Phase::Idle,
            Expire(who) => self.expire(who),
            OperatorDeletes(who) => {
                self.cut_short.extend(place_of(&self.before, who));
                let key = keys().entry(&ACTORS[who].0.parse().unwrap());
                self.operator(Transaction::delete(key)).await;
            }
            Slots(Some(slots)) => {
                self.operator(Transaction::put(keys().slots(), slots.to_string()))
                    .await;
            }
            Slots(None) => self.operator(Transaction::delete(keys().slots())).await,
            AnswerIsLost => store.lose_next_answers(1),
            CallFails => store.fail_next(1),
            WatchesBreak => store.break_watches(),
            Compact => store.compact(store.revision()),
            TimePasses(seconds) => advance(Duration::from_secs(seconds.into())).await,
        }
        self.check();
    }

    fn healthy(&self) {
        self.store.lose_next_answers(0);
        self.store.fail_next(0);
    }

    async fn operator(&self, transaction: Transaction) {
        self.healthy();
        self.store.commit(transaction).await.unwrap();
    }

    async fn arrives(&mut self) {
        if !self.under_way.is_empty() {
            let sent = self.under_way.remove(0);
            self.healthy();
            // Its lease may be gone.
            let _ = self.store.commit(sent).await;
        }
    }

    fn expire(&mut self, who: usize) {
        if let Some(lease) = self.actors[who].lease() {
            self.cut_short.insert(lease);
            self.store.expire(lease);
        }
    }

    /// After each happening, so that there was at most one grant.
    fn check(&mut self) {
        let now = queue(&self.store);
        let before = |place: &&Place| {
            let was = self.before.place(&place.service);
            !was.is_some_and(|was| was.token == place.token && was.holds())
        };
        let granted: Vec<_> = now.holders().filter(before).cloned().collect();
        for place in granted {
            let many = u32::try_from(now.holders().count()).unwrap();
            assert!(many <= now.allowed(1), "{many} hold: {now:?}");
            let mut ahead = now.places.iter().filter(|other| other.token < place.token);
            assert!(ahead.all(Place::holds), "overtaken: {now:?}");
            assert!(place.token > self.granted, "an old token: {now:?}");
            self.granted = place.token;
        }
        self.check_deadlines(&now);
        self.before = now;
    }

    /// Who is sure to hold does, unless somebody ended it.
    fn check_deadlines(&self, now: &Queue) {
        for actor in &self.actors {
            let Phase::Holding(held) = &actor.phase else {
                continue;
            };
            if held.until().has_passed() || self.cut_short.contains(&held.lease()) {
                continue;
            }
            let place = now.places.iter().find(|place| place.token == held.token());
            let holds = place.is_some_and(Place::holds);
            let service = ACTORS[actor.who].0;
            let shared = self.actors.iter().filter(|a| ACTORS[a.who].0 == service);
            // What was taken over may have been released by who took it.
            assert!(holds || shared.count() > 1, "{service} holds not: {now:?}");
        }
    }

    /// Everybody who waits comes to hold, once those before release.
    pub(super) async fn settle(&mut self) {
        self.healthy();
        while !self.under_way.is_empty() {
            self.arrives().await;
            self.check();
        }
        if self.before.allowed(1) == 0 {
            self.happen(Happening::Slots(None)).await;
        }
        for _ in 0..PATIENCE {
            let mut moved = false;
            for who in 0..self.actors.len() {
                while self.actors[who].step().await || self.actors[who].deliver().await {
                    moved = true;
                    self.check();
                }
            }
            if !moved {
                self.check_awake();
                self.one_leaves().await;
            }
            if self.is_over() {
                return;
            }
        }
        panic!("still waiting: {:?}", queue(&self.store));
    }

    /// A holder, while there is one; else what nobody holds any more ends.
    async fn one_leaves(&mut self) {
        let holds = |actor: &Actor| matches!(actor.phase, Phase::Holding(_));
        let leaves = match self.actors.iter().rposition(holds) {
            Some(who) => Happening::Release(who),
            None => Happening::TimePasses(1),
        };
        self.happen(leaves).await;
    }

    fn is_over(&self) -> bool {
        let idle = |actor: &Actor| matches!(actor.phase, Phase::Idle);
        self.actors.iter().all(idle) && self.before.places.is_empty()
    }

    /// Nobody sleeps whose turn it is, or whose place is gone.
    fn check_awake(&self) {
        let now = queue(&self.store);
        for actor in &self.actors {
            let Phase::Waiting(waiter) = &actor.phase else {
                continue;
            };
            let progress = waiter.state.progress();
            if let (Some(token), None) = (progress.token, progress.trouble) {
                let queued = now.places.iter().any(|place| place.token == token);
                assert!(queued, "{token} is gone: {now:?}");
                let asleep = now.admits(token, now.allowed(1));
                assert!(!asleep, "{token} sleeps: {now:?}");
            }
        }
    }
}

fn queue(store: &MemoryStore) -> Queue {
    let services: BTreeSet<ServiceId> = ACTORS.map(|(id, _)| id.parse().unwrap()).into();
    let entries = services.iter().map(|service| keys().entry(service));
    let all = entries.chain([keys().slots()]);
    let entries = all.filter_map(|key| Some((key.clone(), store.peek(&key)?)));
    let header = Header {
        cluster: 1,
        revision: store.revision(),
    };
    let entries = entries.collect();
    Queue::read(&keys(), &Listing { header, entries })
}

fn place_of(queue: &Queue, who: usize) -> Option<LeaseId> {
    queue.place(&ACTORS[who].0.parse().unwrap())?.lease
}
