//! P6: from a key to the call on the wire.

use std::time::Duration;

use testbed::Result;
use testbed::etcd::Session;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::fleet::{DEADLINE, Fleet};
use crate::measure::{Task, median, percentile};
use crate::report::{Figure, Report, Row, Target};

const RUNS: usize = 100;
/// lbmanager keeps itself to 4 writes a second after a burst of 20. That is AWS's limit and not the
/// time that is measured here.
const PACE: Duration = Duration::from_millis(300);
const REGISTER: &str = "RegisterInstancesWithLoadBalancer";

pub async fn measure(report: &mut Report, fleet: &Fleet) -> Result<()> {
    let mut session = fleet.etcd.session().await?;
    let etcdctl = Task::etcdctl(&fleet.etcd, &["put", "/bench", "x"]);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    etcdctl.time().await?;
    for run in 0..RUNS {
        pace.tick().await;
        ours.push(one(fleet, &mut session, run).await?);
        pace.tick().await;
        peer.push(etcdctl.time().await?);
    }
    let row = |what: &str, time, target| Row {
        id: "P6",
        what: format!("a key put to the register call, {what}"),
        ours: Figure::time(time),
        peer: Some((Figure::time(median(&peer)), "etcdctl put, median")),
        target,
        runs: RUNS,
        how: format!(
            "From before a put is sent to etcd over an open connection, so with etcd's own write, \
             until the call has arrived at the simulator; {} load balancers of {} members, another \
             one each time. Beside the whole process `etcdctl put`, run in between.",
            fleet.balancers, fleet.members
        ),
    };
    report.add(row("median", median(&ours), Target::Ratio(1.0)));
    report.add(row("p99", percentile(&ours, 99), Target::None));
    Ok(())
}

async fn one(fleet: &Fleet, session: &mut Session, run: usize) -> Result<Duration> {
    let (member, key) = fleet.newcomer(run % fleet.balancers, 1);
    let begin = Instant::now();
    session.put(&key, "").await?;
    let registers =
        |call: &testbed::aws::Call| call.operation == REGISTER && call.instances.contains(&member);
    let call = fleet.aws.wait_for_call(registers, DEADLINE).await?;
    Ok(call.arrived.saturating_duration_since(begin))
}
