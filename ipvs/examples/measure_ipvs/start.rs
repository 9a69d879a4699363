//! From a filled etcd to a kernel that had no table.

use std::path::Path;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use ipvs::Ipvs;
use testbed::etcd::Etcd;
use testbed::lbmanager::{Launch, LbManager};
use testbed::wait;
use tokio::time::sleep;

use crate::table::{Looks, REGION, Table};
use crate::{LBMANAGER, Result, none, run, runtime, tell};

/// How often the kernel is asked whether it has the whole table. Asking for
/// one service is cheap, and each time it is not counted how much of this has
/// passed.
const POLL: Duration = Duration::from_millis(5);
const DEADLINE: Duration = Duration::from_mins(3);

/// Makes the data of an etcd that has the table's keys.
pub fn fill(table: &Table, data: &Path) -> Result<()> {
    runtime()?.block_on(async {
        let mut etcd = Etcd::builder().data_dir(data).start().await?;
        etcd.put_many(table.keys().map(|key| (key, ""))).await?;
        Ok(etcd.stop().await?)
    })
}

pub fn by_lbmanager(table: &Table, data: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let own = folder.path().join("data");
    run(Process::new("cp").arg("--recursive").arg(data).arg(&own))?;
    runtime()?.block_on(async {
        let etcd = Etcd::builder().data_dir(&own).start().await?;
        let log = folder.path().join("log");
        let begin = Instant::now();
        let manager = manager(&etcd, &log).await?;
        let took = complete(table, begin).await?;
        tell("start", LBMANAGER, took);
        none(Looks::of(table).drifted()?)?;
        statuses(&etcd, table).await?;
        let bytes = manager.process().memory()?.peak;
        println!(r#"{{"what": "memory", "by": "{LBMANAGER}", "bytes": {bytes}}}"#);
        Ok(())
    })
}

/// Starts lbmanager for the region of the table.
pub async fn manager(etcd: &Etcd, log: &Path) -> Result<LbManager> {
    let launch = Launch::of_kernel(etcd)?.args(["--ipvs-region", REGION]);
    // It has nothing to do with the table, and needs a suite of programs.
    let launch = launch.args(["--masquerade", "off"]).log_to(log);
    Ok(launch.start().await?)
}

/// Waits until the kernel has the last real server of the table, by which it
/// has the others if lbmanager adds them in order; whether it does is looked
/// at afterwards. When that was.
pub async fn complete(table: &Table, begin: Instant) -> Result<Duration> {
    let (service, servers) = table.last();
    let mut ipvs = Ipvs::open()?;
    while begin.elapsed() < DEADLINE {
        let found = ipvs.destinations(service)?.len();
        let took = begin.elapsed();
        if found == servers {
            return Ok(took);
        }
        sleep(POLL).await;
    }
    Err("lbmanager did not write the table in time".into())
}

/// Waits until everything was told to etcd, too: memory is needed for that.
pub async fn statuses(etcd: &Etcd, table: &Table) -> Result<()> {
    let prefix = format!("/lbManager-status/lb/ipvs/{REGION}/");
    let wanted = i64::try_from(table.services())?;
    let written = wait::until("a status of each service", DEADLINE, || async {
        match etcd.count(&prefix).await {
            Ok(found) if found == wanted => Ok(()),
            found => Err(found.map_err(|error| error.to_string())),
        }
    });
    Ok(written.await?)
}
