//! Hosts on a bridge, and what tells of the kernel.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use ipvs::{DestinationConfig, Family, Forward, Scheduler, ServiceConfig, ServiceKey};
use lbmanager::host::links::{Links, Route};
use lbmanager::host::masquerade::{self, Look, Masquerade, Programs, Rule};
use lbmanager::host::service::Service;
use lbmanager::host::sysctl::Proc;
use testbed::netns::{Bridge, Namespace};
use testbed::process::{Running, Stream};

const SECONDS: Duration = Duration::from_secs(30);
/// Where the real server listens.
pub const PORT: &str = "8080";
/// Answers with the address that it sees the client at.
const SERVER: &str = r#"
    use Socket; use IO::Socket::IP;
    my $server = IO::Socket::IP->new(
        Family => AF_INET6, LocalAddr => "::", LocalPort => $ARGV[0], V6Only => 0,
        Listen => 9, ReuseAddr => 1) or die $@;
    print "ready\n"; STDOUT->flush;
    while (my $client = $server->accept) {
        $client->recv(my $request, 1000);
        print $client "HTTP/1.0 200 OK\r\n\r\n" . $client->peerhost;
        close $client;
    }"#;

/// What a program wrote that must have ended well.
pub fn run(program: &str, args: &str) -> String {
    let args: Vec<&str> = args.split_ascii_whitespace().collect();
    let output = Command::new(program).args(&args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn set(setting: &str, value: &str) {
    let file = format!("/proc/sys/{}", setting.replace('.', "/"));
    std::fs::write(&file, value).unwrap_or_else(|error| panic!("{file}: {error}"));
}

pub fn get(setting: &str) -> String {
    let file = format!("/proc/sys/{}", setting.replace('.', "/"));
    let value = std::fs::read_to_string(&file);
    let value = value.unwrap_or_else(|error| panic!("{file}: {error}"));
    value.trim().to_owned()
}

pub fn links() -> Links {
    Route::open().unwrap().links().unwrap()
}

/// The kernel of a guest has no nf_tables.
pub fn iptables() -> Masquerade {
    Masquerade::new(Programs {
        v4: "iptables-legacy".to_owned(),
        v6: "ip6tables-legacy".to_owned(),
    })
}

/// Rules as they are saved, without times and counters.
pub fn saved(program: &str) -> String {
    let text = run(program, "");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| line.split_once(" [").map_or(line, |(chain, _)| chain));
    lines.collect::<Vec<_>>().join("\n")
}

pub fn service(key: ServiceKey, server: &str) -> Service {
    let server: std::net::SocketAddr = server.parse().unwrap();
    let config = ServiceConfig::new(Family::of(server.ip()), Scheduler::RR);
    let masq = DestinationConfig::new(Forward::Masq, 1);
    Service::new(key, &config, [(server.into(), masq)])
}

/// A client and a server behind one bridge of this host.
pub struct World {
    pub client: Namespace,
    _running: Running,
    _server: Namespace,
    _lan: Bridge,
}

impl World {
    pub async fn new() -> Self {
        let lan = Bridge::create("lan", ["10.9.0.1/24", "fd09::1/64"]);
        let lan = lan.await.unwrap();
        let client = host("client", 2, &lan).await;
        let server = host("server", 11, &lan).await;
        let program = server.program("/usr/bin/perl").unwrap();
        let running = program.args(["-e", SERVER, PORT]).start().await.unwrap();
        let ready = running.wait_for_line(|line| line == "ready", SECONDS);
        let ready = ready.await.map(drop);
        ready.unwrap_or_else(|error| panic!("{error}: {}", running.text(Stream::Stderr)));
        run("ip", "link add lb0 type dummy");
        run("ip", "link set lb0 up");
        for setting in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            set(setting, "1");
        }
        set("net.ipv4.vs.conntrack", "1");
        Self {
            client,
            _running: running,
            _server: server,
            _lan: lan,
        }
    }

    /// At which address the server sees the client that calls this; `None`
    /// where it does not get an answer.
    pub async fn call(&self, address: &str) -> Option<String> {
        let url = format!("http://{address}/");
        let call = self.client.run("curl", ["-gsS", "--max-time", "3", &url]);
        let seen = call.await.ok()?;
        // It listens to both families with one socket.
        Some(seen.trim_start_matches("::ffff:").to_owned())
    }
}

async fn host(name: &str, number: u8, lan: &Bridge) -> Namespace {
    let host = Namespace::builder(name).address(format!("10.9.0.{number}/24"));
    let host = host.address(format!("fd09::{number}/64"));
    let host = host.gateway("10.9.0.1").gateway("fd09::1");
    host.join(lan).await.unwrap()
}

/// The rules that a service needs here.
pub fn rules(service: &Service) -> BTreeSet<Rule> {
    masquerade::plan(std::slice::from_ref(service), links().bridged())
}

/// Makes the rules these, which must do.
pub async fn settle(iptables: &mut Masquerade, rules: &BTreeSet<Rule>, look: Look) {
    let problems = iptables.settle(rules, look).await;
    assert!(problems.is_empty(), "{problems:?}");
}

pub fn proc() -> Proc {
    Proc::default()
}
