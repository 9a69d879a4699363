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

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

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
    /// second.
    pub fn status(&self, status: impl Into<String>) {
        // systemd takes one assignment a line.
        let status = status.into().replace(['\n', '\r'], " ");
        self.0.send_if_modified(|words| {
            let changed = words.status != status;
            words.status = status;
            changed
        });
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
