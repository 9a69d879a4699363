//! The history of etcd is reset: everything stays until a release that was
//! written after that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real::{A, B, C, D, Rig, withheld};
use crate::world::{FROZEN, RELEASE_ALL, apply_a_delete, release_all, until_frozen};

/// What was saved of etcd while it listed A, B and C, and had a release.
struct Saved {
    snapshot: PathBuf,
    dump: BTreeMap<String, String>,
    _directory: TempDir,
}

impl Saved {
    async fn of(rig: &Rig, reset: Reset) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = directory.path().join("snapshot");
        rig.etcd.snapshot(&snapshot).await.unwrap();
        let mut dump = rig.etcd.get_prefix("").await.unwrap();
        if !reset.is_elsewhere() {
            // Within one cluster only the revisions tell a copy, and real
            // histories are long.
            let release = dump.get_mut(RELEASE_ALL).unwrap();
            let mut value: Value = serde_json::from_str(release).unwrap();
            value["revision"] = json!(value["revision"].as_i64().unwrap() + 50_000);
            *release = value.to_string();
        }
        Self {
            snapshot,
            dump,
            _directory: directory,
        }
    }

    /// What an operator had written into the old history.
    fn release(&self) -> &str {
        &self.dump[RELEASE_ALL]
    }

    /// What `get --prefix` printed is put again, key by key.
    async fn refill(&self, rig: &Rig) {
        for (key, value) in &self.dump {
            rig.etcd.put(key, value).await.unwrap();
        }
    }
}

/// How the history is reset.
#[derive(Debug, Clone, Copy)]
enum Reset {
    /// Restored from the snapshot.
    Restored,
    /// Restored from the snapshot as another cluster.
    RestoredElsewhere,
    /// An empty data directory.
    Emptied,
    /// An empty data directory of another cluster.
    EmptiedElsewhere,
    /// Every key deleted at once.
    Deleted,
    /// An empty data directory, filled from the dump.
    Refilled,
    /// The same with more puts than the old history had revisions.
    RefilledBeyond,
    /// Another cluster, filled from the dump.
    RefilledElsewhere,
}

impl Reset {
    /// Whether the cluster has another ID then.
    fn is_elsewhere(self) -> bool {
        matches!(
            self,
            Self::RestoredElsewhere | Self::EmptiedElsewhere | Self::RefilledElsewhere
        )
    }

    /// Happens, and leaves A, B and C in the tree.
    async fn happen(self, rig: &mut Rig, saved: &Saved) {
        let revision = rig.etcd.revision().await.unwrap();
        match self {
            Self::Restored => rig.etcd.restore(&saved.snapshot).await.unwrap(),
            Self::RestoredElsewhere => {
                rig.etcd.renew_cluster_id();
                rig.etcd.restore(&saved.snapshot).await.unwrap();
            }
            Self::Emptied => {
                rig.etcd.wipe().await.unwrap();
                rig.put("web", &[A, B, C]).await;
            }
            Self::EmptiedElsewhere => {
                rig.etcd.renew_cluster_id();
                rig.etcd.wipe().await.unwrap();
                rig.put("web", &[A, B, C]).await;
            }
            Self::Deleted => {
                rig.etcd.del_prefix("").await.unwrap();
                rig.put("web", &[A, B, C]).await;
            }
            Self::Refilled => {
                rig.etcd.wipe().await.unwrap();
                saved.refill(rig).await;
            }
            Self::RefilledBeyond => {
                rig.etcd.wipe().await.unwrap();
                for number in 0..=revision {
                    rig.etcd.put("/filler", &number.to_string()).await.unwrap();
                }
                saved.refill(rig).await;
            }
            Self::RefilledElsewhere => {
                rig.etcd.renew_cluster_id();
                rig.etcd.wipe().await.unwrap();
                saved.refill(rig).await;
            }
        }
    }
}

/// A, B, C and D serve; what was saved does not know of D.
async fn rig(reset: Reset) -> (Rig, Saved) {
    let rig = Rig::serving("web", &[A, B, C]).await;
    release_all(&rig).await;
    let saved = Saved::of(&rig, reset).await;
    rig.put("web", &[D]).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    (rig, saved)
}

