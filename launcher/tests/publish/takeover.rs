//! Two revisions that publish the same key, on etcd.

use presence::model::ServiceName;
use presence::store::etcd::{EtcdConfig, EtcdStore};
use testbed::etcd::Etcd;

use super::*;

/// What happens to one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Start(usize),
    Stop(usize),
    Kill(usize),
    /// SIGKILL, and at once the next life.
    Again(usize),
}

use Event::{Again, Kill, Start, Stop};

const REVISIONS: [&str; 2] = ["1-00000000", "2-00000000"];

/// Every order in which both can start and end, each in every manner.
fn orders() -> Vec<Vec<Event>> {
    let ends: [fn(usize) -> Event; 2] = [Stop, Kill];
    let mut orders = Vec::new();
    for end_a in ends {
        for end_b in ends {
            let (a, b) = (
                [Start(0), Again(0), end_a(0)],
                [Start(1), Again(1), end_b(1)],
            );
            for places in 0..64_u32 {
                if places.count_ones() == 3 {
                    let (mut a, mut b) = (a.iter(), b.iter());
                    let next = |place: u32| match places & (1 << place) {
                        0 => a.next(),
                        _ => b.next(),
                    };
                    orders.push((0..6).filter_map(next).copied().collect());
                }
            }
        }
    }
    orders
}

/// The two, and who of those that run started last: the last.
struct Stage {
    store: EtcdStore,
    key: String,
    publish: String,
    service: ServiceName,
    state: tempfile::TempDir,
    running: [Option<Running>; 2],
    order: Vec<usize>,
}

impl Stage {
    fn new(store: EtcdStore, number: usize) -> Self {
        let name = format!("web-{number}");
        Self {
            store,
            key: format!("/lbManager/elb/us-east-1/{name}/multiple/i-0123abcd"),
            publish: format!("[/lbManager/elb/us-east-1/{name}/multiple/$INSTANCE_ID]"),
            service: name.parse().unwrap(),
            state: tempfile::tempdir().unwrap(),
            running: [None, None],
            order: Vec::new(),
        }
    }

    async fn start(&mut self, who: usize) {
        let (store, directory) = (&self.store, self.state.path());
        let instance = Instance {
            service: self.service.clone(),
            ..instance(REVISIONS[who])
        };
        let mut running = Running::start_of(store, instance, &self.publish, directory);
        running.publication.state(state(State::Starting));
        running.want(Publish::Ready);
        running.served().await;
        running.publication.state(state(State::Running));
        self.is_said_to_run(who).await;
        self.running[who] = Some(running);
    }

    /// Until then it is left nothing.
    async fn is_said_to_run(&self, who: usize) {
        let Self { service, .. } = self;
        let key = format!("/launcher/instances/{service}/host-1/{}", REVISIONS[who]);
        let so = || async {
            let state = entry(&self.store, &key).await;
            state.is_some_and(|state| InstanceState::publishes(&state.value, &self.key))
        };
        let what = "the instance to be said to run";
        wait::until_true(what, DEADLINE, so).await.unwrap();
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Start(who) => {
                self.start(who).await;
                self.order.push(who);
            }
            Again(who) => {
                self.running[who].take().unwrap().kill().await;
                self.start(who).await;
            }
            Stop(who) => {
                self.running[who].take().unwrap().stop().await;
                self.order.retain(|other| *other != who);
            }
            Kill(who) => {
                self.running[who].take().unwrap().kill().await;
                self.order.retain(|other| *other != who);
            }
        }
    }

    /// Whose key it is: who has it as present, which only one can.
    fn owners(&self) -> Vec<usize> {
        let has = |who: &usize| {
            let running = self.running[*who].as_ref();
            running.is_some_and(|running| running.standing.borrow().keys.present == 1)
        };
        (0..2).filter(has).collect()
    }

    async fn is_the_newers(&self, after: &[Event]) {
        let newest = self.order.last().copied();
        let what = format!("the key to be that of {newest:?} after {after:?}");
        let so = || async {
            let there = entry(&self.store, &self.key).await.is_some();
            there == newest.is_some() && self.owners() == Vec::from_iter(newest)
        };
        wait::until_true(&what, DEADLINE, so).await.unwrap();
    }
}

#[tokio::test]
async fn in_every_order_the_key_is_there_while_either_serves_and_is_the_newers() {
    let etcd = Etcd::start().await.unwrap();
    let store = EtcdStore::connect(EtcdConfig::plain([etcd.endpoint()]))
        .await
        .unwrap();
    let orders = orders();
    assert_eq!(orders.len(), 80);
    let plays = orders.into_iter().enumerate().map(|(number, order)| {
        let mut stage = Stage::new(store.clone(), number);
        async move {
            for (happened, event) in order.iter().enumerate() {
                stage.happen(*event).await;
                stage.is_the_newers(&order[..=happened]).await;
            }
        }
    });
    futures::future::join_all(plays).await;
}

#[tokio::test]
async fn a_takeover_leaves_no_moment_without_the_key() {
    use presence::store::{Event, Transaction, Watch, WatchMessage};

    let etcd = Etcd::start().await.unwrap();
    let store = EtcdStore::connect(EtcdConfig::plain([etcd.endpoint()]))
        .await
        .unwrap();
    let mut stage = Stage::new(store.clone(), 0);
    stage.happen(Start(0)).await;
    let after = entry(&store, &stage.key).await.unwrap().mod_revision;
    let mut watch = store.watch_key(&stage.key, after).await.unwrap();
    for event in [
        Start(1),
        Again(0),
        Again(1),
        Stop(0),
        Start(0),
        Again(1),
        // The newer leaves, and the older serves on: by turns.
        Stop(0),
        Start(0),
        Stop(1),
        Start(1),
        Again(1),
        Stop(1),
    ] {
        stage.happen(event).await;
        stage.is_the_newers(&[event]).await;
    }
    stage.happen(Stop(0)).await;
    let marker = Transaction::put(stage.key.as_str(), "marker");
    store.commit(marker).await.unwrap();
    let mut deleted = 0;
    loop {
        let WatchMessage::Events { events, .. } = watch.next().await.unwrap() else {
            continue;
        };
        for event in events {
            match event {
                Event::Delete { .. } => deleted += 1,
                Event::Put { entry, .. } if *entry.value == *b"marker" => {
                    assert_eq!(deleted, 1, "only at the end");
                    return;
                }
                Event::Put { .. } => assert_eq!(deleted, 0, "while one serves"),
            }
        }
    }
}
