//! What many answers say, and when to ask next.

use std::num::NonZeroU32;
use std::time::Duration;

use presence::probe::{Outcome, Tally, Verdict};
use tokio::time::Instant;

use crate::definition::Timing;
use crate::life::Health;

/// The shortest pause while a container starts.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// While it starts, a pause is this part of the time so far: it is noticed at most a tenth too late.
const PART: u32 = 10;
/// While it starts, asking takes at most a fifth of the time, whatever one attempt costs.
const SHARE: u32 = 4;

/// Folds answers into health, and says when to ask next.
///
/// Until it is healthy for the first time, a container is asked more and more slowly: every 10 ms
/// in its first tenth of a second, then after another tenth of the time so far, and at last every
/// `start_interval`. From then on it is asked every `interval`. Only from then on do bad answers
/// count for `liveness_fall`: `start_timeout` is what a start is measured by.
#[derive(Debug, Clone)]
pub struct Pulse {
    timing: Timing,
    tally: Tally,
    since: Instant,
    due: Instant,
    was_up: bool,
    last_bad: Option<String>,
}

impl Pulse {
    /// Nothing is known, and the first attempt is due.
    pub fn new(timing: Timing, now: Instant) -> Self {
        Self {
            tally: Tally::new(NonZeroU32::from(timing.rise), NonZeroU32::from(timing.fall)),
            timing,
            since: now,
            due: now,
            was_up: false,
            last_bad: None,
        }
    }

    /// When the next attempt is to begin.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// What the answers say.
    pub fn health(&self) -> Health {
        let last_bad = || self.last_bad.clone().unwrap_or_default();
        let deadly = self.timing.liveness_fall.map(NonZeroU32::from);
        let is_dead = deadly.is_some_and(|deadly| self.tally.failures() >= deadly.get());
        match self.tally.verdict() {
            _ if is_dead && self.was_up => Health::Dead(last_bad()),
            Verdict::Up => Health::Up,
            Verdict::Unknown if self.last_bad.is_none() => Health::Unknown,
            Verdict::Unknown | Verdict::Down => Health::Down(last_bad()),
        }
    }

    /// An attempt was made, from when to when. `None` if the container could not be asked: that
    /// says nothing of it.
    pub fn attempted(&mut self, began: Instant, ended: Instant, outcome: Option<&Outcome>) {
        if let Some(outcome) = outcome {
            self.count(outcome);
        }
        let is_bad = outcome.is_none_or(|outcome| !outcome.is_up);
        self.due = match (self.was_up, is_bad) {
            (true, _) => began + self.timing.interval.0,
            (false, false) => began + self.timing.start_interval.0,
            (false, true) => {
                let soon = ended + self.pause(began, ended);
                soon.min(began + self.timing.start_interval.0)
            }
        }
        .max(ended);
    }

    fn count(&mut self, outcome: &Outcome) {
        self.tally.count(outcome.is_up);
        if !outcome.is_up {
            self.last_bad = Some(outcome.words.clone());
        }
        self.was_up |= self.tally.verdict() == Verdict::Up;
    }