async fn until_d_is_held(rig: &Rig) {
    until_frozen(rig).await;
    rig.until_status("web", "D is held", |status| {
        withheld(status).contains(D) && status["members"][A]["state"] == "serving"
    })
    .await;
    rig.assert_kept("web", &[A, B, C, D]);
}

/// Frozen, also after a crash, with a lost state directory, and after a
/// failover; until a release of this history.
async fn assert_frozen_until_released(rig: &mut Rig, old_release: &str) {
    let all = [A, B, C, D];
    until_d_is_held(rig).await;
    apply_a_delete(rig, "web", &all).await;

    rig.kill().await;
    rig.run().await;
    apply_a_delete(rig, "web", &all).await;
    until_d_is_held(rig).await;

    rig.stop().await;
    std::fs::remove_dir_all(rig.state.path()).unwrap();
    std::fs::create_dir(rig.state.path()).unwrap();
    rig.run().await;
    apply_a_delete(rig, "web", &all).await;
    until_d_is_held(rig).await;

    rig.kill().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let state = format!("--state-dir={}", elsewhere.path().display());
    rig.set(|launch| launch.arg("--host-id=another-host").arg(state));
    rig.run().await;
    apply_a_delete(rig, "web", &all).await;
    until_d_is_held(rig).await;

    // A copy of what an operator wrote into the old history releases nothing.
    rig.etcd.put(RELEASE_ALL, old_release).await.unwrap();
    apply_a_delete(rig, "web", &all).await;
    until_d_is_held(rig).await;

    release_all(rig).await;
    rig.until_registered("web", &[A, B, C]).await;
    rig.until_gone(FROZEN).await;
    // Everything is as usual again.
    rig.del("web", C).await;
    rig.until_registered("web", &[A, B]).await;
    rig.assert_kept("web", &[A, B]);
}

async fn while_the_manager_runs(reset: Reset) {
    let (mut rig, saved) = rig(reset).await;
    reset.happen(&mut rig, &saved).await;
    assert_frozen_until_released(&mut rig, saved.release()).await;
}

async fn while_the_manager_is_stopped(reset: Reset) {
    let (mut rig, saved) = rig(reset).await;
    rig.stop().await;
    reset.happen(&mut rig, &saved).await;
    rig.run().await;
    assert_frozen_until_released(&mut rig, saved.release()).await;
}

macro_rules! frozen_until_released {
    ($($name:ident: $when:ident($reset:ident);)*) => {
        $(#[tokio::test] async fn $name() { $when(Reset::$reset).await; })*
    };
}

frozen_until_released! {
    a_snapshot_restored_while_the_manager_runs_freezes: while_the_manager_runs(Restored);
    a_snapshot_restored_while_the_manager_is_stopped_freezes:
        while_the_manager_is_stopped(Restored);
    a_snapshot_restored_as_another_cluster_while_the_manager_runs_freezes:
        while_the_manager_runs(RestoredElsewhere);
    a_snapshot_restored_as_another_cluster_while_the_manager_is_stopped_freezes:
        while_the_manager_is_stopped(RestoredElsewhere);
    an_etcd_emptied_while_the_manager_runs_freezes: while_the_manager_runs(Emptied);
    an_etcd_emptied_while_the_manager_is_stopped_freezes: while_the_manager_is_stopped(Emptied);
    an_empty_etcd_of_another_cluster_while_the_manager_runs_freezes:
        while_the_manager_runs(EmptiedElsewhere);
    a_key_space_deleted_while_the_manager_runs_freezes: while_the_manager_runs(Deleted);
    a_key_space_deleted_while_the_manager_is_stopped_freezes: while_the_manager_is_stopped(Deleted);
    a_dump_put_into_an_empty_etcd_while_the_manager_runs_freezes: while_the_manager_runs(Refilled);
    a_dump_put_into_an_empty_etcd_while_the_manager_is_stopped_freezes:
        while_the_manager_is_stopped(Refilled);
    a_dump_with_more_puts_than_the_old_history_had_freezes:
        while_the_manager_is_stopped(RefilledBeyond);
    a_dump_put_into_another_cluster_while_the_manager_runs_freezes:
        while_the_manager_runs(RefilledElsewhere);
    a_dump_put_into_another_cluster_while_the_manager_is_stopped_freezes:
        while_the_manager_is_stopped(RefilledElsewhere);
}
