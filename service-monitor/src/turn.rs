//! Waits for a turn at a lease, and says meanwhile how that goes: on stderr,
//! and to systemd, which is asked for the time that it takes.

use std::time::Duration;

use nix::sys::signal::Signal;
use presence::model::Label;
use presence::process::clock::sleep_until_some;
use presence::process::complaint::Complaint;
use presence::process::exit::{Failure, UNAVAILABLE};
use presence::process::systemd::Notifier;
use presence::semaphore::{Claim, Held, Progress, Semaphore};
use presence::store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How often systemd hears of it, and for how long it is then asked to wait.
const TICK: Duration = Duration::from_secs(5);
const EXTENSION: Duration = Duration::from_secs(20);

/// How often the same is said again.
const REMINDER: Duration = Duration::from_mins(1);

/// A turn to be waited for.
pub struct Turn<S> {
    /// The lease.
    pub semaphore: Semaphore<S>,
    /// Whose it is.
    pub label: Label,
    /// Who wants to hold it.
    pub claim: Claim,
    /// How long is waited.
    pub limit: Option<Duration>,
    /// Tells systemd.
    pub notifier: Notifier,
}

/// Why it did not come.
#[derive(Debug)]
pub enum Missed {
    /// A signal ended the wait.
    Signal(Signal),
    /// It did not come in time.
    Late(String),
    /// etcd is away: from the beginning, or at the end of the time.
    Away(String),
    /// etcd does not do it.
    Refused(StoreError),
}

impl Missed {
    /// How the process ends; `late` is the exit code where the time ran out.
    pub fn into_failure(self, late: u8) -> Failure {
        match self {
            Self::Signal(signal) => Failure::silent(by_signal(signal)),
            Self::Late(words) => Failure::new(late, words),
            Self::Away(words) => Failure::new(UNAVAILABLE, words),
            Self::Refused(error) => error.into(),
        }
    }
}

/// As a shell has it for a program that a signal ended.
pub fn by_signal(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(u8::MAX)
}

impl<S: Store> Turn<S> {
    /// Waits until it has come, or `stop`.
    pub async fn wait(self, stop: impl Future<Output = Signal>) -> Result<Held<S>, Missed> {
        let (tell, progress) = watch::channel(Progress::default());
        let mut missed = None;
        let give_up = async { missed = Some(self.missed(progress, stop).await) };
        let held = self
            .semaphore
            .acquire(self.claim.clone(), &tell, give_up)
            .await;
        match (held, missed) {
            (Ok(Some(held)), _) => {
                self.hold(&held);
                Ok(held)
            }
            (Err(error), _) => Err(Missed::Refused(error)),
            (Ok(None), Some(missed)) => Err(missed),
            (Ok(None), None) => unreachable!("nobody gives up but with a reason"),
        }
    }

    fn hold(&self, held: &Held<S>) {
        let (label, service) = (&self.label, &self.claim.service);
        let ttl = humantime::format_duration(self.claim.ttl);
        self.notifier.status(format!("holds the lease of {label}"));
        tracing::info!(
            %label, %service, token = %held.token(),
            "{service} holds the lease of {label} for {ttl}, with token {}", held.token()
        );
    }

    /// Says how it goes until it is to end.
    async fn missed(
        &self,
        mut progress: watch::Receiver<Progress>,
        stop: impl Future<Output = Signal>,
    ) -> Missed {
        let end = self.limit.map(|limit| Instant::now() + limit);
        let mut said = Complaint::every(REMINDER);
        tokio::pin!(stop);
        loop {
            let now = progress.borrow_and_update().clone();
            self.say(&now, &mut said);
            if let (None, Some(trouble)) = (&now.queue, now.trouble) {
                return Missed::Away(trouble);
            }
            // All cancel-safe: what was missed is still there when asked again.
            tokio::select! {
                biased;
                signal = &mut stop => return Missed::Signal(signal),
                () = sleep_until_some(end) => return self.late(&progress.borrow()),
                // The sender lives as long as somebody waits.
                Ok(()) = progress.changed() => {}
                () = sleep(TICK) => {}
            }
        }
    }

    fn late(&self, progress: &Progress) -> Missed {
        let limit = humantime::format_duration(self.limit.unwrap_or_default());
        let words = format!(
            "{} does not hold the lease of {} after {limit}: {progress}",
            self.claim.service, self.label
        );
        if progress.trouble.is_some() {
            Missed::Away(words)
        } else {
            Missed::Late(words)
        }
    }

    fn say(&self, now: &Progress, said: &mut Complaint) {
        self.notifier.extend_timeout(EXTENSION);
        let words = format!("lease of {}: {now}", self.label);
        let holders: Vec<_> = now.holders.iter().map(|holder| &holder.service).collect();
        let stance = (now.waiting_ahead(), now.allowed, now.requeued, &now.trouble);
        if now.queue.is_some() && said.is_due(&format!("{stance:?} {holders:?}")) {
            tracing::info!(label = %self.label, "{words}");
        }
        self.notifier.status(words);
    }
}
