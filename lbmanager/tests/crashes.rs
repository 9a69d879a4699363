//! A crash after every step of every kind of change ends, after a restart,
//! where it would have ended without. The points are enumerated: a scenario is
//! run once for each point that it has.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use presence::model::LeaseId;
use presence::store::{Store, Transaction};
use support::fake::FakeBackend;
use support::world::{CrashAt, World};

const A: &str = "i-0000000a";
const B: &str = "i-0000000b";
const C: &str = "i-0000000c";

/// What happens after a settled start with A and B, and who is then there.
struct Scenario {
    name: &'static str,
    class: &'static str,
    change: fn() -> Vec<Transaction>,
    lease_ends: bool,
    end: &'static [&'static str],
}

fn key(class: &str, member: &str) -> String {
    World::key(member).replace("multiple", class)
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a member more",
        class: "multiple",
        change: || vec![Transaction::put(key("multiple", C), "")],
        lease_ends: false,
        end: &[A, B, C],
    },
    Scenario {
        name: "a member less",
        class: "multiple",
        change: || vec![Transaction::delete(key("multiple", A))],
        lease_ends: false,
        end: &[B],
    },
    Scenario {
        name: "all replaced in one revision",
        class: "multiple",
        change: || {
            vec![
                Transaction::delete(key("multiple", A))
                    .and_delete(key("multiple", B))
                    .and_put(key("multiple", C), "", None),
            ]
        },
        lease_ends: false,
        end: &[C],
    },
    Scenario {
        name: "one after the other deleted, to the last",
        class: "multiple",
        change: || {
            vec![
                Transaction::delete(key("multiple", A)),
                Transaction::delete(key("multiple", B)),
            ]
        },
        lease_ends: false,
        end: &[],
    },
    Scenario {
        name: "purged",
        class: "multiple",
        change: || vec![Transaction::delete(key("multiple", A)).and_delete(key("multiple", B))],
        lease_ends: false,
        end: &[A, B],
    },
    Scenario {
        name: "a switch-over and a roll-back",
        class: "single",
        change: || {
            vec![
                Transaction::put(key("single", C), ""),
                Transaction::put(key("single", A), ""),
            ]
        },
        lease_ends: false,
        end: &[A],
    },
    Scenario {
        name: "the switch to another single member",
        class: "single",
        change: || vec![Transaction::put(key("single", C), "")],
        lease_ends: false,
        end: &[C],
    },
    Scenario {
        name: "all leases end",
        class: "multiple",
        change: Vec::new,
        lease_ends: true,
        end: &[B],
    },
];

impl Scenario {
    /// Runs it with a crash at that point. `false`: it has no such point.
    async fn run(&self, point: usize) -> bool {
        let backend = FakeBackend::default().with_health_delay(Duration::from_secs(3));
        let mut world = World::new(backend);
        world.start();
        let lease = self.settle(&world).await;
        world.stop().await;
        world.start_with(CrashAt::point(point));
        world.pass(Duration::from_secs(5)).await;
        for change in (self.change)() {
            world.store.commit(change).await.unwrap();
            world.pass(Duration::from_secs(1)).await;
        }
        if let Some(lease) = lease {
            world.store.expire(lease);
        }
        for _ in 0..600 {
            if world.crashed().is_some() {
                break;
            }
            world.pass(Duration::from_secs(2)).await;
        }
        let crashed = world.crashed();
        world.kill().await;
        world.start();
        // Longer than any hold.
        world.pass(Duration::from_mins(30)).await;
        let end: Vec<String> = self.end.iter().map(ToString::to_string).collect();
        let registered: Vec<String> = world.backend.registered(&World::id()).into_iter().collect();
        let context = format!("{}, crash {point} at {crashed:?}", self.name);
        assert_eq!(registered, end, "{context}: {:#?}", world.status());
        if !self.end.is_empty() {
            assert_eq!(world.backend.gaps(), Vec::<String>::new(), "{context}");
        }
        world.backend.forget_calls();
        // Two looks for drift.
        world.pass(Duration::from_mins(12)).await;
        assert_eq!(world.backend.writes(), 0, "{context}: it has come to rest");
        world.stop().await;
        crashed.is_some()
    }

    async fn settle(&self, world: &World) -> Option<LeaseId> {
        let lease = if self.lease_ends {
            Some(world.store.grant(Duration::from_hours(9)).await.unwrap())
        } else {
            None
        };
        for member in [A, B] {
            let put = Transaction::default().and_put(key(self.class, member), "", lease);
            world.store.commit(put).await.unwrap();
        }
        if self.class == "single" {
            world.until_registered(&[B]).await;
        } else {
            world.until_registered(&[A, B]).await;
        }
        world.pass(Duration::from_mins(2)).await;
        lease
    }
}

#[tokio::test(start_paused = true)]
async fn every_crash_of_every_change_ends_in_the_wanted_state() {
    for scenario in SCENARIOS {
        let mut points = 0;
        while scenario.run(points).await {
            points += 1;
            assert!(points < 100, "{}: it never comes to an end", scenario.name);
        }
        assert!(points > 0, "{}: no point was reached", scenario.name);
    }
}

/// The same from nothing: the very first registration.
#[tokio::test(start_paused = true)]
async fn every_crash_of_the_first_contact_ends_in_the_wanted_state() {
    for point in 0.. {
        let mut world = World::new(FakeBackend::default());
        world.backend.tamper(&World::id(), &[A, B, C]);
        world.put(&World::key(A), "").await;
        world.put(&World::key(B), "").await;
        world.start_with(CrashAt::point(point));
        world.pass(Duration::from_mins(2)).await;
        let crashed = world.crashed().is_some();
        world.kill().await;
        world.start();
        world.until_registered(&[A, B]).await;
        assert!(world.backend.gaps().is_empty());
        world.stop().await;
        if !crashed {
            assert!(point >= 2, "only {point} points");
            break;
        }
    }
}
