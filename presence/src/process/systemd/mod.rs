//! What systemd is told: READY, STATUS, WATCHDOG, STOPPING.
//!
//! One task sends ([`Sender::run`]); everybody else holds a [`Notifier`],
//! which leaves the latest words for that task and never waits.

mod manager;
mod outbox;
mod sender;

use std::process::Command;
use std::time::Duration;

use tokio::sync::watch;

pub use manager::{Manager, ManagerError};
use outbox::Words;
pub use sender::Sender;

use super::exit::Failure;

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// In characters, of which each has at most 4 bytes: what is longer than 4,096 bytes systemd throws
/// away.
const STATUS_LENGTH: usize = 1000;

/// Takes from a child's environment what systemd told only this process, so
/// that no child speaks in its name. For tokio's commands: `as_std_mut()`.
pub fn scrub(command: &mut Command) {
    for name in [NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID] {
        command.env_remove(name);
    }
}

/// Leaves words for systemd. Never waits and never fails; clones are alike.
#[derive(Debug, Clone)]
pub struct Notifier(watch::Sender<Words>);

impl Notifier {
    /// What is going on, in words. Only the latest is sent, at most 2 a
    /// second; what is longer than 1,000 characters is cut.
    pub fn status(&self, status: impl Into<String>) {
        // systemd takes one assignment a line.
        let mut status = status.into().replace(['\n', '\r'], " ");
        if let Some((cut, _)) = status.char_indices().nth(STATUS_LENGTH) {
            status.truncate(cut);
            status.push('…');
        }
        self.0.send_if_modified(|words| {
            let changed = words.status != status;
            words.status = status;
            changed
        });
    }

    /// Why the process ends, as the last that is said; nothing if that was said, or is no error.
    pub fn failed(&self, failure: &Failure) {
        let words = failure.to_string();
        if !words.is_empty() {
            self.status(words);
        }
    }

    /// The process is about to end.
    pub fn stopping(&self) {
        self.0.send_modify(|words| words.stopping = true);
    }

    /// Start, stop or whatever is under way takes longer: systemd is to wait
    /// for so long from now, or until it is asked again.
    pub fn extend_timeout(&self, by: Duration) {
        self.0.send_modify(|words| {
            words.extensions += 1;
            words.extension = by;
        });
    }

    /// Nothing more is to come: [`Sender::run`] sends what is left and ends.
    pub fn finish(&self) {
        self.0.send_modify(|words| words.finished = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_would_throw_away_is_cut() {
        let (words, told) = watch::channel(Words::default());
        let notifier = Notifier(words);
        for (status, expected) in [
            ("a\nb".to_owned(), "a b".to_owned()),
            ("😀".repeat(1000), "😀".repeat(1000)),
            ("😀".repeat(1001), "😀".repeat(1000) + "…"),
        ] {
            notifier.status(status);
            assert_eq!(told.borrow().status, expected);
        }
        assert!("STATUS=".len() + told.borrow().status.len() < 4096);
    }

    #[test]
    fn the_reason_of_a_failure_is_the_last_status() {
        let (words, told) = watch::channel(Words::default());
        let notifier = Notifier(words);
        notifier.status("ended");
        notifier.failed(&Failure::silent(1));
        assert_eq!(told.borrow().status, "ended");
        notifier.failed(&Failure::usage("no such port").context("cannot listen"));
        assert_eq!(told.borrow().status, "cannot listen: no such port");
    }

    #[test]
    fn children_do_not_inherit_what_systemd_told_us() {
        let mut command = Command::new("true");
        command.env(NOTIFY_SOCKET, "/run/systemd/notify");
        scrub(&mut command);
        let taken: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert_eq!(taken, [NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC]);
    }
}
