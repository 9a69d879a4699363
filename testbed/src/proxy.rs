//! A TCP proxy that can fall silent, refuse, or cut what goes through it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::error::Result;
use crate::ports;
use crate::wait::TimedOut;

const SWITCH_DEADLINE: Duration = Duration::from_secs(5);

/// What a proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Forward,
    /// Accepts, and passes nothing on in either direction, as a network that loses all packets. What
    /// was sent meanwhile arrives when it forwards again.
    BlackHole,
    /// Nobody listens; what was connected is cut.
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    mode: Mode,
    /// Connections of an earlier generation are cut.
    generation: u64,
}

/// What the proxy has made of what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    mode: Mode,
    connections: usize,
}

/// A proxy on a port of its own, gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    scheme: String,
    wanted: watch::Sender<Wanted>,
    state: watch::Receiver<State>,
    bytes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of `target`: `host:port`, or a URL without a path.
    pub async fn start(target: &str) -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, target).await
    }

    /// As [`Proxy::start`], at this address of the machine: for containers, say, that do not reach
    /// what listens on the loopback.
    pub async fn start_at(address: Ipv4Addr, target: &str) -> Result<Self> {
        let (scheme, target) = target.split_once("://").unwrap_or(("http", target));
        let (scheme, target) = (scheme.to_owned(), target.trim_end_matches('/').to_owned());
        let (address, listener) = listen(address).await?;
        let mode = Mode::Forward;
        let (wanted, orders) = watch::channel(Wanted {
            mode,
            generation: 0,
        });
        let (report, state) = watch::channel(State {
            mode,
            connections: 0,
        });
        let bytes = Arc::default();
        let route = Route {
            target,
            bytes: Arc::clone(&bytes),
        };
        let task = tokio::spawn(run(address, listener, route, orders, report));
        Ok(Self {
            address,
            scheme,
            wanted,
            state,
            bytes,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL of the target's scheme.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// How many connections go through it.
    pub fn connections(&self) -> usize {
        self.state.borrow().connections
    }

    /// How many bytes it has passed on so far, in both directions together.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until so many connections go through it.
    pub async fn wait_for_connections(
        &self,
        count: usize,
        deadline: Duration,
    ) -> Result<(), TimedOut> {
        let what = format!("{count} connections through the proxy");
        self.wait_for_state(what, deadline, |state| state.connections == count)
            .await
    }

    /// Changes what it does, also with the connections it has; returns when it does so.
    pub async fn set(&self, mode: Mode) -> Result<(), TimedOut> {
        self.wanted.send_modify(|wanted| {
            wanted.mode = mode;
            wanted.generation += u64::from(mode == Mode::Refuse);
        });
        let gone = |state: &State| mode != Mode::Refuse || state.connections == 0;
        let what = format!("the proxy to be in mode {mode:?}");
        self.wait_for_state(what, SWITCH_DEADLINE, |state| {
            state.mode == mode && gone(state)
        })
        .await
    }

    async fn wait_for_state(
        &self,
        what: String,
        deadline: Duration,
        reached: impl FnMut(&State) -> bool,
    ) -> Result<(), TimedOut> {
        let mut state = self.state.clone();
        let reached = tokio::time::timeout(deadline, state.wait_for(reached))
            .await
            .map(drop);
        reached.map_err(|_| TimedOut {
            what,
            deadline,
            last: format!("{:?}", *self.state.borrow()),
        })
    }

    /// Cuts the connections it has; new ones are welcome.
    pub fn cut(&self) {
        self.wanted.send_modify(|wanted| wanted.generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where connections lead, and the count of what they pass on.
#[derive(Debug, Clone)]
struct Route {
    target: String,
    bytes: Arc<AtomicU64>,
}

/// Another may be faster to take a free port.
async fn listen(address: Ipv4Addr) -> Result<(SocketAddr, TcpListener)> {
    loop {
        let address = SocketAddr::from((address, ports::free()?));
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok((address, listener));
        }
    }
}

async fn run(
    address: SocketAddr,
    listener: TcpListener,
    route: Route,
    mut orders: watch::Receiver<Wanted>,
    report: watch::Sender<State>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let mode = orders.borrow_and_update().mode;
        if mode == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let mode = if listener.is_none() {
            Mode::Refuse
        } else {
            mode
        };
        report.send_replace(State {
            mode,
            connections: connections.len(),
        });
        // Every branch only waits: what is not taken now is there the next time.
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            Ok((stream, _)) = accept(listener.as_ref()) => {
                let generation = orders.borrow().generation;
                connections.spawn(connection(stream, route.clone(), orders.clone(), generation));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn connection(
    client: TcpStream,
    route: Route,
    changes: watch::Receiver<Wanted>,
    generation: u64,
) {
    let mut cut = changes.clone();
    let work = async {
        forwarding(&changes).await;
        let Ok(server) = TcpStream::connect(&route.target).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        tokio::join!(
            pump(from_client, to_server, &changes, &route.bytes),
            pump(from_server, to_client, &changes, &route.bytes)
        );
    };
    tokio::select! {
        () = work => {}
        _ = cut.wait_for(|wanted| wanted.generation != generation) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    changes: &watch::Receiver<Wanted>,
    bytes: &AtomicU64,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer).await {
        // Also the end of the stream and of the connection are held back while it is silent.
        forwarding(changes).await;
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
        bytes.fetch_add(length as u64, Ordering::Relaxed);
    }
    let _ = to.shutdown().await;
}

/// Returns at once while it forwards, else when it does again.
async fn forwarding(changes: &watch::Receiver<Wanted>) {
    let mut changes = changes.clone();
    if changes
        .wait_for(|wanted| wanted.mode == Mode::Forward)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(5);

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        address
    }

    async fn answer(stream: &mut TcpStream) -> Option<u8> {
        timeout(LONG, stream.read_u8()).await.unwrap().ok()
    }

    #[tokio::test]
    async fn a_black_hole_holds_back_and_heals() {
        let proxy = Proxy::start(&format!("http://{}", echo().await))
            .await
            .unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_u8(1).await.unwrap();
        assert_eq!(answer(&mut stream).await, Some(1));
        assert!(proxy.bytes() > 0);
        proxy.wait_for_connections(1, LONG).await.unwrap();

        proxy.set(Mode::BlackHole).await.unwrap();
        stream.write_u8(2).await.unwrap();
        let mut late = TcpStream::connect(proxy.address()).await.unwrap();
        late.write_u8(3).await.unwrap();
        assert!(timeout(SHORT, stream.read_u8()).await.is_err());
        assert!(timeout(SHORT, late.read_u8()).await.is_err());

        proxy.set(Mode::Forward).await.unwrap();
        assert_eq!(answer(&mut stream).await, Some(2));
        assert_eq!(answer(&mut late).await, Some(3));
    }

    #[tokio::test]
    async fn connections_are_cut_and_refused() {
        let proxy = Proxy::start(&echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_u8(1).await.unwrap();
        assert_eq!(answer(&mut stream).await, Some(1));
        proxy.cut();
        assert_eq!(answer(&mut stream).await, None);

        proxy.set(Mode::Refuse).await.unwrap();
        assert!(TcpStream::connect(proxy.address()).await.is_err());
        proxy.set(Mode::Forward).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_u8(2).await.unwrap();
        assert_eq!(answer(&mut stream).await, Some(2));
    }
}
