//! What goes on around a daemon's own work: words for systemd, pages over
//! HTTP.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

use super::args::ListenArgs;
use super::exit::Failure;
use super::health::Health;
use super::http::Endpoint;
use super::systemd::{Manager, Notifier, Sender};

/// How long a deaf service manager is waited for at the end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A daemon that is starting.
#[derive(Debug)]
pub struct Daemon {
    /// How it is: heartbeats and readiness.
    pub health: Health,
    /// What systemd is to be told.
    pub notifier: Notifier,
    sender: Sender,
    endpoint: Option<Endpoint>,
}

impl Daemon {
    /// One that cannot be looked at over HTTP.
    pub fn without_pages() -> Result<Self, Failure> {
        let health = Health::starting();
        let (notifier, sender) = Manager::from_env()?.connect(health.clone());
        Ok(Self {
            health,
            notifier,
            sender,
            endpoint: None,
        })
    }

    /// Takes the address of `--listen`, and finds out whom to notify.
    pub async fn start(listen: &ListenArgs) -> Result<Self, Failure> {
        Ok(Self {
            endpoint: listen.listen().await?,
            ..Self::without_pages()?
        })
    }

    /// Serves and notifies until the work is done, and then says the last
    /// words.
    pub async fn run<T>(
        self,
        registry: Registry,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let telling = tokio::spawn(self.sender.run());
        let health = self.health;
        let serving = async {
            match self.endpoint {
                Some(endpoint) => endpoint.serve(health, Arc::new(registry)).await,
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            result = work => result,
            result = serving => Err(Failure::unexpected(
                result.err().unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into()),
            )
            .context("the HTTP server ended")),
        };
        if let Err(failure) = &result {
            self.notifier.failed(failure);
        }
        self.notifier.finish();
        // It ends once everything was told.
        let _ = tokio::time::timeout(LAST_WORDS, telling).await;
        result
    }
}
