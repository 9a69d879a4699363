//! What `make bench` measures of this crate, beside ipvsadm on the same kernel.
//!
//! Runs in a guest (`testbed::guest`), or wherever root may program IPVS. Its
//! argument is how many rounds. In each round the crate and ipvsadm write the
//! same table, each into an empty network namespace; who comes first changes.
//! Where the crate wrote it, both then look at all of it. Every measurement is
//! a line of JSON.

mod table;

use std::error::Error;
use std::io::{Seek as _, Write as _};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use ipvs::{Ipvs, Outcome};
use nix::sched::{CloneFlags, unshare};

use table::{Looks, Table};

const SERVICES: u32 = 10_000;
const DESTINATIONS: u32 = 5;
/// How often a round looks for drift.
const PASSES: usize = 3;
const USAGE: &str = "how many rounds is expected, as a number";
const CRATE: &str = "crate";
const IPVSADM: &str = "ipvsadm";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let argument = std::env::args().nth(1).ok_or(USAGE)?;
    match argument.as_str() {
        CRATE => part(by_the_crate),
        IPVSADM => part(by_ipvsadm),
        rounds => all(rounds.parse().map_err(|_| USAGE)?),
    }
}

fn all(rounds: usize) -> Result<()> {
    for round in 0..rounds {
        let mut parts = [CRATE, IPVSADM];
        if round % 2 == 1 {
            parts.reverse();
        }
        for part in parts {
            run(Process::new(std::env::current_exe()?).arg(part))?;
        }
    }
    Ok(())
}

/// In a namespace of its own, since a table is slow to fill again. Nothing is
/// left in it: Linux has one table for all, and clears it of a namespace that
/// ended only later.
fn part(measure: fn(&Table) -> Result<()>) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    // The kernel refuses destinations where it never was up.
    run(Process::new("ip").args(["link", "set", "lo", "up"]))?;
    let table = Table::new(SERVICES, DESTINATIONS);
    measure(&table)?;
    succeed(Ipvs::open()?.execute(&table.deletes()))
}

fn by_the_crate(table: &Table) -> Result<()> {
    let commands = table.adds();
    let begin = Instant::now();
    let outcomes = Ipvs::open()?.execute(&commands);
    tell("write", CRATE, begin.elapsed());
    succeed(outcomes)?;
    let looks = Looks::of(table);
    for _ in 0..PASSES {
        let begin = Instant::now();
        let drifted = looks.drifted()?;
        tell("drift", CRATE, begin.elapsed());
        none(drifted)?;
        let begin = Instant::now();
        run(Process::new("ipvsadm").arg("-Ln").stdout(Stdio::null()))?;
        tell("drift", IPVSADM, begin.elapsed());
    }
    Ok(())
}

fn by_ipvsadm(table: &Table) -> Result<()> {
    let mut file = tempfile::tempfile()?;
    file.write_all(table.lines().as_bytes())?;
    file.rewind()?;
    let begin = Instant::now();
    run(Process::new("ipvsadm").arg("-R").stdin(file))?;
    tell("write", IPVSADM, begin.elapsed());
    none(Looks::of(table).drifted()?)
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

fn succeed(outcomes: Vec<Outcome>) -> Result<()> {
    Ok(outcomes
        .into_iter()
        .collect::<std::result::Result<(), _>>()?)
}

fn none(drifted: usize) -> Result<()> {
    match drifted {
        0 => Ok(()),
        some => Err(format!("{some} services are not as they were written").into()),
    }
}
