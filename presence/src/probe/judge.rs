//! What many attempts say: up or down, and when to ask again.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// How soon a probe that failed is repeated while the service still counts as
/// up, so that one that is really gone is not listed for long.
pub const REPEAT: Duration = Duration::from_millis(500);

/// How often is asked, and how many like answers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// From the beginning of one attempt to that of the next.
    pub interval: Duration,
    /// So many successes in a row, and it is up.
    pub rise: NonZeroU32,
    /// So many failures in a row, and it is down.
    pub fall: NonZeroU32,
}

/// Whether the service is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Too few attempts agree yet.
    Unknown,
    /// It is.
    Up,
    /// It is not.
    Down,
}

/// Counts like answers in a row.
#[derive(Debug, Clone)]
pub struct Tally {
    rise: NonZeroU32,
    fall: NonZeroU32,
    verdict: Verdict,
    is_up: bool,
    in_a_row: u32,
}

impl Tally {
    /// Nothing is known. So many successes in a row, and it is up; so many failures, and it is
    /// down.
    pub fn new(rise: NonZeroU32, fall: NonZeroU32) -> Self {
        Self {
            rise,
            fall,
            verdict: Verdict::Unknown,
            is_up: false,
            in_a_row: 0,
        }
    }

    /// What they say so far.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How many failures there were since the last success.
    pub fn failures(&self) -> u32 {
        if self.is_up { 0 } else { self.in_a_row }
    }

    /// One more. Whether the verdict changed.
    pub fn count(&mut self, is_up: bool) -> bool {
        if self.is_up != is_up {
            self.in_a_row = 0;
        }
        self.is_up = is_up;
        self.in_a_row = self.in_a_row.saturating_add(1);
        let before = self.verdict;
        let (enough, verdict) = if is_up {
            (self.rise, Verdict::Up)
        } else {
            (self.fall, Verdict::Down)
        };
        if self.in_a_row >= enough.get() {
            self.verdict = verdict;
        }
        self.verdict != before
    }
}

/// Judges by the attempts that it is told of.
#[derive(Debug, Clone)]
pub struct Judge {
    interval: Duration,
    tally: Tally,
    due: Instant,
}

impl Judge {
    /// Nothing is known, and the first attempt is due.
    pub fn new(rules: Rules, now: Instant) -> Self {
        Self {
            interval: rules.interval,
            tally: Tally::new(rules.rise, rules.fall),
            due: now,
        }
    }

    /// What they say so far.
    pub fn verdict(&self) -> Verdict {
        self.tally.verdict()
    }

    /// When the next attempt is to begin.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// An attempt was made, from when to when. Whether the verdict changed.
    pub fn attempted(&mut self, began: Instant, ended: Instant, is_up: bool) -> bool {
        let changed = self.tally.count(is_up);
        let regular = (began + self.interval).max(ended);
        self.due = if is_up || self.verdict() == Verdict::Down {
            regular
        } else {
            regular.min(ended + REPEAT)
        };
        changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(1500);

    fn rules(interval: Duration, rise: u32, fall: u32) -> Rules {
        Rules {
            interval,
            rise: rise.try_into().unwrap(),
            fall: fall.try_into().unwrap(),
        }
    }

    #[test]
    fn by_default_who_is_gone_is_down_within_8500_ms() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut judge = Judge::new(rules(Duration::from_secs(5), 1, 2), start);
        assert!(judge.attempted(start, at(3), true));
        assert_eq!((judge.verdict(), judge.due()), (Verdict::Up, at(5000)));
        assert!(!judge.attempted(at(5000), at(6500), false));
        assert_eq!((judge.verdict(), judge.due()), (Verdict::Up, at(7000)));
        assert!(judge.attempted(at(7000), at(8500), false));
        assert_eq!((judge.verdict(), judge.due()), (Verdict::Down, at(12_000)));
        assert!(!judge.attempted(at(12_000), at(12_001), false));
        assert_eq!(judge.due(), at(17_000), "down: nobody is in a hurry");
        assert!(judge.attempted(at(17_000), at(17_001), true));
        assert_eq!(judge.verdict(), Verdict::Up);
    }

    /// How long attempts took in milliseconds, and how they ended.
    fn attempts() -> impl Strategy<Value = Vec<(u64, bool)>> {
        vec((0..=1500_u64, any::<bool>()), 0..60)
    }

    fn any_rules() -> impl Strategy<Value = Rules> {
        (1..10_000_u64, 1..5_u32, 1..5_u32)
            .prop_map(|(ms, rise, fall)| rules(Duration::from_millis(ms), rise, fall))
    }

    /// The verdict by the whole history: that of the last run that was long
    /// enough.
    fn by_history(rules: Rules, history: &[(u64, bool)]) -> Verdict {
        let runs = history.chunk_by(|one, other| one.1 == other.1);
        let mut verdicts = runs.filter_map(|run| match run[0].1 {
            true if run.len() >= rules.rise.get() as usize => Some(Verdict::Up),
            false if run.len() >= rules.fall.get() as usize => Some(Verdict::Down),
            _ => None,
        });
        verdicts.next_back().unwrap_or(Verdict::Unknown)
    }

    proptest! {
        #[test]
        fn the_last_run_that_is_long_enough_decides(rules in any_rules(), all in attempts()) {
            let mut judge = Judge::new(rules, Instant::now());
            for (index, (took, is_up)) in all.iter().enumerate() {
                let before = judge.verdict();
                let began = judge.due();
                let ended = began + Duration::from_millis(*took);
                let changed = judge.attempted(began, ended, *is_up);
                prop_assert_eq!(judge.verdict(), by_history(rules, &all[..=index]));
                prop_assert_eq!(changed, before != judge.verdict());
            }
        }

        #[test]
        fn it_is_asked_as_often_as_said_and_never_in_a_hot_loop(
            rules in any_rules(),
            all in attempts(),
        ) {
            let mut judge = Judge::new(rules, Instant::now());
            for (took, is_up) in all {
                let began = judge.due();
                let ended = began + Duration::from_millis(took);
                judge.attempted(began, ended, is_up);
                prop_assert!(judge.due() >= ended);
                prop_assert!(judge.due() >= (began + rules.interval).min(ended + REPEAT));
                prop_assert!(judge.due() <= (began + rules.interval).max(ended));
            }
        }

        #[test]
        fn whoever_dies_is_down_in_time(rules in any_rules(), before in attempts()) {
            let mut judge = Judge::new(rules, Instant::now());
            let mut last = judge.due();
            for (took, is_up) in before {
                last = judge.due();
                judge.attempted(last, last + Duration::from_millis(took), is_up);
            }
            // It dies right after an attempt began, and hangs from then on.
            let mut found_out = last;
            while judge.verdict() != Verdict::Down {
                found_out = judge.due() + LIMIT;
                judge.attempted(judge.due(), found_out, false);
            }
            let fall = rules.fall.get();
            let most = rules.interval.max(LIMIT) + LIMIT * fall + REPEAT * (fall - 1);
            prop_assert!(found_out - last <= most);
        }
    }
}
