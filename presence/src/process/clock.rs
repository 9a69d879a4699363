//! Time, handed in wherever it matters, so that a test can hold it still.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};

/// Wall-clock time that never jumps while the process lives: the wall clock
/// as it was at the start, plus the time that has passed since. A clock that
/// is stepped therefore ends no hold early.
///
/// With tokio's clock paused, this one stands still too.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Origin>);

#[derive(Debug)]
struct Origin {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows this now.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self(Arc::new(Origin {
            wall,
            started: Instant::now(),
        }))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.0.started.elapsed());
        passed
            .ok()
            .and_then(|passed| self.0.wall.checked_add(passed).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

/// Ready at that time; never, where there is none. Cancel-safe.
pub async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_from_where_it_started() {
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let clock = Clock::starting_at(start);
        assert_eq!(clock.now(), start);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.clone().now().to_string(), "2026-11-20T12:01:30Z");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_the_end_of_time() {
        let clock = Clock::starting_at(Timestamp::MAX);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
