//! `--listen`: `/metrics`, `/healthz` and `/readyz` over HTTP.

mod bounded;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use bounded::Bounded;

use super::exit::Failure;
use super::health::{Health, Readiness};

/// The media type of what `/metrics` answers; Prometheus reads it as well as
/// its own.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (--listen)")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Self::configuration(error)
    }
}

/// An address that is listened on, and nobody is answered yet.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Takes the address. To be called at the start, so that one that is
    /// taken already is said at once.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens: with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped. No client can take more than a bounded
    /// number of connections, or keep one for long.
    pub async fn serve(self, health: Health, metrics: Arc<Registry>) -> io::Result<()> {
        axum::serve(Bounded::new(self.listener), router(health, metrics)).await
    }
}

fn router(health: Health, metrics: Arc<Registry>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(
            Router::new()
                .route("/metrics", get(write_metrics))
                .with_state(metrics),
        )
}

async fn healthz(State(health): State<Health>) -> (StatusCode, String) {
    let stuck = health.stuck();
    if stuck.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines: Vec<String> = stuck.iter().map(ToString::to_string).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.join("\n") + "\n")
}

async fn readyz(State(health): State<Health>) -> (StatusCode, String) {
    match health.readiness() {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        ),
    }
}

async fn write_metrics(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain; charset=utf-8")],
            format!("cannot write the metrics: {error}\n"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::process::metrics;

    async fn served(health: &Health) -> SocketAddr {
        let mut registry = metrics::registry("some-thing");
        let passes: Counter = metrics::register(&mut registry, "passes", "Passes made");
        passes.inc_by(3);
        let endpoint = Endpoint::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = endpoint.address();
        tokio::spawn(endpoint.serve(health.clone(), Arc::new(registry)));
        address
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn health_names_the_task_that_is_stuck() {
        let health = Health::starting();
        let address = served(&health).await;
        let answer = get(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok\n"));
        let _stuck = health.heartbeat("mirror", Duration::ZERO);
        let answer = get(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(
            answer.contains("task \"mirror\" has shown no progress"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn readiness_says_why_not() {
        let health = Health::starting();
        let address = served(&health).await;
        health.not_ready("etcd at http://e:2379 does not answer");
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("not ready: etcd at http://e:2379 does not answer\n"));
        health.ready();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn metrics_are_open_metrics_with_prefix_and_build() {
        let address = served(&Health::starting()).await;
        let answer = get(address, "/metrics").await;
        assert!(
            answer.contains("content-type: application/openmetrics-text"),
            "{answer}"
        );
        assert!(answer.contains("\nsome_thing_passes_total 3\n"), "{answer}");
        assert!(
            answer.contains("\nsome_thing_build_info{version="),
            "{answer}"
        );
        assert!(answer.ends_with("# EOF\n"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_a_matter_of_configuration() {
        let first = Endpoint::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = first.address();
        let failure = Failure::from(Endpoint::bind(address).await.unwrap_err());
        assert_eq!(failure.code(), crate::process::exit::CONFIGURATION);
        let message = failure.to_string();
        let expected = format!("cannot listen on {address} (--listen): Address already in use");
        assert!(message.starts_with(&expected), "{message}");
    }

    #[tokio::test]
    async fn silent_clients_keep_others_out_only_until_their_time_is_over() {
        let health = Health::starting();
        let address = served(&health).await;
        let mut silent = Vec::new();
        for _ in 0..bounded::CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // With the clock paused, time passes whenever all wait for it.
        tokio::time::pause();
        let answer = get(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
