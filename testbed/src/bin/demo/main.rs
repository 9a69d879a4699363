//! A tour of lbmanager and launcher on one machine: a real etcd, the real `etcdctl`, simulated AWS, a
//! real Docker, and a kernel with IPVS as a guest, in which this program runs again.
//!
//! `KEEP=1` in the environment leaves everything up afterwards, to be played with until Ctrl-C.

mod balancers;
mod chart;
mod container;
mod keep;
mod kernel;
mod scene;
mod screen;
mod stage;
mod steps;
mod table;

use std::process::ExitCode;

use testbed::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use scene::Tally;
use screen::Screen;
use stage::Stage;

/// As a shell has it for a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(ended) = kernel::inside::main().await {
        return ended;
    }
    let screen = Screen::new();
    // Whatever was started goes with the tour, so an interrupted one leaves nothing behind, either.
    tokio::select! {
        biased;
        () = interrupted() => {
            screen.line("");
            screen.line("Interrupted. Everything is stopped and removed.");
            ExitCode::from(INTERRUPTED)
        }
        result = tour(&screen) => match result {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                screen.failure(&error.chain());
                ExitCode::FAILURE
            }
        },
    }
}

async fn interrupted() {
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut signals) => _ = signals.recv().await,
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

/// Whether everything was as it should be.
async fn tour(screen: &Screen) -> Result<bool> {
    let begin = Instant::now();
    let mut stage = Stage::set_up().await?;
    stage.introduce(screen).await?;
    let mut tally = Tally::default();
    steps::all(&stage, screen, &mut tally).await;
    let no_container = container::show(&stage, screen, &mut tally).await;
    if tally.failed > 0 {
        stage.show_log(screen);
    }
    let no_kernel = kernel::show(screen, &mut tally).await;
    screen.line("");
    screen.line(&tally.words(begin.elapsed()));
    for (what, left_out) in [
        ("A container was", no_container),
        ("Virtual services were", no_kernel),
    ] {
        if let Some(why) = left_out {
            screen.paragraph(0, &format!("{what} not shown: {why}"));
        }
    }
    if keep::is_wanted() {
        keep::explain(&stage, screen);
        std::future::pending::<()>().await;
    }
    if !stage.strike().await? {
        screen.failure("lbmanager did not end as it should when told to");
        stage.show_log(screen);
        tally.failed += 1;
    }
    Ok(tally.failed == 0)
}