    fn pause(&self, began: Instant, ended: Instant) -> Duration {
        let so_far = ended - self.since;
        FIRST_PAUSE.max(so_far / PART).max((ended - began) * SHARE)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::definition::Time;

    const SECOND: Duration = Duration::from_secs(1);

    fn timing(rise: u16, fall: u16, liveness: u16) -> Timing {
        let count = |count| NonZeroU16::new(count);
        Timing {
            rise: count(rise).unwrap(),
            fall: count(fall).unwrap(),
            liveness_fall: count(liveness),
            ..Timing::default()
        }
    }

    /// One answer, which takes so long.
    fn answer(pulse: &mut Pulse, is_up: bool, took: Duration) {
        let outcome = if is_up {
            Outcome::up("fine")
        } else {
            Outcome::down("refused")
        };
        let began = pulse.due();
        pulse.attempted(began, began + took, Some(&outcome));
    }

    fn healths(timing: Timing, answers: &str) -> String {
        let mut pulse = Pulse::new(timing, Instant::now());
        let letter = |health| match health {
            Health::Unknown => '?',
            Health::Up => 'U',
            Health::Down(_) => 'd',
            Health::Dead(_) => 'X',
        };
        let fold = |answered| {
            answer(&mut pulse, answered == '+', Duration::ZERO);
            letter(pulse.health())
        };
        answers.chars().map(fold).collect()
    }

    #[test]
    fn thresholds() {
        for (rise, fall, liveness, answers, expected) in [
            (1, 3, 0, "+---+-", "UUUdUU"),
            (1, 1, 0, "-+-+", "dUdU"),
            (3, 2, 0, "++-+++--+++", "??dddUUdddU"),
            // A start is not measured by liveness.
            (1, 2, 3, "-----+-----+", "dddddUUdXXXU"),
            (2, 5, 3, "++--+---+", "?UUUUUUXU"),
            (2, 5, 3, "++---+-+--", "?UUUXUUUUU"),
        ] {
            let found = healths(timing(rise, fall, liveness), answers);
            assert_eq!(found, expected, "{rise} {fall} {liveness} {answers}");
        }
    }

    #[test]
    fn the_last_bad_answer_is_told() {
        let mut pulse = Pulse::new(timing(1, 1, 0), Instant::now());
        assert_eq!(pulse.health(), Health::Unknown);
        for words in ["Connection refused", "503"] {
            let began = pulse.due();
            pulse.attempted(began, began, Some(&Outcome::down(words)));
            assert_eq!(pulse.health(), Health::Down(words.to_owned()));
            let began = pulse.due();
            pulse.attempted(began, began, None);
            assert_eq!(pulse.health(), Health::Down(words.to_owned()));
        }
    }

    /// When it is asked while it starts, in milliseconds.
    fn start(took: Duration, until: Duration) -> Vec<u128> {
        let since = Instant::now();
        let mut pulse = Pulse::new(timing(1, 3, 0), since);
        let asked = std::iter::from_fn(|| {
            let at = pulse.due() - since;
            answer(&mut pulse, false, took);
            (at <= until).then_some(at.as_millis())
        });
        asked.collect()
    }

    #[test]
    fn who_starts_is_asked_every_10_ms_and_then_more_slowly() {
        let asked = start(Duration::ZERO, SECOND * 30);
        assert_eq!(asked[..11], [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!(asked[11..14], [110, 121, 133]);
        let last = asked.len() - 1;
        assert_eq!(asked[last] - asked[last - 1], 1000);
        assert!(asked.len() < 90, "{}", asked.len());
        // A command that takes 50 ms has most of the time for others.
        assert_eq!(start(SECOND / 20, SECOND)[..3], [0, 250, 500]);
    }

    proptest! {
        #[test]
        fn a_start_is_noticed_a_tenth_late_or_10_ms(at in 0..20_000_u64) {
            let at = Duration::from_millis(at);
            let asked = start(Duration::ZERO, SECOND * 30);
            let seen = asked.iter().find(|ms| **ms >= at.as_millis()).unwrap();
            let late = *seen - at.as_millis();
            let most = (at / PART).max(FIRST_PAUSE).min(SECOND);
            prop_assert!(late <= most.as_millis() + 1, "{late} ms late");
        }

        #[test]
        fn it_is_asked_as_often_as_said_and_never_in_a_hot_loop(
            answers in vec((0..3000_u64, any::<Option<bool>>()), 0..60),
            rise in 1..4_u16,
            interval in 1..10_u64,
            start_interval in 1..10_u64,
        ) {
            let timing = Timing {
                interval: Time(SECOND * u32::try_from(interval).unwrap()),
                start_interval: Time(SECOND * u32::try_from(start_interval).unwrap()),
                ..timing(rise, 2, 3)
            };
            let mut pulse = Pulse::new(timing, Instant::now());
            let mut in_a_row = 0;
            let mut was_up = false;
            for (took, answered) in answers {
                let began = pulse.due();
                let ended = began + Duration::from_millis(took);
                let outcome = answered.map(|is_up| Outcome {
                    is_up,
                    words: String::new(),
                });
                in_a_row = match answered {
                    Some(true) => in_a_row + 1,
                    Some(false) => 0,
                    None => in_a_row,
                };
                was_up |= in_a_row >= rise;
                pulse.attempted(began, ended, outcome.as_ref());
                let longest = if was_up { timing.interval.0 } else { timing.start_interval.0 };
                prop_assert!(pulse.due() >= ended);
                prop_assert!(pulse.due() >= began + FIRST_PAUSE);
                prop_assert!(pulse.due() <= (began + longest).max(ended));
                if was_up {
                    prop_assert_eq!(pulse.due(), (began + longest).max(ended));
                }
                let is_dead = matches!(pulse.health(), Health::Dead(_));
                prop_assert!(was_up || !is_dead);
            }
        }
    }
}
