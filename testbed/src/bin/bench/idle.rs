//! What a manager costs that has nothing to do.

use std::time::Duration;

use testbed::Result;
use tokio::time::sleep;

use crate::fleet::{Fleet, Managing};
use crate::report::{Figure, Report, Row, Target};

const WINDOW: Duration = Duration::from_mins(1);

/// Of a minute between two resyncs.
pub async fn measure(report: &mut Report, fleet: &Fleet, manager: &Managing) -> Result<()> {
    let process = manager.process();
    let (revision, calls) = (fleet.etcd.revision().await?, fleet.aws.calls().len());
    let before = process.cpu_time()?;
    // Not to wait for something: the length of the measurement.
    sleep(WINDOW).await;
    let cpu = process.cpu_time()?.saturating_sub(before);
    let writes = fleet.etcd.revision().await? - revision;
    let calls = fleet.aws.calls().len() - calls;
    let what = |what| format!("idle, {} load balancers in sync: {what}", fleet.balancers);
    let row = |what, ours, target, how: &str| Row {
        id: "-",
        what,
        ours,
        peer: None,
        target,
        runs: 1,
        how: how.to_owned(),
    };
    report.add(row(
        what("CPU in a minute"),
        Figure::time(cpu),
        Target::None,
        "User and system time of the process over 60 s, between two resyncs.",
    ));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    report.add(row(
        what("writes to etcd"),
        Figure::Writes(writes as f64),
        Target::AtMost(Figure::Writes(0.0)),
        "By how much etcd's revision grew in that minute.",
    ));
    report.add(row(
        what("calls to AWS"),
        Figure::calls(calls),
        Target::AtMost(Figure::Calls(0.0)),
        "Counted at the simulator in that minute.",
    ));
    report.add(row(
        what("memory"),
        Figure::bytes(process.memory()?.rss),
        Target::None,
        "RSS after that minute.",
    ));
    Ok(())
}
