//! Waiting for a condition with a deadline, for where nothing notifies.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Something awaited did not come in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited {deadline:?} for {what}; last seen: {last}")]
pub struct TimedOut {
    /// What was awaited.
    pub what: String,
    /// For how long.
    pub deadline: Duration,
    /// What was seen last, for the reader of the failed test.
    pub last: String,
}

/// Waits until `condition` gives `Ok`, and gives that; an `Err` is what is seen in the meantime.
///
/// The condition is cut off at the deadline even in the middle of an evaluation.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut n = 0;
/// let got = testbed::wait::until("n to be 3", std::time::Duration::from_secs(1), || {
///     n += 1;
///     let seen = n;
///     async move { if seen == 3 { Ok("three") } else { Err(seen) } }
/// });
/// assert_eq!(got.await, Ok("three"));
/// # });
/// ```
pub async fn until<T, S: Debug, F: Future<Output = Result<T, S>>>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<T, TimedOut> {
    let end = Instant::now() + deadline;
    let mut pause = FIRST_PAUSE;
    let mut last = None;
    loop {
        match timeout_at(end, condition()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => last = Some(format!("{seen:?}")),
            Err(_) => break,
        }
        if Instant::now() >= end {
            break;
        }
        sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    let last = last.unwrap_or_else(|| "nothing: the condition itself never finished".to_owned());
    Err(TimedOut {
        what: what.to_owned(),
        deadline,
        last,
    })
}

/// As [`until`], for a condition that is just true or not.
pub async fn until_true<F: Future<Output = bool>>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<(), TimedOut> {
    let condition = || {
        let holds = condition();
        async { if holds.await { Ok(()) } else { Err(false) } }
    };
    until(what, deadline, condition).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn gives_what_the_condition_gives() {
        let begin = Instant::now();
        let got = until("a second to pass", Duration::from_secs(5), || async {
            if begin.elapsed() >= Duration::from_secs(1) {
                Ok("done")
            } else {
                Err(begin.elapsed())
            }
        });
        assert_eq!(got.await, Ok("done"));
        assert!(begin.elapsed() < Duration::from_millis(1100));
    }

    #[tokio::test(start_paused = true)]
    async fn names_what_and_the_last_seen_state() {
        let mut seen = 0;
        let error = until("ten", Duration::from_millis(3), || {
            seen += 1;
            std::future::ready(Err::<(), _>(seen))
        });
        let error = error.await.unwrap_err();
        assert_eq!(error.to_string(), "waited 3ms for ten; last seen: 3");
    }

    #[tokio::test(start_paused = true)]
    async fn cuts_off_a_condition_that_hangs() {
        let error = until_true("never", Duration::from_secs(1), || async {
            std::future::pending().await
        });
        assert!(error.await.unwrap_err().last.contains("never finished"));
    }
}
