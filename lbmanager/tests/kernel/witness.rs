//! What the kernel has, as `ipvsadm` tells it.

use std::collections::{BTreeMap, BTreeSet};

use testbed::process::{Stream, installed};
use testbed::wait;

use crate::world::SOON;

/// What a program wrote that must have ended well.
pub async fn run(program: &str, args: &str) -> String {
    let mut running = installed(program, "make test-tools")
        .unwrap()
        .args(args.split_ascii_whitespace())
        .start()
        .await
        .unwrap();
    let status = running.wait(SOON).await.unwrap();
    let errors = running.text(Stream::Stderr);
    assert!(status.success(), "{program} {args}: {errors}");
    running.text(Stream::Stdout)
}

/// Lines of a table that others made, and that nobody but they may touch.
pub const FOREIGN: [&str; 2] = [
    "-A -t 192.0.2.1:443 -s rr",
    "-a -t 192.0.2.1:443 -r 192.0.2.9:443 -g -w 7",
];

/// Others make theirs.
pub async fn make_foreign() {
    for line in FOREIGN {
        run("ipvsadm", line).await;
    }
}

pub fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// What `ipvsadm -Sn` wrote: what would make the table again, in any order.
pub fn lines(saved: &str) -> BTreeSet<String> {
    saved.lines().map(|line| line.trim().to_owned()).collect()
}

/// What would make this host's table again.
pub async fn saved() -> BTreeSet<String> {
    lines(&run("ipvsadm", "-Sn").await)
}

/// Waits until the table is this, and nothing else is in it.
pub async fn until_table(wanted: &BTreeSet<String>) {
    wait::until("the table as it is to be", SOON, || async {
        let table = saved().await;
        let differs: Vec<String> = table.symmetric_difference(wanted).cloned().collect();
        if differs.is_empty() {
            Ok(())
        } else {
            Err((differs, table))
        }
    })
    .await
    .unwrap();
}

/// The options of `ipvsadm` that name a service, which is spelled as in a key.
fn named(service: &str) -> String {
    if let Some(mark) = service.strip_prefix("fwmark6:") {
        return format!("-f {mark} -6");
    }
    match service.split_once(':') {
        Some(("udp", address)) => format!("-u {address}"),
        Some(("fwmark", mark)) => format!("-f {mark}"),
        _ => format!("-t {service}"),
    }
}

/// The real servers of a service, each with its weight: `10.9.0.11:80 1`.
pub async fn servers(service: &str) -> BTreeSet<String> {
    let prefix = format!("-a {} -r ", named(service));
    let saved = saved().await;
    let lines = saved.iter().filter_map(|line| line.strip_prefix(&prefix));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let server = words.next().unwrap();
            format!("{server} {}", words.next_back().unwrap())
        })
        .collect()
}

/// Waits until a service has just these real servers with these weights.
pub async fn until_servers(service: &str, wanted: &[&str]) {
    let wanted = set(wanted);
    let what = format!("{service} with {wanted:?}");
    wait::until(&what, SOON, || async {
        let found = servers(service).await;
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

/// What went through a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
}

/// What went through each real server of a service.
pub async fn traffic(service: &str) -> BTreeMap<String, Traffic> {
    let listed = run(
        "ipvsadm",
        &format!("-Ln {} --stats --exact", named(service)),
    )
    .await;
    let lines = listed.lines().filter_map(|line| {
        let mut words = line.trim().strip_prefix("-> ")?.split_ascii_whitespace();
        let server = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let traffic = Traffic {
            connections: number()?,
            packets_in: number()?,
            packets_out: number()?,
        };
        Some((server, traffic))
    });
    lines.collect()
}

/// The connections that the kernel knows, templates of persistence included:
/// `client virtual real` in each line.
pub async fn connections() -> BTreeSet<String> {
    let listed = run("ipvsadm", "-Lnc").await;
    let lines = listed.lines().skip(2);
    let connections = lines.map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().skip(3).collect();
        words.join(" ")
    });
    connections.collect()
}
