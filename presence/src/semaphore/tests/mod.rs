//! Several processes at one semaphore and everything that can come between
//! them, in any order.

mod actor;
mod words;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use self::world::{World, happening};
use super::{Claim, Semaphore};
use crate::keys::service_monitor;
use crate::process::clock::Clock;
use crate::store::memory::MemoryStore;

const TTL: Duration = Duration::from_secs(20);
const WAITING: Duration = Duration::from_secs(10);

/// Service IDs and hosts of those who take part. The first two are processes
/// of one service on one host; the third has its ID on another.
const ACTORS: [(&str, &str); 6] = [
    ("a", "one"),
    ("a", "one"),
    ("a", "two"),
    ("b", "one"),
    ("c", "two"),
    ("d", "two"),
];

fn keys() -> crate::keys::semaphore::Semaphore {
    service_monitor::lease(&"web".parse().unwrap())
}

fn semaphore(store: &MemoryStore) -> Semaphore<MemoryStore> {
    Semaphore::new(store.clone(), keys(), Clock::system())
}

fn claim(actor: usize, ttl: Duration) -> Claim {
    let (service, host) = ACTORS[actor];
    Claim {
        service: service.parse().unwrap(),
        host: host.parse().unwrap(),
        ttl,
        waiting: WAITING,
        slots: 1,
    }
}

proptest! {
    #[test]
    fn whatever_happens_never_too_many_hold_and_all_do_in_the_end(
        happenings in prop::collection::vec(happening(), 0..150),
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for happening in happenings {
                world.happen(happening).await;
            }
            world.settle().await;
        });
    }
}
