//! State directories that cannot be written, or are removed.

use testbed::etcd::Etcd;

use crate::witness::{run, until_servers};
use crate::world::{HOST, Manager, VIP, World};

const A: &str = "10.8.1.1:8080";
const B: &str = "10.8.1.2:8080";
const NEW: &str = "10.8.0.2:80";

/// A manager whose state is on a disk of its own, with one service.
async fn on_its_own_disk() -> World {
    let etcd = Etcd::start().await.unwrap();
    let mut manager = Manager::new(HOST, &etcd.endpoint()).shared();
    let state = manager.state_dir();
    std::fs::create_dir(&state).unwrap();
    let mount = format!("-t tmpfs -o size=64k state {}", state.display());
    run("mount", &mount).await;
    manager.run(&[]).await;
    let world = World { manager, etcd };
    world.put(A, "").await;
    world.put(B, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
    world
}

/// The service that is there is managed as usual, also after a restart; a new
/// one is not created, and its status says why.
async fn blocks_new_services_only(world: &mut World) {
    world.put_into(NEW, A).await;
    let error = |status: &serde_json::Value| {
        let error = status["error"]["what"].as_str().unwrap_or_default();
        error.contains("cannot write the state file")
    };
    world.until_status(NEW, "the error is shown", error).await;
    world.del(B).await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    world.manager.kill().await;
    world.manager.run(&[]).await;
    world.put(B, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
    world.del(B).await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    world.until_status(NEW, "the error is shown", error).await;
    until_servers(NEW, &[]).await;
}

pub async fn that_are_full_block_new_services_only() {
    let mut world = on_its_own_disk().await;
    let filler = world.manager.state_dir().join("filler");
    let full = std::fs::write(&filler, vec![0; 128 * 1024]);
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    blocks_new_services_only(&mut world).await;
    std::fs::remove_file(filler).unwrap();
    until_servers(NEW, &["10.8.1.1:8080 1"]).await;
}

pub async fn that_are_read_only_block_new_services_only() {
    let mut world = on_its_own_disk().await;
    let state = world.manager.state_dir();
    run("mount", &format!("-o remount,ro {}", state.display())).await;
    blocks_new_services_only(&mut world).await;
    run("mount", &format!("-o remount,rw {}", state.display())).await;
    until_servers(NEW, &["10.8.1.1:8080 1"]).await;
}

pub async fn that_are_removed_are_created_again() {
    let mut world = World::start().await;
    world.put(A, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    std::fs::remove_dir_all(world.manager.state_dir()).unwrap();
    world.put_into(NEW, A).await;
    until_servers(NEW, &["10.8.1.1:8080 1"]).await;
    assert!(world.manager.state_dir().join("ipvs.json").exists());
    // The ledger is whole: what the restarted manager created it removes.
    world.manager.kill().await;
    world.del(A).await;
    world.manager.run(&[]).await;
    until_servers(VIP, &[]).await;
}
