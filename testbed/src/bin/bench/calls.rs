//! P5: calls to AWS, counted at the simulator.

use std::time::Duration;

use testbed::Result;
use testbed::aws::{Aws, Calls};
use testbed::etcd::Etcd;
use testbed::lbmanager::Launch;
use tokio::time::sleep;

use crate::fleet::{DEADLINE, Fleet, Managing, REGION};
use crate::report::{Figure, Report, Row, Target};

/// The prior lbManager describes once for each change and makes one call for each instance.
const PRIOR: &str = "by the prior rule";
const BURSTS: usize = 5;
const RESYNCS: usize = 3;
const SINGLES: usize = 5;
/// What stays, so that the load balancer always has members in the tree.
const STAY: usize = 5;
const LEAVE: usize = 500;
const COME: usize = 495;
const DESCRIBE: &str = "DescribeLoadBalancers";
const HEALTH: &str = "DescribeInstanceHealth";
const BURST: &str = "/lbManager/elb/us-east-1/burst/multiple/";

/// 1,000 changes to one load balancer: members leave, others come, some keys are written again.
pub async fn burst(report: &mut Report) -> Result<()> {
    let mut most = Counts::default();
    for _ in 0..BURSTS {
        most = most.max(one_burst().await?);
    }
    let changes = STAY + LEAVE + COME;
    report.add(Row {
        id: "P5",
        what: format!("{changes} changes to one load balancer"),
        ours: Figure::calls(most.without_health()),
        peer: Some((Figure::calls(changes + LEAVE + COME), PRIOR)),
        target: Target::AtMost(Figure::Calls(3.0)),
        runs: BURSTS,
        how: format!(
            "The most of all runs: {most}. {LEAVE} members leave, {COME} come, {STAY} keys are \
             written again, in transactions of 128, eight at once."
        ),
    });
    Ok(())
}

async fn one_burst() -> Result<Counts> {
    let (etcd, aws) = tokio::try_join!(Etcd::start(), Aws::start())?;
    let member = |number: usize| format!("i-{number:08x}");
    let key = |number| format!("{BURST}{}", member(number));
    let burst = aws.create(REGION, "burst");
    etcd.put_many((0..STAY + LEAVE).map(|n| (key(n), "")))
        .await?;
    let manager = Launch::new(&etcd, &aws)?.start().await?;
    let in_sync = r#"lbmanager_balancers{state="in_sync"}"#;
    manager.wait_for_metric(in_sync, 1.0, DEADLINE).await?;
    aws.clear_calls();
    let rewritten = (0..STAY).map(|n| (key(n), Some("{}")));
    let deleted = (STAY..STAY + LEAVE).map(|n| (key(n), None));
    let put = (STAY + LEAVE..STAY + LEAVE + COME).map(|n| (key(n), Some("")));
    etcd.put_and_delete_many(rewritten.chain(deleted).chain(put))
        .await?;
    let wanted = (0..STAY)
        .chain(STAY + LEAVE..STAY + LEAVE + COME)
        .map(member)
        .collect();
    let done = |_: &_| burst.in_service() == wanted;
    aws.wait_until("the burst to be carried out", done, DEADLINE)
        .await?;
    manager.wait_for_metric(in_sync, 1.0, DEADLINE).await?;
    Ok(Counts::of(&aws.calls()))
}

/// Everything in sync, and the timer of the resync runs out.
pub async fn resync(report: &mut Report, fleet: &Fleet) -> Result<()> {
    let mut most = Counts::default();
    for _ in 0..RESYNCS {
        fleet.aws.clear_calls();
        fleet
            .aws
            .wait_for_call(|call| call.operation == DESCRIBE, DEADLINE)
            .await?;
        // Not to wait for something: this long after the first call of a resync its calls are
        // counted, and the next resync is further away than this.
        sleep(Duration::from_secs(3)).await;
        most = most.max(Counts::of(&fleet.aws.calls()));
    }
    report.add(Row {
        id: "P5",
        what: format!("{} load balancers in sync, a resync", fleet.balancers),
        ours: Figure::calls(most.describes + most.writes + most.health),
        peer: Some((Figure::calls(fleet.balancers), PRIOR)),
        target: Target::AtMost(Figure::Calls(3.0)),
        runs: RESYNCS,
        how: format!("The most of all runs: {most}. Counted within 3 s of the first call."),
    });
    Ok(())
}

/// One member more, among many load balancers.
pub async fn single(report: &mut Report, fleet: &Fleet, manager: &Managing) -> Result<()> {
    let mut most = Counts::default();
    for lb in 0..SINGLES {
        fleet.aws.clear_calls();
        let (member, key) = fleet.newcomer(lb, 0);
        fleet.etcd.put(&key, "").await?;
        let handle = fleet.handle(lb);
        let serves = |_: &_| handle.in_service().contains(&member);
        fleet
            .aws
            .wait_until("the member to serve", serves, DEADLINE)
            .await?;
        manager.wait_in_sync(fleet).await?;
        most = most.max(Counts::of(&fleet.aws.calls()));
    }
    report.add(Row {
        id: "P5",
        what: format!("one change among {} load balancers", fleet.balancers),
        ours: Figure::calls(most.without_health()),
        peer: Some((Figure::calls(2), PRIOR)),
        target: Target::AtMost(Figure::Calls(2.0)),
        runs: SINGLES,
        how: format!("The most of all runs: {most}. Until the status says that it serves."),
    });
    Ok(())
}

/// Calls by what they are for.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    describes: usize,
    writes: usize,
    health: usize,
}

impl Counts {
    fn of(calls: &Calls) -> Self {
        let count = |operation| {
            calls
                .iter()
                .filter(|call| call.operation == operation)
                .count()
        };
        Self {
            describes: count(DESCRIBE),
            writes: calls.iter().filter(|call| call.is_write()).count(),
            health: count(HEALTH),
        }
    }

    fn max(self, other: Self) -> Self {
        let more = |counts: &Self| (counts.describes + counts.writes, counts.health);
        std::cmp::max_by_key(self, other, more)
    }

    /// Polls of health are counted apart.
    fn without_health(self) -> usize {
        self.describes + self.writes
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            describes,
            writes,
            health,
        } = self;
        write!(
            f,
            "{describes} describes, {writes} writes, {health} polls of health"
        )
    }
}
