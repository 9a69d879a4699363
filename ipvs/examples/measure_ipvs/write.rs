//! The kernel's table is written, and looked over.

use std::io::{Seek as _, Write as _};
use std::process::{Command as Process, Stdio};
use std::time::Instant;

use ipvs::Ipvs;

use crate::table::{Looks, Table};
use crate::{CRATE, IPVSADM, Result, none, run, tell};

/// How often a round looks for drift.
const PASSES: usize = 3;

/// Both then look at all of it.
pub fn by_the_crate(table: &Table) -> Result<()> {
    let commands = table.adds();
    let begin = Instant::now();
    let outcomes = Ipvs::open()?.execute(&commands);
    tell("write", CRATE, begin.elapsed());
    outcomes
        .into_iter()
        .collect::<std::result::Result<(), _>>()?;
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

pub fn by_ipvsadm(table: &Table) -> Result<()> {
    let mut file = tempfile::tempfile()?;
    file.write_all(table.lines().as_bytes())?;
    file.rewind()?;
    let begin = Instant::now();
    run(Process::new("ipvsadm").arg("-R").stdin(file))?;
    tell("write", IPVSADM, begin.elapsed());
    none(Looks::of(table).drifted()?)
}
