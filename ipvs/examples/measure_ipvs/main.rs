//! What `make bench` measures of virtual services, beside ipvsadm and etcdctl
//! on the same kernel.
//!
//! Runs in a guest (`testbed::guest`), or wherever root may program IPVS. Its
//! argument is how many rounds. In each round the same table is written by
//! the crate `ipvs`, by `ipvsadm -R` and by lbmanager from etcd, each into an
//! empty network namespace; who comes first changes. Then follow changes of
//! one member, in a namespace that has a table. Every measurement is a line
//! of JSON.

mod change;
mod start;
mod table;
mod write;

use std::error::Error;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use ipvs::Ipvs;
use nix::sched::{CloneFlags, unshare};
use tokio::runtime::{Builder, Runtime};

use table::Table;

const SERVICES: u32 = 10_000;
const DESTINATIONS: u32 = 5;
const USAGE: &str = "how many rounds is expected, as a number";
const CHANGES: &str = "changes";
/// By whom a table is written.
const CRATE: &str = "crate";
const IPVSADM: &str = "ipvsadm";
const LBMANAGER: &str = "lbmanager";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or(USAGE)?;
    let data = arguments.next().unwrap_or_default();
    match what.as_str() {
        CRATE => part(write::by_the_crate),
        IPVSADM => part(write::by_ipvsadm),
        LBMANAGER => part(|table| start::by_lbmanager(table, Path::new(&data))),
        CHANGES => {
            namespace()?;
            change::measure()
        }
        rounds => all(rounds.parse().map_err(|_| USAGE)?),
    }
}

fn all(rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    start::fill(&Table::new(SERVICES, DESTINATIONS), &data)?;
    let mut parts = [CRATE, IPVSADM, LBMANAGER];
    let program = std::env::current_exe()?;
    for _ in 0..rounds {
        for part in parts {
            run(Process::new(&program).arg(part).arg(&data))?;
        }
        parts.rotate_left(1);
    }
    run(Process::new(&program).arg(CHANGES))
}

/// A namespace of its own, since a table is slow to fill again.
fn namespace() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    // The kernel refuses destinations where it never was up.
    run(Process::new("ip").args(["link", "set", "lo", "up"]))
}

/// Nothing is left in the namespace: Linux has one table for all, and clears
/// it of a namespace that ended only later.
fn part(measure: impl FnOnce(&Table) -> Result<()>) -> Result<()> {
    namespace()?;
    let table = Table::new(SERVICES, DESTINATIONS);
    measure(&table)?;
    let deleted = Ipvs::open()?.execute(&table.deletes()).into_iter();
    Ok(deleted.collect::<std::result::Result<(), _>>()?)
}

/// With threads, so only once the namespace is there.
fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

fn tell(what: &str, by: &str, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(r#"{{"what": "{what}", "by": "{by}", "seconds": {seconds}}}"#);
}

fn run(process: &mut Process) -> Result<()> {
    let name = process.get_program().to_string_lossy().into_owned();
    let status = process.status().map_err(|error| format!("{name}: {error}"));
    match status? {
        status if status.success() => Ok(()),
        status => Err(format!("{name} ended with {status}").into()),
    }
}

/// The table is as it was to be.
fn none(drifted: usize) -> Result<()> {
    match drifted {
        0 => Ok(()),
        some => Err(format!("{some} services are not as they were to be written").into()),
    }
}
