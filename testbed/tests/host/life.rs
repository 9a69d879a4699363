//! What every unit outlives.

use std::collections::BTreeMap;

use testbed::host::{Unit, etcd};

use crate::DEADLINE;

/// Short, so that a test need not wait for it, and longer than a busy machine keeps a program from
/// running.
pub const WATCHDOG: &str = "WatchdogSec=8\n";

/// An etcd without a key: what an earlier test put is nobody's here.
pub async fn empty_etcd() {
    etcd().etcdctl(&["del", "--prefix", ""]).await.unwrap();
}

/// Restarts these running units in turn, and then ends them in other ways: each is active again every
/// time.
pub async fn are_back_each_time(units: &[Unit]) {
    for unit in units {
        let before = pid(unit).await;
        unit.restart().await.unwrap();
        assert_ne!(is_active(unit).await, before, "{}", unit.name());
    }
    is_back_after_its_end(units).await;
}

/// Kills all of these units, and then has all of them hang: each is active again every time.
pub async fn is_back_after_its_end(units: &[Unit]) {
    ends(units, "SIGKILL", "signal").await;
    ends(units, "SIGSTOP", "watchdog").await;
}

/// Kills a unit: it is active again.
pub async fn is_back_after_being_killed(unit: &Unit) {
    ends(std::slice::from_ref(unit), "SIGKILL", "signal").await;
}

/// Sends the main process of all of these units a signal, and waits until each is active again, after
/// it failed with this result.
async fn ends(units: &[Unit], signal: &str, result: &str) {
    let mut before = BTreeMap::new();
    for unit in units {
        before.insert(unit.name(), pid(unit).await);
        unit.kill(signal).await.unwrap();
    }
    for unit in units {
        is_another(unit, before[unit.name()]).await;
        let journal = unit.journal().await.unwrap();
        let said = format!("Failed with result '{result}'");
        assert!(journal.contains(&said), "{said} is not in\n{journal}");
    }
}

/// Waits until a unit is active; its main process.
pub async fn is_active(unit: &Unit) -> u32 {
    is_started(unit).await;
    pid(unit).await
}

/// Waits until a unit is active, which may have no process.
pub async fn is_started(unit: &Unit) {
    let active = |shown: &str| shown.contains("ActiveState=active\n");
    unit.wait_for(&["ActiveState", "SubState", "StatusText"], DEADLINE, active)
        .await
        .unwrap();
}

async fn pid(unit: &Unit) -> u32 {
    let pid = unit.main_pid().await.unwrap();
    pid.unwrap_or_else(|| panic!("{} has no main process", unit.name()))
}

/// Waits until a unit is active with another main process than this.
async fn is_another(unit: &Unit, before: u32) {
    let before = format!("MainPID={before}\n");
    let properties = ["MainPID", "ActiveState", "SubState", "StatusText"];
    let another = |shown: &str| !shown.contains(&before) && shown.contains("ActiveState=active\n");
    unit.wait_for(&properties, DEADLINE, another).await.unwrap();
}
