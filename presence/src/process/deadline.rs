//! Deadlines that a suspended machine does not put off.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep};

/// How much later than due [`Deadline::passed`] may tell after the machine was
/// suspended: timers stand still meanwhile.
const LATENESS: Duration = Duration::from_secs(1);

/// A point in time on the boot clock, which goes on while the machine is
/// suspended; and on tokio's, so that a test with a paused clock decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    tokio: Instant,
    boot: Duration,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self {
            tokio: Instant::now(),
            boot: since_boot(),
        }
    }

    /// How long ago it was, by the clock that went further.
    pub fn elapsed(&self) -> Duration {
        let boot = since_boot().saturating_sub(self.boot);
        self.tokio.elapsed().max(boot)
    }

    /// The same on tokio's clock, for timers.
    pub fn instant(&self) -> Instant {
        self.tokio
    }

    /// So much later.
    pub fn plus(self, span: Duration) -> Deadline {
        Deadline { from: self, span }
    }
}

/// An end that is not put off by anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deadline {
    from: Moment,
    span: Duration,
}

impl Deadline {
    /// What is left until then; nothing once it has passed.
    pub fn left(&self) -> Duration {
        self.span.saturating_sub(self.from.elapsed())
    }

    /// Whether it is over.
    pub fn has_passed(&self) -> bool {
        self.left().is_zero()
    }

    /// As much earlier; at once, if there is not as much.
    #[must_use]
    pub fn less(self, span: Duration) -> Self {
        Self {
            span: self.span.saturating_sub(span),
            ..self
        }
    }

    /// Ready when it has passed; at most a second late where the machine was
    /// suspended. Cancel-safe.
    pub async fn passed(&self) {
        while !self.has_passed() {
            sleep(self.left().min(LATENESS)).await;
        }
    }
}

fn since_boot() -> Duration {
    // Linux has this clock since 2.6.39; without it tokio's decides alone.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn it_passes_when_its_time_is_over() {
        let begin = Instant::now();
        let deadline = Moment::now().plus(TTL);
        assert!(!deadline.has_passed());
        assert!(deadline.less(TTL).has_passed());
        assert!(deadline.less(TTL * 2).has_passed());
        deadline.less(TTL / 2).passed().await;
        assert!(begin.elapsed() >= Duration::from_millis(4900));
        assert!(begin.elapsed() <= Duration::from_millis(5100));
        deadline.passed().await;
        assert!(deadline.has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_boot_clock_counts_while_timers_stand_still() {
        let slept = Moment {
            boot: since_boot().checked_sub(TTL).unwrap(),
            ..Moment::now()
        };
        assert!(slept.elapsed() >= TTL);
        assert!(slept.plus(TTL).has_passed());
    }
}
