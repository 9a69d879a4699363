//! What systemd is told: READY, STATUS, WATCHDOG, STOPPING.
//!
//! One task sends ([`Sender::run`]); everybody else holds a [`Notifier`],
//! which leaves the latest words for that task and never waits.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until, timeout};
use tracing::{error, warn};

use super::exit::Failure;
use super::health::{Health, Readiness};

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// At most 2 words of STATUS a second.
const STATUS_PERIOD: Duration = Duration::from_millis(500);
/// A service manager that takes nothing for so long is not waited for.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes from a child's environment what systemd told only this process, so
/// that no child speaks in its name. For tokio's commands: `as_std_mut()`.
pub fn scrub(command: &mut Command) {
    for name in [NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID] {
        command.env_remove(name);
    }
}

/// The service manager, as this process was told of it.
#[derive(Debug, Clone, Default)]
pub struct Manager {
    socket: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

/// A variable that systemd sets holds what it never does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}, but {allowed}; it is set by systemd and by nobody else")]
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

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, ManagerError> {
        let socket = get(NOTIFY_SOCKET).filter(|value| !value.is_empty());
        let watchdog = get(WATCHDOG_USEC).filter(|value| !value.is_empty());
        // The parent's watchdog is the parent's to feed.
        let ours = get(WATCHDOG_PID).is_none_or(|pid| pid == std::process::id().to_string());
        Ok(Self {
            socket: socket.map(|value| address(&value)).transpose()?,
            watchdog: match watchdog.filter(|_| ours) {
                Some(value) => Some(microseconds(&value)?),
                None => None,
            },
        })
    }

    /// The two halves: for everybody who has something to say, and for the
    /// task that says it. READY follows the readiness in `health`, WATCHDOG
    /// its heartbeats.
    pub fn connect(self, health: Health) -> (Notifier, Sender) {
        let (words, said) = watch::channel(Words::default());
        let sender = Sender {
            manager: self,
            health,
            words: said,
            told: Words::default(),
            ready: false,
            next_status: None,
            stuck: String::new(),
            unreachable: false,
        };
        (Notifier(words), sender)
    }
}

/// `/path`, or `@name` for one in the abstract namespace: `sd_notify(3)`.
fn address(value: &str) -> Result<SocketAddr, ManagerError> {
    let address = match value.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if value.starts_with('/') => SocketAddr::from_pathname(value),
        None => Err(io::ErrorKind::InvalidInput.into()),
    };
    address.map_err(|_| ManagerError {
        name: NOTIFY_SOCKET,
        value: value.to_owned(),
        allowed: "an absolute path or @name of at most 107 bytes is expected",
    })
}

fn microseconds(value: &str) -> Result<Duration, ManagerError> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(Duration::from_micros(number)),
        _ => Err(ManagerError {
            name: WATCHDOG_USEC,
            value: value.to_owned(),
            allowed: "a number of microseconds above 0 is expected",
        }),
    }
}

/// What is to be known, as of now; [`Sender`] knows what was said of it.
#[derive(Debug, Clone, Default)]
struct Words {
    status: String,
    /// How often an extension was asked for, and the last one.
    extensions: u64,
    extension: Duration,
    stopping: bool,
    finished: bool,
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

/// Sends what the [`Notifier`]s leave.
#[derive(Debug)]
pub struct Sender {
    manager: Manager,
    health: Health,
    words: watch::Receiver<Words>,
    told: Words,
    ready: bool,
    next_status: Option<Instant>,
    stuck: String,
    unreachable: bool,
}

impl Sender {
    /// Sends until [`Notifier::finish`], or until all notifiers are gone.
    pub async fn run(mut self) {
        let mut readiness = self.health.watch_readiness();
        let mut watchdog = self.manager.watchdog.map(ticks);
        loop {
            self.tell_news().await;
            if self.words.borrow().finished {
                return self.tell_status().await;
            }
            // All arms are cancel-safe: channels keep what is new, the ticks
            // and the deadline are kept outside.
            tokio::select! {
                changed = self.words.changed() => {
                    if changed.is_err() {
                        return self.tell_status().await;
                    }
                }
                Ok(()) = readiness.changed() => {}
                () = due(self.next_status) => self.tell_status().await,
                () = tick(watchdog.as_mut()) => self.feed_watchdog().await,
            }
        }
    }

    /// Whatever is new, except a status that came too soon after the last.
    async fn tell_news(&mut self) {
        if !self.ready && self.health.readiness() == Readiness::Ready {
            self.ready = true;
            self.send(NotifyState::Ready).await;
        }
        let words = self.words.borrow_and_update().clone();
        if words.extensions != self.told.extensions {
            self.told.extensions = words.extensions;
            let usec = u32::try_from(words.extension.as_micros()).unwrap_or(u32::MAX);
            self.send(NotifyState::ExtendTimeoutUsec(usec)).await;
        }
        if words.stopping && !self.told.stopping {
            self.told.stopping = true;
            self.send(NotifyState::Stopping).await;
        }
        if self.next_status.is_none() {
            self.tell_status().await;
        }
    }

    /// The latest status, if it was not said yet.
    async fn tell_status(&mut self) {
        let status = self.words.borrow().status.clone();
        self.next_status = None;
        if status != self.told.status {
            self.next_status = Some(Instant::now() + STATUS_PERIOD);
            self.send(NotifyState::Status(&status)).await;
            self.told.status = status;
        }
    }

    /// Only while every task makes progress; else systemd is left to act.
    async fn feed_watchdog(&mut self) {
        let stuck = self.health.stuck();
        let tasks: Vec<&str> = stuck.iter().map(|stuck| stuck.task.as_str()).collect();
        let tasks = tasks.join(", ");
        if stuck.is_empty() {
            self.send(NotifyState::Watchdog).await;
        } else if tasks != self.stuck {
            for stuck in &stuck {
                error!("{stuck}; systemd's watchdog is not fed until it does");
            }
        }
        self.stuck = tasks;
    }

    async fn send(&mut self, state: NotifyState<'_>) {
        let Some(address) = &self.manager.socket else {
            return;
        };
        let sent = timeout(SEND_TIMEOUT, send(address, &state.to_string())).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match sent {
            Ok(()) => self.unreachable = false,
            Err(error) if !self.unreachable => {
                self.unreachable = true;
                warn!("cannot tell systemd {state} ({NOTIFY_SOCKET}={address:?}): {error}");
            }
            Err(_) => {}
        }
    }
}

/// A socket of its own each time, as systemd's own library does it: so one
/// that was made anew is found.
async fn send(address: &SocketAddr, message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(address)?;
    let socket = tokio::net::UnixDatagram::from_std(socket)?;
    socket.send(message.as_bytes()).await.map(|_| ())
}

/// Twice within each period, as `sd_watchdog_enabled(3)` asks.
fn ticks(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn tick(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
