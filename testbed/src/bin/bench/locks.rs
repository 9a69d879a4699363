//! P12: a command under a lock.

use std::time::Duration;

use testbed::etcd::Etcd;
use testbed::process::workspace_binary;
use testbed::{Error, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::measure::{Task, interleaved, median};
use crate::report::{Figure, Report, Row, Target};

const RUNS: usize = 51;
const AT_ONCE: u32 = 50;
const CROWDS: usize = 5;
const PEER: &str = "etcdctl lock … true";
const TIME: f64 = 1.0;

pub async fn measure(report: &mut Report) -> Result<()> {
    let etcd = Etcd::start().await?;
    let ours = Task::new(
        workspace_binary("service-monitor")?,
        &["run-locked", "--label", "web", "--", "true"],
    );
    let ours = ours.env("ETCDCTL_ENDPOINTS", etcd.endpoint());
    let peer = Task::etcdctl(&etcd, &["lock", "web", "true"]);
    let [alone, peer_alone] = interleaved([&ours, &peer], RUNS).await?;
    report.add(Row {
        id: "P12",
        what: "service-monitor run-locked … true, nobody else there".to_owned(),
        ours: Figure::time(median(&alone)),
        peer: Some((Figure::time(median(&peer_alone)), PEER)),
        target: Target::Ratio(TIME),
        runs: RUNS,
        how: "The whole process, from before it is started until it has ended; medians.".to_owned(),
    });
    let (mut crowds, mut peer_crowds) = (Vec::new(), Vec::new());
    for _ in 0..CROWDS {
        crowds.push(crowd(&ours).await?);
        peer_crowds.push(crowd(&peer).await?);
    }
    report.add(Row {
        id: "P12",
        what: format!("{AT_ONCE} of them at once, for each"),
        ours: Figure::time(median(&crowds) / AT_ONCE),
        peer: Some((Figure::time(median(&peer_crowds) / AT_ONCE), PEER)),
        target: Target::Ratio(TIME),
        runs: CROWDS,
        how: format!(
            "From before the first is started until the last has ended, divided by {AT_ONCE}: \
             the start of the processes is most of it; medians."
        ),
    });
    Ok(())
}

/// How long all of them take together.
async fn crowd(task: &Task) -> Result<Duration> {
    let begin = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..AT_ONCE {
        let one = task.clone();
        all.spawn(async move { one.time().await });
    }
    while let Some(ended) = all.join_next().await {
        ended.map_err(|error| Error::Misuse(error.to_string()))??;
    }
    Ok(begin.elapsed())
}
