//! Asks the service, and judges by the answers.

use std::time::Duration;

use jiff::Timestamp;
use presence::probe::{Judge, Outcome, Probe, Rules, Verdict};
use presence::process::clock::Clock;
use presence::process::health::Heartbeat;
use presence::process::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::metrics::Metrics;

/// What was seen last.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When the last attempt began.
    pub began: Instant,
    /// What it found.
    pub outcome: Outcome,
    /// What it and those before it say.
    pub verdict: Verdict,
    /// Since when they say so.
    pub since: Timestamp,
}

/// What a prober runs on.
#[derive(Debug)]
pub struct Prober {
    /// What is asked.
    pub probe: Probe,
    /// How often, and how many like answers count.
    pub rules: Rules,
    /// Where is told what was seen; `None` before the first attempt has ended.
    pub seen: watch::Sender<Option<Seen>>,
    /// Counts.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Beaten with each attempt.
    pub heartbeat: Heartbeat,
}

impl Prober {
    /// How long it may be without progress.
    pub fn progress(rules: Rules, limit: Duration) -> Duration {
        rules.interval + limit + Duration::from_secs(30)
    }

    /// Asks until shutdown. An attempt that is under way then is abandoned.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.triggered() => {}
            () = self.forever() => {}
        }
    }

    async fn forever(self) {
        let mut judge = Judge::new(self.rules, Instant::now());
        let mut since = self.clock.now();
        loop {
            sleep_until(judge.due()).await;
            self.heartbeat.beat();
            let began = Instant::now();
            let outcome = self.probe.attempt().await;
            let ended = Instant::now();
            if judge.attempted(began, ended, outcome.is_up) {
                since = self.clock.now();
                tell(judge.verdict(), &outcome);
            } else if !outcome.is_up && judge.verdict() == Verdict::Up {
                tracing::info!("a probe failed, and is repeated: {outcome}");
            }
            self.metrics
                .attempted(&outcome, ended - began, judge.verdict());
            self.seen.send_replace(Some(Seen {
                began,
                outcome,
                verdict: judge.verdict(),
                since,
            }));
        }
    }
}

fn tell(verdict: Verdict, outcome: &Outcome) {
    match verdict {
        Verdict::Up => tracing::info!("the service is up: {outcome}"),
        Verdict::Down => tracing::warn!("the service is down: {outcome}"),
        Verdict::Unknown => {}
    }
}
