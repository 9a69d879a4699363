//! A web server whose answers a test steers while it runs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::certs::{Certificates, KeyPair};
use crate::error::{Error, Result};

/// What it does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Answers 200 after so long.
    Slow(Duration),
    /// Sends elsewhere, with 302.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Closes the connection without a word.
    Drop,
    /// Answers 200, and closes in the middle of the body.
    Cut,
    /// Answers 200 with a body without an end.
    Endless,
}

/// Who does what is asked for below `/steer/`: the words, and where to say how it went.
pub type Orders = mpsc::Sender<(String, oneshot::Sender<Result<(), String>>)>;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server on a port of its own, gone when dropped. Each request on a path that ends in `/ok` is
/// answered with 200, whatever it does with others.
#[derive(Debug)]
pub struct Web {
    scheme: &'static str,
    address: SocketAddr,
    act: watch::Sender<Act>,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Web {
    /// Starts one that answers everything with 200.
    pub async fn start() -> Result<Self> {
        Self::with(None, None, ANY).await
    }

    /// Starts one at an address, which hands on what it is asked for below `/steer/`, and answers
    /// with 200 and how many other requests there were once that is done, and 400 where it cannot be.
    pub async fn steered(address: SocketAddr, orders: Orders) -> Result<Self> {
        Self::with(None, Some(orders), address).await
    }

    /// Starts one that speaks TLS, with the server's certificate.
    pub async fn start_tls(certificates: &Certificates) -> Result<Self> {
        Self::with(Some(acceptor(&certificates.server)?), None, ANY).await
    }

    async fn with(
        tls: Option<TlsAcceptor>,
        orders: Option<Orders>,
        at: SocketAddr,
    ) -> Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let failed = || Error::io("listen on", at.to_string());
        let listener = TcpListener::bind(at).await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let (act, acts) = watch::channel(Act::Answer(200, String::new()));
        let requests = Arc::default();
        let service = Service {
            tls,
            acts,
            orders,
            requests: Arc::clone(&requests),
        };
        let task = tokio::spawn(accept(listener, service));
        Ok(Self {
            scheme,
            address,
            act,
            requests,
            task,
        })
    }

    /// From the next request on it does this.
    pub fn set(&self, act: Act) {
        self.act.send_replace(act);
    }

    /// Where it is, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has had.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What each connection is served with.
#[derive(Clone)]
struct Service {
    tls: Option<TlsAcceptor>,
    acts: watch::Receiver<Act>,
    orders: Option<Orders>,
    requests: Arc<AtomicUsize>,
}

async fn accept(listener: TcpListener, service: Service) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        connections.spawn(async move {
            match service.tls.clone() {
                None => serve(stream, service).await,
                // Whoever does not trust the certificate goes away.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, service).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// One request for each connection. Whoever goes away first is no error.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, service: Service) {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    let mut line = String::new();
    while stream
        .read_line(&mut line)
        .await
        .is_ok_and(|length| length > 2)
    {
        if first.is_empty() {
            first.clone_from(&line);
        }
        line.clear();
    }
    if first.is_empty() {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let words = path.strip_prefix("/steer/");
    let act = if let (Some(words), Some(orders)) = (words, &service.orders) {
        pass_on(words, orders, &service).await
    } else {
        service.requests.fetch_add(1, Ordering::Relaxed);
        if path.ends_with("/ok") {
            Act::Answer(200, String::new())
        } else {
            service.acts.borrow().clone()
        }
    };
    let _ = answer(stream.get_mut(), act).await;
    let _ = stream.get_mut().shutdown().await;
}

/// Has it done, and gives what is to be answered.
async fn pass_on(words: &str, orders: &Orders, service: &Service) -> Act {
    let (answer, done) = oneshot::channel();
    let gone = || Err("nobody obeys any more".to_owned());
    let result = match orders.send((words.to_owned(), answer)).await {
        Ok(()) => done.await.unwrap_or_else(|_| gone()),
        Err(_) => gone(),
    };
    match result {
        Ok(()) => Act::Answer(200, service.requests.load(Ordering::Relaxed).to_string()),
        Err(why) => Act::Answer(400, why),
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), act: Act) -> std::io::Result<()> {
    let whole = |status: u16, more: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status} -\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    };
    match act {
        Act::Answer(status, body) => stream.write_all(whole(status, "", &body).as_bytes()).await,
        Act::Slow(time) => {
            tokio::time::sleep(time).await;
            stream.write_all(whole(200, "", "").as_bytes()).await
        }
        Act::Redirect(to) => {
            let location = format!("Location: {to}\r\n");
            stream.write_all(whole(302, &location, "").as_bytes()).await
        }
        Act::Hang => std::future::pending().await,
        Act::Drop => Ok(()),
        Act::Cut => {
            let head = "HTTP/1.1 200 -\r\nContent-Length: 1000\r\n\r\nbeginning";
            stream.write_all(head.as_bytes()).await
        }
        Act::Endless => {
            stream.write_all(b"HTTP/1.1 200 -\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
    }
}

fn acceptor(server: &KeyPair) -> Result<TlsAcceptor> {
    let unusable = |error: &dyn std::error::Error| {
        Error::Misuse(format!("{} cannot be used: {error}", server.cert.display()))
    };
    let chain = CertificateDer::pem_file_iter(&server.cert).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_file(&server.key).map_err(|error| unusable(&error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    Ok(TlsAcceptor::from(Arc::new(
        config.map_err(|error| unusable(&error))?,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[tokio::test]
    async fn it_answers_as_it_is_told() {
        let web = Web::start().await.unwrap();
        let url = web.url();
        assert_eq!(http::get(&url).await.unwrap().status, 200);
        web.set(Act::Answer(503, "busy".to_owned()));
        let answer = http::get(&url).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (503, "busy")
        );
        assert_eq!(http::get(&format!("{url}/ok")).await.unwrap().status, 200);
        web.set(Act::Redirect("/ok".to_owned()));
        assert_eq!(http::get(&url).await.unwrap().status, 302);
        for act in [Act::Drop, Act::Cut] {
            web.set(act);
            assert!(http::get(&url).await.is_err());
        }
        assert_eq!(web.requests(), 6);
    }
}
