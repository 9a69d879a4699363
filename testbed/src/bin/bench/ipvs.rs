//! P1 and P3: the kernel's table, in a guest.

use std::time::Duration;

use serde_json::Value;
use testbed::guest::Guest;
use testbed::process::workspace_example;
use testbed::{Error, Result};

use crate::measure::median;
use crate::report::{Figure, Report, Row, Target};

const PROGRAM: &str = "measure_ipvs";
/// What the program writes.
const TABLE: &str = "10,000 IPVS services x 5";
const ROUNDS: usize = 5;
const LIMIT: Duration = Duration::from_mins(15);
const WRITE: f64 = 1.0 / 50.0;
const DRIFT: f64 = 1.0 / 10.0;

/// One guest measures both, in turn: times of two guests could not be compared.
pub async fn measure(report: &mut Report) -> Result<()> {
    let program = workspace_example("ipvs", PROGRAM)?;
    let guest = Guest::new()?.time_limit(LIMIT);
    let told = guest.run(program, [ROUNDS.to_string()]).await?.success()?;
    let told = told.lines().map(serde_json::from_str);
    let told: Vec<Value> = told.collect::<std::result::Result<_, _>>().map_err(wrong)?;
    report.add(row(
        &told,
        "P1",
        format!("{TABLE} into an empty kernel, the writes alone"),
        ("write", "ipvsadm -R", WRITE),
        "From before the socket is opened until every command has its outcome, in a process that \
         has the commands. Beside the whole process `ipvsadm -R` that reads the same table from a \
         file. Each into an empty network namespace of one guest (user-mode Linux), in turns of \
         changing order; afterwards the table is as it should be.",
    )?);
    report.add(row(
        &told,
        "P3",
        format!("a pass over {TABLE} that finds no drift"),
        ("drift", "ipvsadm -Ln", DRIFT),
        "/proc/net/ip_vs is read, parsed and compared with what is wanted, in a process that has \
         it. Beside the whole process `ipvsadm -Ln` to /dev/null, in turns, in the same namespace.",
    )?);
    Ok(())
}

fn row(
    told: &[Value],
    id: &'static str,
    what: String,
    (measured, peer, ratio): (&str, &'static str, f64),
    how: &str,
) -> Result<Row> {
    let ours = times(told, measured, "crate")?;
    let theirs = times(told, measured, "ipvsadm")?;
    Ok(Row {
        id,
        what,
        ours: Figure::time(median(&ours)),
        peer: Some((Figure::time(median(&theirs)), peer)),
        target: Target::Ratio(ratio),
        runs: ours.len(),
        how: how.to_owned(),
    })
}

/// What was measured of this, by one of the two.
fn times(told: &[Value], what: &str, by: &str) -> Result<Vec<Duration>> {
    let lines = told
        .iter()
        .filter(|line| line["what"] == what && line["by"] == by);
    let time = |line: &Value| line["seconds"].as_f64().map(Duration::from_secs_f64);
    let times: Option<Vec<Duration>> = lines.map(time).collect();
    let times = times.filter(|times| !times.is_empty());
    times.ok_or_else(|| wrong(format!("no times of {what} by {by}")))
}

fn wrong(detail: impl std::fmt::Display) -> Error {
    Error::Answer {
        from: PROGRAM.to_owned(),
        detail: detail.to_string(),
    }
}
