//! Whether members that are held still answer: nobody else says whether an
//! address is still that of a real server.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How often they are asked,
const INTERVAL: Duration = Duration::from_secs(5);
/// how long an answer may take,
const PATIENCE: Duration = Duration::from_millis(1500);
/// and how often in a row there may be none.
const FAILURES: u32 = 2;
/// How many are asked at once.
const AT_ONCE: usize = 256;

/// Whether somebody answers at an address: how that is found out.
pub type Ask = Arc<dyn Fn(SocketAddr) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// By a TCP connect.
pub fn tcp() -> Ask {
    Arc::new(|address| Box::pin(answers(address)))
}

/// Asks those of `held` for ever, and says in `silent` who does not answer.
pub async fn run(
    ask: Ask,
    mut held: watch::Receiver<BTreeSet<SocketAddr>>,
    silent: watch::Sender<BTreeSet<SocketAddr>>,
) {
    let mut failures: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    loop {
        let asked = held.borrow_and_update().clone();
        failures.retain(|address, _| asked.contains(address));
        if asked.is_empty() {
            say(&silent, &failures);
            if held.changed().await.is_err() {
                return;
            }
            continue;
        }
        let answers: Vec<(SocketAddr, bool)> = stream::iter(asked)
            .map(|address| {
                let answer = ask(address);
                async move { (address, answer.await) }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (address, answers) in answers {
            let failed = failures.entry(address).or_default();
            *failed = if answers { 0 } else { failed.saturating_add(1) };
        }
        say(&silent, &failures);
        sleep(INTERVAL).await;
    }
}

async fn answers(address: SocketAddr) -> bool {
    matches!(
        timeout(PATIENCE, TcpStream::connect(address)).await,
        Ok(Ok(_))
    )
}

fn say(silent: &watch::Sender<BTreeSet<SocketAddr>>, failures: &BTreeMap<SocketAddr, u32>) {
    let now = failures.iter().filter(|(_, failed)| **failed >= FAILURES);
    let now: BTreeSet<SocketAddr> = now.map(|(address, _)| *address).collect();
    silent.send_if_modified(|last| {
        let news = *last != now;
        *last = now;
        news
    });
}
