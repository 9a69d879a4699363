//! Random runs: a tree that changes, an etcd, an AWS and a manager that fail,
//! in any order. In the end everything is as the tree says, and nobody who
//! stayed in the tree all along was ever taken out.
//!
//! `SOAK_ROUNDS` says how many runs of a minute (default 1), `SOAK_SEED` repeats
//! the choices of one.
#![allow(clippy::unwrap_used)]

#[path = "../support/real.rs"]
mod real;

mod disturb;
mod tree;

use std::time::Duration;

use fastrand::Rng;
use testbed::etcd::Etcd;
use testbed::proxy::Proxy;
use tokio::time::{Instant, sleep};

use real::{REGION, Rig};
use tree::{ANCHORS, Model};

/// Health polls that failed for long come rarely.
const CONVERGENCE: Duration = Duration::from_mins(2);

/// Everything of one run.
struct Soak {
    rig: Rig,
    proxy: Proxy,
    model: Model,
    random: Rng,
    steps: Vec<String>,
}

impl Soak {
    async fn start(seed: u64) -> Self {
        let etcd = Etcd::start().await.unwrap();
        let proxy = Proxy::start(&etcd.endpoint()).await.unwrap();
        let mut rig = Rig::on(etcd, &proxy.url()).await;
        rig.set(|launch| launch.arg("--resync=2s"));
        let model = Model::new();
        for lb in model.names() {
            let lb = rig.aws.create(REGION, lb);
            lb.health_delay(Duration::from_millis(200));
        }
        rig.run().await;
        for lb in model.names() {
            rig.put(lb, &ANCHORS).await;
            rig.until_serving(lb, &ANCHORS).await;
        }
        Self {
            rig,
            proxy,
            model,
            random: Rng::with_seed(seed),
            steps: vec![format!("SOAK_SEED={seed}")],
        }
    }

    async fn run(mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            match self.random.u8(..10) {
                0..6 => self.change().await,
                6..8 => self.disturb_aws(),
                8 => self.disturb_etcd().await,
                _ => self.disturb_manager().await,
            }
            let pause = Duration::from_millis(self.random.u64(..300));
            sleep(pause).await;
        }
        self.rig.aws.faults().clear();
        self.converge().await;
    }

    /// Waits until everything is as the tree says. What is held is let go, as
    /// an operator would.
    async fn converge(&self) {
        let end = Instant::now() + CONVERGENCE;
        while !self.is_in_line() {
            assert!(Instant::now() < end, "{}", self.what_is_wrong().await);
            for lb in self.model.names() {
                self.rig.release(lb).await;
            }
            sleep(Duration::from_secs(1)).await;
        }
        for lb in self.model.names() {
            let timeline = self.rig.lb(lb).timeline();
            for anchor in ANCHORS {
                let kept = timeline.never_deregistered(anchor);
                assert!(kept, "{anchor} of {lb}: {}", self.what_is_wrong().await);
            }
        }
    }

    fn is_in_line(&self) -> bool {
        let mut names = self.model.names();
        names.all(|lb| self.rig.lb(lb).registered() == self.model.listed(lb))
    }

    async fn what_is_wrong(&self) -> String {
        let mut words = self.steps.clone();
        for lb in self.model.names() {
            words.push(format!(
                "{lb}: tree {:?}\nregistered {:?}\nstatus {}",
                self.model.listed(lb),
                self.rig.lb(lb).registered(),
                self.rig.status(lb).await
            ));
        }
        let log = self.rig.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(60)..];
        words.push(last.join("\n"));
        words.join("\n")
    }

    fn note(&mut self, step: String) {
        self.steps.push(step);
    }
}

fn seed() -> u64 {
    let given = std::env::var("SOAK_SEED").ok();
    given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap())
}

#[tokio::test]
async fn a_short_random_run_ends_as_the_tree_says() {
    let soak = Soak::start(seed()).await;
    soak.run(Duration::from_secs(15)).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn long_random_runs_end_as_the_tree_says() {
    for _ in 0..testbed::soak::rounds().unwrap() {
        let soak = Soak::start(seed()).await;
        soak.run(Duration::from_mins(1)).await;
    }
}
