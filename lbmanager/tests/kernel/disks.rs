//! A state directory that is full, read-only, or away: AWS is managed all the
//! same.

use std::path::Path;

use testbed::etcd::Etcd;

use crate::aws::{AwsManager, REGION, elb_key};
use crate::witness::run;
use crate::world::HOST;

const MEMBERS: [&str; 5] = [
    "i-0000000a",
    "i-0000000b",
    "i-0000000c",
    "i-0000000d",
    "i-0000000e",
];
const DIRECTORY: &str = "/run/small";

/// A manager with its state on a small disk, and the first four members.
async fn on_a_small_disk() -> (Etcd, AwsManager) {
    std::fs::create_dir(DIRECTORY).unwrap();
    run("mount", &format!("-t tmpfs -o size=64k small {DIRECTORY}")).await;
    let etcd = Etcd::start().await.unwrap();
    let mut manager = AwsManager::new(HOST, &etcd.endpoint()).await;
    manager.state = Path::new(DIRECTORY).join("state");
    manager.aws.create(REGION, "web");
    manager.run().await;
    for member in &MEMBERS[..4] {
        etcd.put(&elb_key("web", member), "").await.unwrap();
    }
    manager.until_registered("web", &MEMBERS[..4]).await;
    (etcd, manager)
}

/// Deletes are carried out and members are added: by the manager that runs,
/// and by ones that are started after a crash and after a stop.
async fn works(etcd: &Etcd, manager: &mut AwsManager) {
    etcd.del(&elb_key("web", MEMBERS[3])).await.unwrap();
    manager.until_registered("web", &MEMBERS[..3]).await;
    manager.kill().await;
    manager.run().await;
    etcd.put(&elb_key("web", MEMBERS[3]), "").await.unwrap();
    manager.until_registered("web", &MEMBERS[..4]).await;
    manager.stop().await;
    etcd.del(&elb_key("web", MEMBERS[3])).await.unwrap();
    manager.run().await;
    manager.until_registered("web", &MEMBERS[..3]).await;
    etcd.put(&elb_key("web", MEMBERS[3]), "").await.unwrap();
    manager.until_registered("web", &MEMBERS[..4]).await;
    assert_unharmed(etcd, manager).await;
}

async fn assert_unharmed(etcd: &Etcd, manager: &AwsManager) {
    let timeline = manager.aws.timeline(REGION, "web");
    for member in &MEMBERS[..3] {
        assert!(timeline.never_deregistered(member), "{}", manager.log());
    }
    let frozen = etcd.get_prefix("/lbManager-status/frozen/").await.unwrap();
    assert!(frozen.is_empty(), "{frozen:?}\n{}", manager.log());
}

pub async fn that_are_full_stop_no_change() {
    let (etcd, mut manager) = on_a_small_disk().await;
    let filler = Path::new(DIRECTORY).join("filler");
    let full = std::fs::write(filler, vec![0; 128 * 1024]);
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    works(&etcd, &mut manager).await;
}

pub async fn that_are_read_only_stop_no_change() {
    let (etcd, mut manager) = on_a_small_disk().await;
    run("mount", &format!("-o remount,ro {DIRECTORY}")).await;
    works(&etcd, &mut manager).await;
}
