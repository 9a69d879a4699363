//! A small HTTP server on loopback whose handler may also just drop the connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::{io, iter};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{Error, Result};

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// A running server, stopped with all its connections when dropped.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    /// Serves `handler` on a free port. `None` from it drops the connection without an answer; the
    /// future it gives is dropped when the caller goes away first.
    pub(super) async fn start<H, F>(handler: H) -> Result<Self>
    where
        H: Fn(Parts, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Option<Answer>> + Send + 'static,
    {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failed = || Error::io("listen on", any.to_string());
        let listener = TcpListener::bind(any).await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let task = tokio::spawn(accept(listener, Arc::new(handler)));
        Ok(Self { address, task })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<H, F>(listener: TcpListener, handler: Arc<H>)
where
    H: Fn(Parts, Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Option<Answer>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&handler)));
        iter::from_fn(|| connections.try_join_next()).for_each(drop);
    }
}

async fn serve<H, F>(stream: TcpStream, handler: Arc<H>)
where
    H: Fn(Parts, Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Option<Answer>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let dropped = || io::Error::from(io::ErrorKind::ConnectionReset);
            handler(parts, body).await.ok_or_else(dropped)
        }
    });
    // A dropped connection is what was asked for, or the caller's business.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
