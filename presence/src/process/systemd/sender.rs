use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until, timeout};
use tracing::{error, info, warn};

use super::outbox::{Outbox, Words};
use super::{Manager, NOTIFY_SOCKET};
use crate::process::health::{Health, Readiness};

/// A service manager that takes nothing for so long is not waited for.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends what the notifiers leave. Made by [`Manager::connect`].
#[derive(Debug)]
pub struct Sender {
    manager: Manager,
    health: Health,
    words: watch::Receiver<Words>,
    outbox: Outbox,
    stuck: Vec<String>,
    unreachable: bool,
}

impl Sender {
    pub(super) fn new(manager: Manager, health: Health, words: watch::Receiver<Words>) -> Self {
        Self {
            manager,
            health,
            words,
            outbox: Outbox::default(),
            stuck: Vec::new(),
            unreachable: false,
        }
    }

    /// Sends until a notifier says [`finish`](super::Notifier::finish), or all
    /// of them are gone.
    pub async fn run(mut self) {
        let mut readiness = self.health.watch_readiness();
        let mut watchdog = self.manager.watchdog.map(ticks);
        loop {
            let words = self.words.borrow_and_update().clone();
            let ready = *readiness.borrow_and_update() == Readiness::Ready;
            for message in self.outbox.news(&words, ready, Instant::now()) {
                self.send(&message).await;
            }
            if words.finished {
                return;
            }
            // All arms are cancel-safe: the channels keep what is new, the
            // ticks and the deadline are kept outside.
            tokio::select! {
                changed = self.words.changed() => if changed.is_err() {
                    return;
                },
                Ok(()) = readiness.changed() => {}
                () = until(self.outbox.held_until(&words)) => {}
                () = tick(watchdog.as_mut()) => self.feed_watchdog().await,
            }
        }
    }

    /// Only while every task makes progress; else systemd is left to act.
    async fn feed_watchdog(&mut self) {
        let stuck = self.health.stuck();
        let tasks: Vec<_> = stuck.iter().map(|stuck| stuck.task.clone()).collect();
        if tasks.is_empty() {
            self.send(&NotifyState::Watchdog.to_string()).await;
        }
        if tasks == self.stuck {
            return;
        }
        for stuck in &stuck {
            error!("{stuck}; systemd's watchdog is not fed until it does");
        }
        if tasks.is_empty() {
            info!("all tasks make progress again; systemd's watchdog is fed");
        }
        self.stuck = tasks;
    }

    /// Says a failure once, until it works again.
    async fn send(&mut self, message: &str) {
        let Some(address) = &self.manager.socket else {
            return;
        };
        let sent = timeout(SEND_TIMEOUT, send(address, message)).await;
        match sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => self.unreachable = false,
            Err(error) if !self.unreachable => {
                self.unreachable = true;
                warn!("cannot tell systemd {message} ({NOTIFY_SOCKET} is {address:?}): {error}");
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

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;

    use tokio::net::UnixDatagram as Socket;

    use super::*;
    use crate::process::systemd::Notifier;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A service manager at a socket of the test's own.
    struct Systemd {
        socket: Socket,
        notifier: Notifier,
        health: Health,
        task: tokio::task::JoinHandle<()>,
    }

    impl Systemd {
        fn start(watchdog: Option<Duration>) -> Self {
            let name = format!("presence-test-{:016x}", fastrand::u64(..));
            let address = SocketAddr::from_abstract_name(name).unwrap();
            let socket = UnixDatagram::bind_addr(&address).unwrap();
            socket.set_nonblocking(true).unwrap();
            let manager = Manager {
                socket: Some(address),
                watchdog,
            };
            let health = Health::starting();
            let (notifier, sender) = manager.connect(health.clone());
            Self {
                socket: Socket::from_std(socket).unwrap(),
                notifier,
                health,
                task: tokio::spawn(sender.run()),
            }
        }

        async fn hears(&self) -> String {
            let mut buffer = [0; 1024];
            let received = timeout(PATIENCE, self.socket.recv(&mut buffer)).await;
            let length = received.expect("nothing was sent").unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        }

        async fn ends(self) {
            timeout(PATIENCE, self.task).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn the_life_of_a_service_is_told_in_order() {
        let systemd = Systemd::start(None);
        systemd.notifier.status("starting\nslowly");
        assert_eq!(systemd.hears().await, "STATUS=starting slowly");
        systemd.notifier.extend_timeout(Duration::from_secs(5));
        assert_eq!(systemd.hears().await, "EXTEND_TIMEOUT_USEC=5000000");
        systemd.health.ready();
        assert_eq!(systemd.hears().await, "READY=1");
        systemd.notifier.status("serving");
        assert_eq!(systemd.hears().await, "STATUS=serving");
        systemd.notifier.stopping();
        assert_eq!(systemd.hears().await, "STOPPING=1");
        systemd.notifier.status("stopped");
        systemd.notifier.finish();
        assert_eq!(systemd.hears().await, "STATUS=stopped");
        systemd.ends().await;
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_only_while_every_task_makes_progress() {
        let systemd = Systemd::start(Some(Duration::from_millis(20)));
        let _quick = systemd.health.heartbeat("quick", PATIENCE);
        assert_eq!(systemd.hears().await, "WATCHDOG=1");
        assert_eq!(systemd.hears().await, "WATCHDOG=1");
        let slow = systemd.health.heartbeat("slow", Duration::ZERO);
        // What was on its way is heard; then nothing, for many periods.
        let heard = async {
            loop {
                systemd.hears().await;
            }
        };
        let _ = timeout(Duration::from_millis(200), heard).await;
        let mut buffer = [0; 64];
        assert!(systemd.socket.try_recv(&mut buffer).is_err());
        drop(slow);
        assert_eq!(systemd.hears().await, "WATCHDOG=1");
    }

    #[tokio::test]
    async fn without_notifiers_there_is_nothing_to_send() {
        let systemd = Systemd::start(None);
        let Systemd { notifier, task, .. } = systemd;
        drop(notifier);
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_manager_that_is_gone_is_no_error() {
        let (notifier, sender) = Manager {
            socket: Some(SocketAddr::from_pathname("/nonexistent/notify").unwrap()),
            watchdog: None,
        }
        .connect(Health::starting());
        notifier.status("nobody hears this");
        notifier.finish();
        timeout(PATIENCE, sender.run()).await.unwrap();
    }
}
