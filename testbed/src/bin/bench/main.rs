//! Measures the three binaries and the crate ipvs beside their peers, in the same run and on the
//! same work, and prints one table.
//!
//! The figures to reach are ratios. A target that is missed is said and is no failure: machines are
//! noisy, and nothing is tested here.

mod binaries;
mod calls;
mod fleet;
mod hosts;
mod idle;
mod ipvs;
mod latency;
mod launched;
mod locks;
mod machine;
mod measure;
mod memory;
mod report;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use testbed::{Error, Result};
use tokio::signal::ctrl_c;

use fleet::Fleet;
use machine::Machine;
use report::Report;

/// As a shell has it for a program that SIGINT ended.
const INTERRUPTED: u8 = 130;
const MEMBERS: usize = 100;

fn main() -> ExitCode {
    memory::stand_between().unwrap_or_else(bench)
}

#[tokio::main]
async fn bench() -> ExitCode {
    // Whatever was started goes with the future that is dropped.
    tokio::select! {
        biased;
        _ = ctrl_c() => ExitCode::from(INTERRUPTED),
        result = measure_all() => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}", error.chain());
                ExitCode::FAILURE
            }
        },
    }
}

/// A module for each part of the table; what needs the same fleet shares it.
async fn measure_all() -> Result<()> {
    let mut report = Report::new(Machine::look());
    report.progress("P13: the binary");
    binaries::measure(&mut report).await?;
    report.progress("P11: a list of who is there");
    hosts::measure(&mut report).await?;
    report.progress("P12: a command under a lock");
    locks::measure(&mut report).await?;
    report.progress("P7 to P9: a container that is looked after");
    launched::measure(&mut report).await?;
    report.progress("P1 to P3: the kernel's table");
    ipvs::measure(&mut report).await?;
    report.progress("P5: a burst of changes");
    calls::burst(&mut report).await?;
    report.progress("filling etcd: 1,000 load balancers of 100 members");
    let fleet = Fleet::set_up(1000, MEMBERS).await?;
    report.progress("P4: start with 100,000 members");
    start::measure(&mut report, &fleet, start::Wanted::Targets).await?;
    let manager = fleet.manage(&["--resync", "5s"]).await?;
    report.progress("P5: 1,000 load balancers in sync");
    calls::resync(&mut report, &fleet).await?;
    manager.end().await?;
    let manager = fleet.manage(&[]).await?;
    report.progress("idle for a minute");
    idle::measure(&mut report, &fleet, &manager).await?;
    report.progress("P5: one change among 1,000");
    calls::single(&mut report, &fleet, &manager).await?;
    report.progress("P6: from a key to the call");
    latency::measure(&mut report, &fleet).await?;
    manager.end().await?;
    drop(fleet);
    report.progress("filling etcd: 3,000 load balancers of 100 members");
    let fleet = Fleet::set_up(3000, MEMBERS).await?;
    report.progress("P4: start with 300,000 members");
    start::measure(&mut report, &fleet, start::Wanted::Figures).await?;
    drop(fleet);
    report.print();
    report.save(&directory()?)
}

/// `bench` in cargo's target directory.
fn directory() -> Result<PathBuf> {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(PathBuf::from(target).join("bench"));
    }
    let current = std::env::current_exe().map_err(|source| Error::Io {
        action: "find",
        object: "the running program".to_owned(),
        source,
    })?;
    let target = current
        .ancestors()
        .nth(2)
        .map(|target| target.join("bench"));
    target.ok_or_else(|| Error::Misuse("this program is in no target directory".to_owned()))
}
