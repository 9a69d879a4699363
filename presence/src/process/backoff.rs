//! How long to wait before trying again.

use std::time::Duration;

/// Doubling waits with full jitter in their upper half, so that many who
/// failed together do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from about `first` up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// It failed once more: how long to wait, in `[half, whole]` of the
    /// doubled time.
    pub fn failed(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let whole = doubled.min(self.longest);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// It worked: the next wait is the first again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How often it failed since it last worked.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for whole in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.failed();
            let whole = Duration::from_millis(whole);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }
        assert_eq!(backoff.failures(), 6);
        backoff.succeeded();
        assert_eq!(backoff.failures(), 0);
        assert!(backoff.failed() <= Duration::from_millis(100));
    }

    #[test]
    fn after_years_of_failure_it_still_waits_the_longest() {
        let longest = Duration::from_mins(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), longest);
        backoff.failures = u32::MAX;
        assert!(backoff.failed() >= longest / 2);
        assert_eq!(backoff.failures(), u32::MAX);
    }
}
