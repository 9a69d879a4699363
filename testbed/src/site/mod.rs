//! A small site behind a virtual address, for virtual services to be tried with real requests.
//!
//! ```no_run
//! # async fn f() -> testbed::Result<()> {
//! use std::time::Duration;
//! use testbed::site::{Site, VIRTUAL};
//!
//! let site = Site::set_up(2).await?;
//! // … have the kernel send what comes for VIRTUAL to site.server(1) and site.server(2) …
//! let load = site.load(60).await?;
//! // … change that …
//! assert_eq!(load.end().await?.failed, 0);
//! # Ok(()) }
//! ```
//!
//! The host of this process is the one with the virtual service. The web servers are hosts on one
//! side of it, the client is on the other, and both have it as their gateway. Root is needed: see
//! [`netns`](crate::netns).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Result, find_program};
use crate::netns::{Bridge, Namespace};
use crate::process::{Running, Signal, Stream};

/// The virtual address and its port; nobody answers there until the kernel has a virtual service.
pub const VIRTUAL: &str = "10.8.0.1:80";
/// Where the client is.
pub const CLIENT: &str = "10.7.0.2";

const SERVER: &str = include_str!("server.pl");
const CLIENT_PROGRAM: &str = include_str!("client.pl");
const INSTALL: &str = "apt-get install perl-base";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
/// For a program of perl to start, or to end.
const SOON: Duration = Duration::from_secs(30);

/// Web servers, a client, and the virtual address between them. Gone when dropped.
#[derive(Debug)]
pub struct Site {
    client: Namespace,
    _servers: Vec<Server>,
    _lan: Bridge,
    _outside: Bridge,
}

/// In this order: what runs on a host ends before the host.
#[derive(Debug)]
struct Server {
    _program: Running,
    _host: Namespace,
}

/// Requests that are made all the time.
#[derive(Debug)]
pub struct Load(Running);

/// What became of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// How many were answered.
    pub answered: u64,
    /// How many were not: refused, reset, closed, or without an answer within 3 seconds.
    pub failed: u64,
    /// By whom they were answered, and how many by each.
    pub by: BTreeMap<String, u64>,
    /// What the first of those that failed did.
    pub failures: Vec<String>,
}

impl Site {
    /// With so many web servers, `web-1` and on.
    pub async fn set_up(servers: u8) -> Result<Self> {
        let lan = Bridge::create("lan", ["10.9.0.1/24"]).await?;
        let outside = Bridge::create("outside", ["10.7.0.1/24", "10.8.0.1/32"]).await?;
        std::fs::write(FORWARD, "1").map_err(Error::io("write", FORWARD))?;
        let client = Namespace::builder("client")
            .address(format!("{CLIENT}/24"))
            .gateway("10.7.0.1")
            .join(&outside)
            .await?;
        let mut started = Vec::new();
        for number in 1..=servers {
            started.push(Server::start(number, &lan).await?);
        }
        Ok(Self {
            client,
            _servers: started,
            _lan: lan,
            _outside: outside,
        })
    }

    /// The address and port of a web server.
    pub fn server(number: u8) -> String {
        format!("{}:8080", address(number))
    }

    /// What it calls itself.
    pub fn name(number: u8) -> String {
        format!("web-{number}")
    }

    /// The host of the client.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// Has the client make requests all the time, some over connections that are kept for up to so
    /// many requests, and waits until there is one over each.
    pub async fn load(&self, at_most: u32) -> Result<Load> {
        let arguments = [VIRTUAL.to_owned(), at_most.to_string()];
        let program = perl(&self.client, CLIENT_PROGRAM, arguments, "started");
        program.await.map(Load)
    }
}

impl Server {
    async fn start(number: u8, lan: &Bridge) -> Result<Self> {
        let name = Site::name(number);
        let host = Namespace::builder(&name)
            .address(format!("{}/24", address(number)))
            .gateway("10.9.0.1");
        let host = host.join(lan).await?;
        Ok(Self {
            _program: perl(&host, SERVER, [name], "ready").await?,
            _host: host,
        })
    }
}

impl Load {
    /// Lets the kept connections end, and keeps no more.
    pub fn let_go(&self) -> Result<()> {
        self.0.signal(Signal::SIGUSR1)
    }

    /// Ends it, and gives what became of the requests.
    pub async fn end(mut self) -> Result<Told> {
        self.0.signal(Signal::SIGTERM)?;
        self.0.wait(SOON).await?;
        let text = self.0.text(Stream::Stdout);
        let unexpected = || Error::answer("the client of the site", self.0.last_words());
        told(&text).ok_or_else(unexpected)
    }
}

fn address(number: u8) -> String {
    format!("10.9.0.{}", 10 + u16::from(number))
}

/// A program that runs on a host, once it has said that it does.
async fn perl(
    host: &Namespace,
    program: &str,
    arguments: impl IntoIterator<Item = String>,
    says: &str,
) -> Result<Running> {
    let perl = host.program(find_program("perl", INSTALL)?)?;
    let running = perl.args(["-e", program]).args(arguments).start().await?;
    running.wait_for_line(|line| line == says, SOON).await?;
    Ok(running)
}

/// What the client tells at its end; nothing if it did not get as far.
fn told(text: &str) -> Option<Told> {
    let mut told = Told::default();
    let mut is_whole = false;
    for line in text.lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("answered", count) => told.answered = count.parse().ok()?,
            ("failed", count) => {
                told.failed = count.parse().ok()?;
                is_whole = true;
            }
            ("by", rest) => {
                let (name, count) = rest.split_once(' ')?;
                told.by.insert(name.to_owned(), count.parse().ok()?);
            }
            ("failure", why) => told.failures.push(why.to_owned()),
            _ => {}
        }
    }
    is_whole.then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_tells_is_read() {
        let text = "started\nanswered 7\nfailed 1\nby web-1 3\nby web-2 4\nfailure read: closed\n";
        let expected = Told {
            answered: 7,
            failed: 1,
            by: [("web-1", 3), ("web-2", 4)]
                .map(|(name, count)| (name.to_owned(), count))
                .into(),
            failures: vec!["read: closed".to_owned()],
        };
        assert_eq!(told(text), Some(expected));
        assert_eq!(told("started\n"), None);
    }
}
