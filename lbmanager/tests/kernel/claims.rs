//! One machine, one host ID; and who else serves a region.

use std::net::Ipv4Addr;

use testbed::etcd::Etcd;
use testbed::netns::{Bridge, Namespace};
use testbed::process::{Program, Stream, workspace_binary};
use testbed::wait;

use crate::witness::{run, servers, set, until_servers};
use crate::world::{HOST, Manager, SOON, VIP, World, key};

/// Where hosts find etcd.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const A: &str = "10.8.1.1:8080";

pub async fn are_refused_to_a_second_machine() {
    let lan = Bridge::create("lan", [format!("{HERE}/24")]).await.unwrap();
    let etcd = Etcd::builder().address(HERE).start().await.unwrap();
    let mut first = Manager::new(HOST, &etcd.endpoint_at(HERE)).shared();
    first.run(&[]).await;
    let put = async |member| etcd.put(&key(VIP, "multiple", member), "").await.unwrap();
    put(A).await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    let place = Namespace::builder("second").address("10.5.0.2/24");
    let place = place.join(&lan).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let boot_id = state.path().join("boot_id");
    std::fs::write(&boot_id, "00000000-0000-4000-8000-000000000000\n").unwrap();
    let mount = format!(
        "--bind {} /proc/sys/kernel/random/boot_id",
        boot_id.display()
    );
    run("mount", &mount).await;
    let second = Manager::new(HOST, &etcd.endpoint_at(HERE));
    let mut second = second.start_on(&place).await;
    let status = second.wait(SOON).await.unwrap();
    let log = second.text(Stream::Stderr);
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(
        log.contains("the host ID host-1 is claimed by another machine"),
        "{log}"
    );
    // It has touched nothing, and the first goes on.
    assert_eq!(servers(VIP).await, set(&["10.8.1.1:8080 1"]));
    put("10.8.1.2:8080").await;
    until_servers(VIP, &["10.8.1.1:8080 1", "10.8.1.2:8080 1"]).await;
}

pub async fn of_one_kernel_are_refused_to_a_second_manager() {
    let mut world = World::start().await;
    world.put(A, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    let first = world.manager.process().pid();
    let second = Manager::new("host-2", &world.etcd.endpoint()).shared();
    let mut second = second.start().await;
    let status = second.wait(SOON).await.unwrap();
    let log = second.text(Stream::Stderr);
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(
        log.contains(&format!("another lbmanager, the process {first}")),
        "{log}"
    );
    assert_eq!(servers(VIP).await, set(&["10.8.1.1:8080 1"]));

    // It is free when the first one ends, however it does.
    world.manager.kill().await;
    let mut second = Manager::new("host-2", &world.etcd.endpoint()).shared();
    second.run(&[]).await;
}

pub async fn of_a_state_directory_are_refused_to_a_second_manager() {
    let world = World::start().await;
    let state = world.manager.state_dir();
    let mut second = Program::new(workspace_binary("lbmanager").unwrap())
        .args(["run", "--backends=elb"])
        .arg(format!("--endpoints={}", world.etcd.endpoint()))
        .arg("--state-dir")
        .arg(&state)
        .start()
        .await
        .unwrap();
    let status = second.wait(SOON).await.unwrap();
    let log = second.text(Stream::Stderr);
    assert_eq!(status.code(), Some(78), "{log}");
    assert!(log.contains("in use by another process"), "{log}");
    assert!(log.contains("--state-dir"), "{log}");

    // A dry run only looks.
    let dry = Program::new(workspace_binary("lbmanager").unwrap())
        .args(["run", "--backends=ipvs", "--dry-run", "--once"])
        .arg(format!("--endpoints={}", world.etcd.endpoint()))
        .arg("--state-dir")
        .arg(&state)
        .start();
    let status = dry.await.unwrap().wait(SOON).await.unwrap();
    assert_ne!(status.code(), Some(78));
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
