//! Token buckets: how often AWS may be called.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The size of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// So many at once.
    pub burst: f64,
    /// So many more each second.
    pub per_second: f64,
}

/// Pure: whoever comes is told when to go, each later than the one before.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// Below zero while some wait.
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

    /// Takes a token, and says how long it is until it is there.
    fn take(&mut self, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(-self.tokens / self.rate.per_second)
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

/// A bucket that is waited for. First come, first served. Who goes away while
/// waiting leaves his token unused.
#[derive(Debug)]
pub(super) struct Turns(Mutex<Bucket>);

impl Turns {
    pub(super) fn new(rate: Rate) -> Self {
        Self(Mutex::new(Bucket::new(rate, Instant::now())))
    }

    /// Waits for its turn; says how long that took.
    pub(super) async fn wait(&self) -> Duration {
        let wait = self.bucket().take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        wait
    }

    /// We were told that we call too often: others draw from the same account.
    /// Who waits already keeps his turn.
    pub(super) fn throttled(&self) {
        self.bucket().empty(Instant::now());
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
            assert_eq!(bucket.take(now), Duration::ZERO);
        }
        assert_eq!(bucket.take(now), millis(250));
        assert_eq!(bucket.take(now), millis(500));
        assert_eq!(bucket.take(now + millis(500)), millis(250));
        let later = now + Duration::from_hours(1);
        assert_eq!(bucket.take(later), Duration::ZERO);
        bucket.empty(later);
        assert_eq!(bucket.take(later), millis(250));
    }

    proptest! {
        /// In any stretch of time no more go than its burst and what is
        /// added in it; and they go in the order in which they came.
        #[test]
        fn never_more_than_the_rate(gaps in prop::collection::vec(0_u64..400, 1..200)) {
            let mut now = Instant::now();
            let mut bucket = Bucket::new(RATE, now);
            let mut gone = Vec::new();
            for gap in gaps {
                now += millis(gap);
                gone.push(now + bucket.take(now));
            }
            prop_assert!(gone.is_sorted());
            for (i, from) in gone.iter().enumerate() {
                let mut count = 0.0;
                for to in &gone[i..] {
                    count += 1.0;
                    let added = (*to - *from).as_secs_f64() * RATE.per_second;
                    prop_assert!(count <= RATE.burst + added + 1e-6);
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
                turns.wait().await;
                start.elapsed().as_millis()
            }
        });
        let gone = futures::future::join_all(waiting).await;
        // The timer is a millisecond late at most.
        for (place, at) in gone.into_iter().enumerate() {
            let due = 100 * place as u128;
            assert!((due..=due + 1).contains(&at), "{place}: {at}");
        }
    }
}
