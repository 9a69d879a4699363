//! Token buckets: how often AWS may be called.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backend::Urgency;

/// The size of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// So many at once.
    pub burst: f64,
    /// So many more each second.
    pub per_second: f64,
}

impl Rate {
    /// Polls leave so many tokens for decisions.
    fn reserve(&self, urgency: Urgency) -> f64 {
        match urgency {
            Urgency::Decision => 0.0,
            Urgency::Poll => self.burst / 2.0,
        }
    }
}

/// Pure: gives a token, or says when to come again.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            tokens: rate.burst,
            at: now,
        }
    }

    /// Takes a token, if that leaves the reserve; else says how long it is
    /// until it would.
    fn take(&mut self, reserve: f64, now: Instant) -> Result<(), Duration> {
        // The timer is exact to the millisecond, and numbers are not.
        const SLACK: f64 = 1e-6;
        self.refill(now);
        let missing = 1.0 + reserve - self.tokens;
        if missing > SLACK {
            return Err(Duration::from_secs_f64(missing / self.rate.per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// The other side says that there is nothing left.
    fn empty(&mut self, now: Instant) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate.per_second).min(self.rate.burst);
        self.at = now;
    }
}

/// A bucket that is waited for, in two lanes: decisions go before polls. In
/// each lane first come, first served. Who goes away while waiting takes no
/// token.
#[derive(Debug)]
pub(super) struct Turns {
    bucket: Mutex<Bucket>,
    decisions: Lane,
    polls: Lane,
}

/// Those who wait: the first of them holds the lock, which is fair.
#[derive(Debug, Default)]
struct Lane {
    first: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
}

/// Counts one who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Lane {
    fn enter(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            bucket: Mutex::new(Bucket::new(rate, Instant::now())),
            decisions: Lane::default(),
            polls: Lane::default(),
        }
    }

    /// Waits for its turn; says how long that took.
    pub(super) async fn wait(&self, urgency: Urgency) -> Duration {
        let start = Instant::now();
        let lane = match urgency {
            Urgency::Decision => &self.decisions,
            Urgency::Poll => &self.polls,
        };
        let _waiting = lane.enter();
        let _first = lane.first.lock().await;
        while let Err(wait) = self.try_take(urgency) {
            sleep(wait).await;
        }
        start.elapsed()
    }

    fn try_take(&self, urgency: Urgency) -> Result<(), Duration> {
        let mut bucket = self.bucket();
        let token = Duration::from_secs_f64(1.0 / bucket.rate.per_second);
        if urgency == Urgency::Poll && !self.decisions.is_empty() {
            return Err(token);
        }
        let reserve = bucket.rate.reserve(urgency);
        bucket.take(reserve, Instant::now())
    }

    /// We were told that we call too often: others draw from the same account.
    pub(super) fn throttled(&self) {
        self.bucket().empty(Instant::now());
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::join_all;
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        burst: 20.0,
        per_second: 4.0,
    };

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_one_by_one() {
        let now = Instant::now();
        let mut bucket = Bucket::new(RATE, now);
        for _ in 0..20 {
            assert_eq!(bucket.take(0.0, now), Ok(()));
        }
        assert_eq!(bucket.take(0.0, now), Err(millis(250)));
        assert_eq!(bucket.take(0.0, now + millis(250)), Ok(()));
        assert_eq!(bucket.take(0.0, now + millis(250)), Err(millis(250)));
        assert_eq!(bucket.take(10.0, now + millis(250)), Err(millis(2750)));
        let later = now + Duration::from_hours(1);
        assert_eq!(bucket.take(0.0, later), Ok(()));
        bucket.empty(later);
        assert_eq!(bucket.take(0.0, later), Err(millis(250)));
    }

    fn urgency() -> impl Strategy<Value = Urgency> {
        prop_oneof![Just(Urgency::Decision), Just(Urgency::Poll)]
    }

    /// When each call was admitted, after the start, in the order in which the
    /// calls came; each comes so many milliseconds after the one before.
    async fn admitted(calls: Vec<(u64, Urgency)>) -> Vec<Duration> {
        let turns = Turns::new(RATE);
        let start = Instant::now();
        let mut at = Duration::ZERO;
        let waiting = calls.into_iter().map(|(gap, urgency)| {
            at += millis(gap);
            let turns = &turns;
            async move {
                tokio::time::sleep_until(start + at).await;
                turns.wait(urgency).await;
                start.elapsed()
            }
        });
        join_all(waiting.collect::<Vec<_>>()).await
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(future)
    }

    proptest! {
        /// In any stretch of time no more go than its burst and what is
        /// added in it; and in each lane they go in the order in which they
        /// came.
        #[test]
        fn never_more_than_the_rate(
            calls in prop::collection::vec((0_u64..400, urgency()), 1..200),
        ) {
            let urgencies: Vec<Urgency> = calls.iter().map(|(_, urgency)| *urgency).collect();
            let gone = run(admitted(calls));
            for lane in [Urgency::Decision, Urgency::Poll] {
                let mut gone = gone.iter().zip(&urgencies).filter(|(_, of)| **of == lane);
                prop_assert!(gone.by_ref().map(|(at, _)| *at).is_sorted());
            }
            let mut gone = gone;
            gone.sort();
            for (i, from) in gone.iter().enumerate() {
                let mut count = 0.0;
                for to in &gone[i..] {
                    count += 1.0;
                    let passed = to.saturating_sub(*from).as_secs_f64();
                    // The timer is exact to the millisecond.
                    prop_assert!(count <= RATE.burst + passed * RATE.per_second + 0.01);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_go_in_their_order() {
        let turns = Arc::new(Turns::new(Rate {
            burst: 1.0,
            per_second: 10.0,
        }));
        let start = Instant::now();
        let waiting = (0..5).map(|_| {
            let turns = turns.clone();
            async move {
                turns.wait(Urgency::Decision).await;
                start.elapsed().as_millis()
            }
        });
        let gone = join_all(waiting).await;
        // The timer is a millisecond late at most, each time.
        for (place, at) in gone.into_iter().enumerate() {
            let due = 100 * place as u128;
            assert!((due..=due + 5).contains(&at), "{place}: {at}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_is_admitted_at_once_while_600_polls_wait() {
        let turns = Turns::new(Rate {
            burst: 40.0,
            per_second: 10.0,
        });
        let polls = join_all((0..600).map(|_| turns.wait(Urgency::Poll)));
        let decisions = async {
            let mut longest = Duration::ZERO;
            for _ in 0..100 {
                sleep(millis(300)).await;
                longest = longest.max(turns.wait(Urgency::Decision).await);
            }
            longest
        };
        let (polls, longest) = tokio::join!(polls, decisions);
        assert_eq!(longest, Duration::ZERO);
        let last = polls.into_iter().max().unwrap();
        assert!(last < Duration::from_secs(90), "polls go on: {last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_holds_nobody_up() {
        let turns = Turns::new(Rate {
            burst: 1.0,
            per_second: 1.0,
        });
        turns.wait(Urgency::Decision).await;
        for _ in 0..5 {
            let gone = tokio::time::timeout(millis(10), turns.wait(Urgency::Decision)).await;
            assert!(gone.is_err());
        }
        let waited = turns.wait(Urgency::Decision).await;
        assert!(waited <= millis(1001), "{waited:?}");
    }
}
