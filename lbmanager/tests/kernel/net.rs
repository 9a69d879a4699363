//! Clients and real servers, and this host between them.

use testbed::netns::{Bridge, Namespace};
use testbed::process::{Program, Running, Stream};

use crate::witness::run;
use crate::world::SOON;

const SERVER: &str = include_str!("server.pl");
const ASK: &str = include_str!("ask.pl");
const KEEP: &str = include_str!("keep.pl");
const LOAD: &str = include_str!("load.pl");

/// Where real servers listen.
pub const PORT: u16 = 8080;

/// Hosts on two bridges of this host, which has virtual addresses as well.
pub struct Net {
    // What runs goes before where it does.
    _servers: Vec<(Running, Namespace)>,
    /// On another network than the real servers, with the addresses
    /// 10.7.0.2 and 10.7.0.3.
    pub client: Namespace,
    /// On the bridge of the real servers.
    pub lan: Bridge,
    _outside: Bridge,
}

impl Net {
    /// One with real servers `server-1` and on.
    pub async fn new(servers: u8) -> Self {
        let lan = Bridge::create("lan", ["10.9.0.1/24", "fd09::1/64"]).await;
        let lan = lan.unwrap();
        let outside = Bridge::create("outside", ["10.7.0.1/24", "fd07::1/64"]).await;
        let outside = outside.unwrap();
        virtual_addresses().await;
        for forwarding in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{forwarding}"), "1").unwrap();
        }
        let client = Namespace::builder("client")
            .address("10.7.0.2/24")
            .address("10.7.0.3/24")
            .address("fd07::2/64")
            .gateway("10.7.0.1")
            .gateway("fd07::1")
            .join(&outside)
            .await
            .unwrap();
        let mut running = Vec::new();
        for number in 1..=servers {
            let name = format!("server-{number}");
            let host = neighbour(&lan, &name, 10 + number).await;
            let perl = host.program("/usr/bin/perl").unwrap();
            running.push((serve(perl, &name, PORT).await, host));
        }
        Self {
            _servers: running,
            client,
            lan,
            _outside: outside,
        }
    }

    /// A connection that is kept, or a socket for packets.
    pub async fn keep(&self, protocol: &str, host: &str, port: u16) -> Running {
        let perl = self.client.program("/usr/bin/perl").unwrap();
        keep(perl, protocol, host, port).await
    }

    /// Load of new and of long-lived connections, which has begun.
    pub async fn load(&self, host: &str, port: u16) -> Running {
        let program = self.client.program("/usr/bin/perl").unwrap();
        let program = program.args(["-e", LOAD, host, &port.to_string()]);
        let running = program.start().await.unwrap();
        let started = running.wait_for_line(|line| line == "started", SOON);
        started.await.unwrap();
        running
    }
}

/// A host on the bridge of the real servers.
pub async fn neighbour(lan: &Bridge, name: &str, number: u8) -> Namespace {
    Namespace::builder(name)
        .address(format!("10.9.0.{number}/24"))
        .address(format!("fd09::{number}/64"))
        .gateway("10.9.0.1")
        .gateway("fd09::1")
        .join(lan)
        .await
        .unwrap()
}

/// The addresses of virtual services, on this host.
pub async fn virtual_addresses() {
    for command in [
        "link add lb0 type dummy",
        "link set lb0 up",
        "address add 10.8.0.1/32 dev lb0",
        "address add fd08::1/128 dev lb0",
    ] {
        run("ip", command).await;
    }
}

/// Starts a real server, by a program that runs perl.
pub async fn serve(perl: Program, name: &str, port: u16) -> Running {
    let program = perl.args(["-e", SERVER, name, &port.to_string()]);
    let running = program.start().await.unwrap();
    let ready = running.wait_for_line(|line| line == "ready", SOON);
    let ready = ready.await.map(drop);
    ready.unwrap_or_else(|error| panic!("{error}: {}", running.text(Stream::Stderr)));
    running
}

/// Starts a client that keeps one socket, and waits for its first answer.
pub async fn keep(perl: Program, protocol: &str, host: &str, port: u16) -> Running {
    let program = perl.args(["-e", KEEP, protocol, host, &port.to_string()]);
    let running = program.start().await.unwrap();
    let answered = running.wait_for_line(|line| !line.starts_with("none"), SOON);
    answered.await.unwrap();
    running
}

/// The answers to so many questions of `who`, each over a socket of its own;
/// `from`: an address of `who`, which may have several. An answer is the real
/// server's name and where it sees the client, or `none`.
pub async fn ask(
    who: &Namespace,
    times: u8,
    (protocol, host, port): (&str, &str, u16),
    from: &str,
) -> Vec<String> {
    let (times, port) = (times.to_string(), port.to_string());
    let args = ["-e", ASK, &times, protocol, host, &port, from];
    let said = who.run("perl", args).await.unwrap();
    said.lines().map(str::to_owned).collect()
}

/// The address of a real server, as a member.
pub fn server(number: u8) -> String {
    format!("10.9.0.{}:{PORT}", 10 + number)
}
