//! P4: from nothing to a plan for everything.

use testbed::Result;

use crate::fleet::Fleet;
use crate::measure::{Task, interleaved, median};
use crate::report::{Figure, Report, Row, Target};

const RUNS: usize = 9;
const RATIO: f64 = 1.5;
const MEMORY: Figure = Figure::Bytes(100e6);

/// Whether targets are set for this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Targets,
    Figures,
}

pub async fn measure(report: &mut Report, fleet: &Fleet, wanted: Wanted) -> Result<()> {
    let target = |target| match wanted {
        Wanted::Targets => target,
        Wanted::Figures => Target::None,
    };
    let keys = fleet.balancers * fleet.members;
    let once = Task::lbmanager(&fleet.etcd, &fleet.aws, &["run", "--once", "--dry-run"])?;
    let get = Task::etcdctl(&fleet.etcd, &["get", "--prefix", "/lbManager/"]);
    let [ours, peer] = interleaved([&once, &get], RUNS).await?;
    report.add(Row {
        id: "P4",
        what: format!("start with {keys} member keys"),
        ours: Figure::time(median(&ours)),
        peer: Some((Figure::time(median(&peer)), "etcdctl get --prefix")),
        target: target(Target::Ratio(RATIO)),
        runs: RUNS,
        how: format!(
            "The whole process `lbmanager run --once --dry-run`: status records, tree, one \
             describe for each 400 load balancers answered by the simulator in this process, a \
             plan for each of {balancers} load balancers, and the exit code that says that all \
             are in sync; beside `etcdctl get --prefix /lbManager/` to /dev/null, which reads \
             the member keys alone.",
            balancers = fleet.balancers
        ),
    });
    let manager = fleet.manage(&["--dry-run"]).await?;
    let peak = manager.process().memory()?.peak;
    manager.end().await?;
    report.add(Row {
        id: "P4",
        what: format!("its memory with {keys} member keys"),
        ours: Figure::bytes(peak),
        peer: None,
        target: target(Target::Below(MEMORY)),
        runs: 1,
        how: "VmHWM of `lbmanager run --dry-run` when all are planned: the most it ever had."
            .to_owned(),
    });
    Ok(())
}
