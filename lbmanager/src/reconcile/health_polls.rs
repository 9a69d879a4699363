//! How often reconcilers poll health: together no more than AWS allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// All polls together leave a fifth of the calls that only read
/// ([`Limits::LOAD_BALANCING`](crate::backend::aws::Limits)).
const APART: Duration = Duration::from_millis(125);

/// Each resync asks for the health of one balancer in so many: so that no
/// status is older than so many resyncs.
const SHARE: u64 = 6;

/// What the reconcilers of a kind share. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct HealthPolls(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    started: AtomicU64,
    polling: AtomicUsize,
}

impl HealthPolls {
    /// For one balancer.
    pub(super) fn start(&self) -> HealthPoll {
        HealthPoll {
            turn: self.0.started.fetch_add(1, Ordering::Relaxed) % SHARE,
            counters: Arc::clone(&self.0),
            polling: false,
        }
    }
}

/// The polls of one balancer.
#[derive(Debug)]
pub(super) struct HealthPoll {
    counters: Arc<Counters>,
    turn: u64,
    polling: bool,
}

impl HealthPoll {
    /// Whether this resync is to ask for its health.
    pub(super) fn is_due(&self, resync: u64) -> bool {
        resync % SHARE == self.turn
    }

    /// It polls, or does not any more: the next poll is so long from now, and
    /// later the more balancers poll.
    pub(super) fn next(&mut self, wait: Option<Duration>) -> Option<Duration> {
        if wait.is_some() != self.polling {
            self.polling = !self.polling;
            if self.polling {
                self.counters.polling.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counters.polling.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let polling = self.counters.polling.load(Ordering::Relaxed);
        let least = APART * u32::try_from(polling).unwrap_or(u32::MAX);
        // The first ones wait for nobody.
        wait.map(|wait| wait.max(least.saturating_sub(APART * 4)))
    }
}

impl Drop for HealthPoll {
    fn drop(&mut self) {
        self.next(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_grows_with_those_that_poll() {
        let polls = HealthPolls::default();
        let second = Some(Duration::from_secs(1));
        let mut all: Vec<_> = (0..600).map(|_| polls.start()).collect();
        assert_eq!(all[0].next(second), second);
        for poll in &mut all {
            poll.next(second);
        }
        let wait = all[0].next(second).unwrap();
        assert!(wait > Duration::from_mins(1), "{wait:?}");
        all.truncate(1);
        assert_eq!(all[0].next(second), second);
        assert_eq!(all[0].next(None), None);
    }

    #[test]
    fn each_resync_asks_one_in_six_and_six_ask_all() {
        let polls = HealthPolls::default();
        let all: Vec<_> = (0..1000).map(|_| polls.start()).collect();
        let asked = |resync| all.iter().filter(|poll| poll.is_due(resync)).count();
        let asked: Vec<usize> = (10..16).map(asked).collect();
        assert!(asked.iter().all(|asked| *asked <= 167), "{asked:?}");
        assert_eq!(asked.iter().sum::<usize>(), 1000);
    }
}
