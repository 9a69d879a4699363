//! P11: a list of who is there.

use serde_json::json;
use testbed::Result;
use testbed::etcd::Etcd;
use testbed::process::workspace_binary;

use crate::measure::{Task, interleaved, median, middle};
use crate::memory;
use crate::report::{Figure, Report, Row, Target};

const INSTANCES: usize = 1000;
const RUNS: usize = 51;
const MEMORY_RUNS: usize = 9;
const PEER: &str = "etcdctl get --prefix";
const TIME: f64 = 1.0;
const MEMORY: f64 = 0.5;

pub async fn measure(report: &mut Report) -> Result<()> {
    let etcd = Etcd::start().await?;
    etcd.put_many((0..INSTANCES).map(instance)).await?;
    let hosts = workspace_binary("service-monitor")?;
    let hosts = Task::new(hosts, &["hosts", "--label", "web"]);
    let hosts = hosts.env("ETCDCTL_ENDPOINTS", etcd.endpoint());
    let get = Task::etcdctl(&etcd, &["get", "--prefix", "/service-monitor/web/hosts/"]);
    let [ours, peer] = interleaved([&hosts, &get], RUNS).await?;
    report.add(Row {
        id: "P11",
        what: format!("service-monitor hosts, {INSTANCES} instances"),
        ours: Figure::time(median(&ours)),
        peer: Some((Figure::time(median(&peer)), PEER)),
        target: Target::Ratio(TIME),
        runs: RUNS,
        how: "The whole process, from before it is started until it has ended, beside that of \
              etcdctl on the same keys; output to /dev/null; medians."
            .to_owned(),
    });
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..MEMORY_RUNS {
        ours.push(memory::most(&hosts).await?);
        peer.push(memory::most(&get).await?);
    }
    report.add(Row {
        id: "P11",
        what: "its memory".to_owned(),
        ours: Figure::bytes(middle(ours)),
        peer: Some((Figure::bytes(middle(peer)), PEER)),
        target: Target::Ratio(MEMORY),
        runs: MEMORY_RUNS,
        how: "The most that each ever had in RAM, its own code included; medians.".to_owned(),
    });
    Ok(())
}

fn instance(number: usize) -> (String, String) {
    let key = format!("/service-monitor/web/hosts/web-{number}");
    let host = format!("10.0.{}.{}", number / 250, number % 250);
    let value = json!({
        "host": host, "port": 8080, "service_id": format!("web-{number}"), "state": "up",
        "info": {}, "since": "2026-11-20T12:00:00Z",
    });
    (key, value.to_string())
}
