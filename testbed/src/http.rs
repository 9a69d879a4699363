//! The little of an HTTP client that the rigs need: plain HTTP/1.1 on loopback.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::{Error, Result};

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The body, which must be text.
    pub body: String,
}

/// A connection that is kept for several requests.
#[derive(Debug)]
pub struct Connection {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `host:port`; a leading `http://` and a trailing `/` are overlooked.
    pub async fn open(address: &str) -> Result<Self> {
        let address = address
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let stream = TcpStream::connect(&address)
            .await
            .map_err(Error::io("connect to", &address))?;
        // Otherwise the kernel holds back the end of a body until the start is acknowledged.
        stream
            .set_nodelay(true)
            .map_err(Error::io("set up the connection to", &address))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::answer(&address, error.to_string()))?;
        // Ends by itself when the sender is dropped.
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// Sends one request and reads the whole answer.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let failed =
            |error: &dyn std::error::Error| Error::answer(&self.address, error.to_string());
        let request = request
            .body(Full::new(body.into()))
            .map_err(|error| failed(&error))?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| failed(&error))?
            .to_bytes();
        let body = String::from_utf8(body.into()).map_err(|error| failed(&error))?;
        Ok(Answer { status, body })
    }
}

/// GETs `url`, which is `http://host:port/path`, on a connection of its own.
pub async fn get(url: &str) -> Result<Answer> {
    request(Method::GET, url, &[], Bytes::new()).await
}

/// One request on a connection of its own.
pub async fn request(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer> {
    let rest = url.trim_start_matches("http://");
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    Connection::open(address)
        .await?
        .request(method, path, headers, body)
        .await
}
