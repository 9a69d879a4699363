use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::outbox::Words;
use super::{NOTIFY_SOCKET, Notifier, Sender, WATCHDOG_PID, WATCHDOG_USEC};
use crate::process::exit::Failure;
use crate::process::health::Health;

/// The service manager, as this process was told of it.
#[derive(Debug, Clone, Default)]
pub struct Manager {
    pub(super) socket: Option<SocketAddr>,
    pub(super) watchdog: Option<Duration>,
}

/// A variable that systemd sets holds what it never does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}, but {allowed}; it is for systemd to set, and for nobody else")]
pub struct ManagerError {
    name: &'static str,
    value: String,
    allowed: &'static str,
}

impl From<ManagerError> for Failure {
    fn from(error: ManagerError) -> Self {
        Self::configuration(error)
    }
}

impl Manager {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. Without them
    /// nobody is told anything.
    pub fn from_env() -> Result<Self, ManagerError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ManagerError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        // The parent's watchdog is the parent's to feed.
        let ours = set(WATCHDOG_PID).is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = set(WATCHDOG_USEC).filter(|_| ours);
        Ok(Self {
            socket: set(NOTIFY_SOCKET).map(address).transpose()?,
            watchdog: watchdog.map(microseconds).transpose()?,
        })
    }

    /// The two halves: for everybody who has something to say, and for the
    /// task that says it. READY follows the readiness in `health`, WATCHDOG
    /// its heartbeats.
    pub fn connect(self, health: Health) -> (Notifier, Sender) {
        let (words, said) = watch::channel(Words::default());
        (Notifier(words), Sender::new(self, health, said))
    }
}

/// `/path`, or `@name` for one in the abstract namespace: `sd_notify(3)`.
fn address(value: String) -> Result<SocketAddr, ManagerError> {
    let address = match value.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if value.starts_with('/') => SocketAddr::from_pathname(&value),
        None => Err(io::ErrorKind::InvalidInput.into()),
    };
    address.map_err(|_| ManagerError {
        name: NOTIFY_SOCKET,
        value,
        allowed: "an absolute path or @name of at most 107 bytes is expected",
    })
}

fn microseconds(value: String) -> Result<Duration, ManagerError> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(Duration::from_micros(number)),
        _ => Err(ManagerError {
            name: WATCHDOG_USEC,
            value,
            allowed: "a number of microseconds above 0 is expected",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &str)]) -> Result<Manager, String> {
        Manager::from_variables(|name| {
            let found = variables.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn without_systemd_there_is_nobody_to_tell() {
        let manager = manager(&[(NOTIFY_SOCKET, "")]).unwrap();
        assert!(manager.socket.is_none() && manager.watchdog.is_none());
    }

    #[test]
    fn sockets_are_paths_or_abstract_names() {
        let path = manager(&[(NOTIFY_SOCKET, "/run/systemd/notify")]).unwrap();
        let path = path.socket.unwrap();
        assert_eq!(
            path.as_pathname().unwrap().as_os_str(),
            "/run/systemd/notify"
        );
        let name = manager(&[(NOTIFY_SOCKET, "@org/notify")]).unwrap();
        assert_eq!(
            name.socket.unwrap().as_abstract_name().unwrap(),
            b"org/notify"
        );
    }

    #[test]
    fn only_our_own_watchdog_is_ours() {
        let own = std::process::id().to_string();
        for (pid, expected) in [
            (None, Some(Duration::from_secs(30))),
            (Some(own.as_str()), Some(Duration::from_secs(30))),
            (Some("1"), None),
        ] {
            let mut variables = vec![(WATCHDOG_USEC, "30000000")];
            variables.extend(pid.map(|pid| (WATCHDOG_PID, pid)));
            assert_eq!(manager(&variables).unwrap().watchdog, expected, "{pid:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (name, value, message) in [
            (
                NOTIFY_SOCKET,
                "vsock:2:1234",
                "NOTIFY_SOCKET is \"vsock:2:1234\", but an absolute path or @name of at most \
                 107 bytes is expected; it is for systemd to set, and for nobody else",
            ),
            (
                WATCHDOG_USEC,
                "0",
                "WATCHDOG_USEC is \"0\", but a number of microseconds above 0 is expected; \
                 it is for systemd to set, and for nobody else",
            ),
        ] {
            assert_eq!(manager(&[(name, value)]).unwrap_err(), message);
        }
    }
}
