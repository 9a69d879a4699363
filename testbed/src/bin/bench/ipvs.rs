//! P1, P2 and P3: the kernel's table, in a guest.

use std::time::Duration;

use serde_json::Value;
use testbed::guest::Guest;
use testbed::process::workspace_example;
use testbed::{Error, Result};

use crate::measure::{median, percentile};
use crate::report::{Figure, Report, Row, Target};

const PROGRAM: &str = "measure_ipvs";
/// What the program writes.
const TABLE: &str = "10,000 IPVS services x 5";
const ROUNDS: usize = 5;
const LIMIT: Duration = Duration::from_mins(30);
/// For etcd, its data in files, and the programs.
const MEMORY_MIB: u32 = 2048;
const WRITE: f64 = 1.0 / 50.0;
const START: f64 = 1.0 / 20.0;
const CHANGE: f64 = 1.0 / 5.0;
const DRIFT: f64 = 1.0 / 10.0;
const MOST: Figure = Figure::Bytes(64e6);
const CRATE: &str = "crate";
const LBMANAGER: &str = "lbmanager";
const IPVSADM: &str = "ipvsadm";

/// One guest measures all, in turns: times of two guests could not be compared.
pub async fn measure(report: &mut Report) -> Result<()> {
    let program = workspace_example("ipvs", PROGRAM)?;
    let guest = Guest::new()?.memory_mib(MEMORY_MIB).time_limit(LIMIT);
    let told = guest.run(program, [ROUNDS.to_string()]).await?.success()?;
    let told = told.lines().map(serde_json::from_str);
    let told = Told(told.collect::<std::result::Result<_, _>>().map_err(wrong)?);
    report.add(writes(&told)?);
    report.add(start(&told)?);
    report.add(memory(&told)?);
    changes(report, &told)?;
    report.add(drift(&told)?);
    Ok(())
}

fn writes(told: &Told) -> Result<Row> {
    let ours = told.times("write", CRATE)?;
    let peer = told.times("write", IPVSADM)?;
    Ok(Row {
        id: "P1",
        what: format!("{TABLE} into an empty kernel, the writes alone"),
        ours: Figure::time(median(&ours)),
        peer: Some((Figure::time(median(&peer)), "ipvsadm -R")),
        target: Target::Ratio(WRITE),
        runs: ours.len(),
        how: "From before the socket is opened until every command has its outcome, in a process \
              that has the commands. Beside the whole process `ipvsadm -R` that reads the same \
              table from a file. Each into an empty network namespace of one guest (user-mode \
              Linux), in turns of changing order; afterwards the table is as it should be."
            .to_owned(),
    })
}

fn start(told: &Told) -> Result<Row> {
    let ours = told.times("start", LBMANAGER)?;
    let peer = told.times("write", IPVSADM)?;
    Ok(Row {
        id: "P1",
        what: format!("{TABLE} from etcd into an empty kernel, the whole process"),
        ours: Figure::time(median(&ours)),
        peer: Some((Figure::time(median(&peer)), "ipvsadm -R")),
        target: Target::Ratio(START),
        runs: ours.len(),
        how:
            "From before `lbmanager run` is started beside an etcd that has the keys, on the same \
              one processor, until the kernel has the last real server, as polled every 5 ms; \
              afterwards the table is as it should be. Beside the same `ipvsadm -R` as above, in \
              turns with it."
                .to_owned(),
    })
}

fn memory(told: &Told) -> Result<Row> {
    let ours = told.all("memory", LBMANAGER, "bytes")?;
    Ok(Row {
        id: "P1",
        what: format!("its memory with {TABLE}"),
        ours: Figure::Bytes(ours.iter().copied().fold(0.0, f64::max)),
        peer: None,
        target: Target::Below(MOST),
        runs: ours.len(),
        how: "VmHWM of that lbmanager when etcd has the status of every service, too: the most it \
              ever had; the most of all runs."
            .to_owned(),
    })
}

fn changes(report: &mut Report, told: &Told) -> Result<()> {
    let ours = told.times("change", LBMANAGER)?;
    let peer = told.times("change", "etcdctl")?;
    let row = |what: &str, percent, target| Row {
        id: "P2",
        what: format!("a member put to its entry in the kernel, {what}"),
        ours: Figure::time(percentile(&ours, percent)),
        peer: Some((
            Figure::time(percentile(&peer, percent)),
            "etcdctl watch -- ipvsadm -a",
        )),
        target,
        runs: ours.len(),
        how: "From before a put is sent to etcd over an open connection until the kernel has the \
              real server, as polled every 0.2 ms once etcd has answered. 1,000 services of 5, \
              another one each time. Beside a service that lbmanager does not know, to which \
              `etcdctl watch KEY -- ipvsadm -a …` adds, in turns and in the same guest."
            .to_owned(),
    };
    report.add(row("median", 50, Target::Ratio(CHANGE)));
    report.add(row("p99", 99, Target::None));
    Ok(())
}

fn drift(told: &Told) -> Result<Row> {
    let ours = told.times("drift", CRATE)?;
    let peer = told.times("drift", IPVSADM)?;
    Ok(Row {
        id: "P3",
        what: format!("a pass over {TABLE} that finds no drift"),
        ours: Figure::time(median(&ours)),
        peer: Some((Figure::time(median(&peer)), "ipvsadm -Ln")),
        target: Target::Ratio(DRIFT),
        runs: ours.len(),
        how: "/proc/net/ip_vs is read, parsed and compared with what is wanted, in a process that \
              has it. Beside the whole process `ipvsadm -Ln` to /dev/null, in turns, in the same \
              namespace."
            .to_owned(),
    })
}

/// The lines that the program wrote.
struct Told(Vec<Value>);

impl Told {
    fn times(&self, what: &str, by: &str) -> Result<Vec<Duration>> {
        let seconds = self.all(what, by, "seconds")?.into_iter();
        Ok(seconds.map(Duration::from_secs_f64).collect())
    }

    /// What was measured of this, by one of them.
    fn all(&self, what: &str, by: &str, unit: &str) -> Result<Vec<f64>> {
        let lines = self.0.iter();
        let lines = lines.filter(|line| line["what"] == what && line["by"] == by);
        let figures: Option<Vec<f64>> = lines.map(|line| line[unit].as_f64()).collect();
        let figures = figures.filter(|figures| !figures.is_empty());
        figures.ok_or_else(|| wrong(format!("no {unit} of {what} by {by}")))
    }
}

fn wrong(detail: impl std::fmt::Display) -> Error {
    Error::Answer {
        from: PROGRAM.to_owned(),
        detail: detail.to_string(),
    }
}
