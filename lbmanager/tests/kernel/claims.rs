//! One machine, one host ID; and who else serves a region.

use testbed::process::{Program, Stream, workspace_binary};
use testbed::wait;

use crate::witness::{run, servers, set, until_servers};
use crate::world::{SOON, VIP, World};

const A: &str = "10.8.1.1:8080";

pub async fn are_refused_to_a_second_machine() {
    let world = World::start().await;
    world.put(A, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    let state = tempfile::tempdir().unwrap();
    let boot_id = state.path().join("boot_id");
    std::fs::write(&boot_id, "00000000-0000-4000-8000-000000000000\n").unwrap();
    let mount = format!(
        "--bind {} /proc/sys/kernel/random/boot_id",
        boot_id.display()
    );
    run("mount", &mount).await;
    let mut second = Program::new(workspace_binary("lbmanager").unwrap())
        .args(["run", "--backends=ipvs", "--host-id=host-1"])
        .arg(format!("--endpoints={}", world.etcd.endpoint()))
        .arg("--state-dir")
        .arg(state.path())
        .start()
        .await
        .unwrap();
    let status = second.wait(SOON).await.unwrap();
    let log = second.text(Stream::Stderr);
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(
        log.contains("the host ID host-1 is taken by another machine"),
        "{log}"
    );
    // It has touched nothing, and the first goes on.
    assert_eq!(servers(VIP).await, set(&["10.8.1.1:8080 1"]));
    world.put("10.8.1.2:8080", "").await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
}

async fn until_bound(wanted: bool) {
    let what = format!("the address is bound: {wanted}");
    wait::until(&what, SOON, || async {
        let addresses = run("ip", "-o -4 address show dev lb0").await;
        if addresses.contains("10.8.0.1/32") == wanted {
            Ok(())
        } else {
            Err(addresses)
        }
    })
    .await
    .unwrap();
}

pub async fn decide_who_answers_for_a_shared_address() {
    run("ip", "link add lb0 type dummy").await;
    run("ip", "link set lb0 up").await;
    let world = World::start_with(&["--bind-vips=lb0"]).await;
    world.put(A, "").await;
    until_bound(true).await;
    let other = "/lbManager-status/managers/host-2/ipvs";
    let claim = r#"{"machine_id":"2","version":"1","backends":["ipvs"],"regions":["edge"]}"#;
    world.etcd.put(other, claim).await.unwrap();
    until_bound(false).await;
    let log = world.manager.log();
    assert!(
        log.contains("its region is served by host-2 as well"),
        "{log}"
    );
}
