//! Asks.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use presence::probe::{Outcome, Probe, Target};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::attempt::{Attempt, Command, Getting};
use super::{Board, Pulse};
use crate::assemble::{Ask, Page, Probes, Request};
use crate::definition::Timing;
use crate::life::Health;
use crate::runtime::{Container, ContainerRuntime, Ours};

/// A page of `monitor` that takes longer is not as expected.
const PAGE_LIMIT: Duration = Duration::from_secs(10);
/// A page that was not as expected keeps the container out, so it is asked for again soon.
const PAGE_REPEAT: Duration = Duration::from_secs(5);
/// What Docker says of a container is looked at so often, also when it tells of no change.
const LOOK: Duration = Duration::from_secs(5);

/// Asks one container, as long as it is polled. Whether the container runs is not its business: one
/// that is paused, or gone, does not answer.
#[derive(Debug)]
pub struct Checker<R> {
    probes: Probes,
    runtime: R,
    ours: Ours,
}

impl<R: ContainerRuntime> Checker<R> {
    /// One that asks this of this container. Nothing is asked yet.
    pub fn new(probes: Probes, runtime: R, ours: Ours) -> Self {
        Self {
            probes,
            runtime,
            ours,
        }
    }

    /// Asks, at once and then again and again, and tells what comes of it whenever that changes.
    /// Never returns. Dropping it ends all attempts, but a command in the container goes on.
    pub async fn run(self, health: watch::Sender<Health>) -> Infallible {
        let desk = Desk {
            board: watch::Sender::new(Board::default()),
            health,
        };
        let pages = self.probes.pages.iter().enumerate();
        let pages = join_all(pages.map(|(number, page)| watch_page(&desk, number, page)));
        let (never, _) = tokio::join!(self.watch_health(&desk), pages);
        never
    }

    async fn watch_health(&self, desk: &Desk) -> Infallible {
        let attempt = match &self.probes.health {
            Ask::Image => return self.look_on(desk).await,
            Ask::Running => Err(Health::Up),
            Ask::Nowhere(words) => Err(Health::Down(words.clone())),
            Ask::Http(request) => self.page(request),
            Ask::Tcp { host, port } => Ok(Attempt::Tcp(self.tcp(host, *port))),
            Ask::Exec(words) => Ok(Attempt::Exec(self.command(words))),
        };
        match attempt {
            Ok(attempt) => ask_on(desk, self.probes.timing, attempt).await,
            // It stays so.
            Err(health) => {
                desk.say(|board| board.health = health);
                pending().await
            }
        }
    }

    fn page(&self, request: &Request) -> Result<Attempt<R>, Health> {
        Getting::new(request, self.limit())
            .map(Attempt::Page)
            .map_err(|error| Health::Down(error.to_string()))
    }

    fn tcp(&self, host: &str, port: u16) -> Probe {
        let host = host.to_owned();
        Probe::new(Target::Tcp { host, port }, self.limit())
    }

    fn command(&self, words: &[String]) -> Command<R> {
        let (runtime, ours) = (self.runtime.clone(), self.ours.clone());
        Command::new(runtime, ours, words.to_vec(), self.limit())
    }

    fn limit(&self) -> Duration {
        self.probes.timing.timeout.0
    }

    /// Docker itself asks, and tells when it knows more.
    async fn look_on(&self, desk: &Desk) -> Infallible {
        loop {
            let mut nudges = self.runtime.nudges(&self.ours);
            loop {
                // What cannot be asked says nothing.
                if let Ok(Some(container)) = self.runtime.inspect(&self.ours).await {
                    desk.say(|board| board.health = of_image(&container, &board.health));
                }
                // Both arms are cancel-safe: the next nudge waits in its stream.
                tokio::select! {
                    () = sleep(LOOK) => {}
                    nudge = nudges.next() => match nudge {
                        Some(Ok(())) => {}
                        Some(Err(_)) | None => break,
                    },
                }
            }
            sleep(LOOK).await;
        }
    }
}

/// While it is not decided it stays what it was: Docker forgets it when it is restarted.
fn of_image(container: &Container, before: &Health) -> Health {
    match &container.health {
        Some(found) => match found.healthy {
            None => before.clone(),
            Some(true) => Health::Up,
            Some(false) => Health::Down(found.output.clone()),
        },
        None => before.clone(),
    }
}

/// Asks as the pulse says.
async fn ask_on<R: ContainerRuntime>(
    desk: &Desk,
    timing: Timing,
    mut attempt: Attempt<R>,
) -> Infallible {
    let mut pulse = Pulse::new(timing, Instant::now());
    loop {
        sleep_until(pulse.due()).await;
        let began = Instant::now();
        let outcome = attempt.once().await;
        pulse.attempted(began, Instant::now(), outcome.as_ref());
        desk.say(|board| board.health = pulse.health());
    }
}

/// Asks for a page while the container is healthy: before that it is the health check that says so.
async fn watch_page(desk: &Desk, number: usize, page: &Page) -> Infallible {
    let mut board = desk.board.subscribe();
    let getting = match &page.request {
        Ok(request) => Getting::new(request, PAGE_LIMIT).map_err(|error| error.to_string()),
        Err(words) => Err(words.clone()),
    };
    loop {
        let healthy = board.wait_for(|board| board.health == Health::Up);
        // The desk is there as long as this is.
        drop(healthy.await);
        let began = Instant::now();
        let outcome = match &getting {
            Ok(getting) => getting.attempt().await,
            Err(words) => Outcome::down(words.clone()),
        };
        let pause = if outcome.is_up {
            page.frequency
        } else {
            page.frequency.min(PAGE_REPEAT)
        };
        desk.say(|board| board.page(number, &page.path, &outcome));
        sleep_until(began + pause).await;
    }
}

/// Where all checks write, and what is told of it.
struct Desk {
    board: watch::Sender<Board>,
    health: watch::Sender<Health>,
}

impl Desk {
    fn say(&self, change: impl FnOnce(&mut Board)) {
        self.board.send_modify(change);
        let said = self.board.borrow().health();
        self.health.send_if_modified(|known| {
            let is_new = *known != said;
            *known = said;
            is_new
        });
    }
}
