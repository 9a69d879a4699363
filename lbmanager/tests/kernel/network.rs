//! The host's network around the table: what fails there is retried there, and
//! delays nothing.

use std::path::Path;

use testbed::etcd::Etcd;
use testbed::process::{Program, Running};
use testbed::wait;

use crate::witness::{run, until_servers};
use crate::world::{HOST, Manager, SOON, VIP, World};

const A: &str = "10.9.0.11:8080";
const B: &str = "10.9.0.12:8080";

async fn until(what: &str, command: (&str, &str), wanted: impl Fn(&str) -> bool) {
    wait::until(what, SOON, || async {
        let output = run(command.0, command.1).await;
        if wanted(&output) { Ok(()) } else { Err(output) }
    })
    .await
    .unwrap();
}

pub async fn gets_addresses_on_an_interface_that_appears_later() {
    let world = World::start_with(&["--bind-vips=lb0", "--resync=1h"]).await;
    world.put(A, "").await;
    until_servers(VIP, &["10.9.0.11:8080 1"]).await;
    world.until_log("this host has no interface lb0").await;
    run("ip", "link add lb0 type dummy").await;
    run("ip", "link set lb0 up").await;
    until_bound().await;
}

/// Another program that holds the lock of iptables.
async fn lock_iptables() -> Running {
    let lock = Program::new("/usr/bin/flock");
    let lock = lock.args([
        "/run/xtables.lock",
        "sh",
        "-c",
        "echo locked; exec sleep 600",
    ]);
    let running = lock.start().await.unwrap();
    let locked = running.wait_for_line(|line| line == "locked", SOON);
    locked.await.unwrap();
    running
}

/// A bridge with the network of the members, and an interface for addresses.
pub async fn interfaces() {
    for command in [
        "link add lan type bridge",
        "address add 10.9.0.1/24 dev lan",
        "link set lan up",
        "link add lb0 type dummy",
        "link set lb0 up",
    ] {
        run("ip", command).await;
    }
}

pub async fn until_bound() {
    let addresses = ("ip", "-o -4 address show dev lb0");
    until("the address is bound", addresses, |output| {
        output.contains("10.8.0.1/32")
    })
    .await;
}

pub async fn until_masqueraded() {
    let rules = ("iptables-legacy-save", "-t nat");
    until("the rule is there", rules, |output| {
        output.contains("--ctorigdst 10.8.0.1")
    })
    .await;
}

pub async fn gets_rules_when_another_program_has_released_the_lock() {
    interfaces().await;
    let mut lock = lock_iptables().await;
    let world = World::start_with(&["--bind-vips=lb0", "--resync=1h"]).await;
    world.put(A, "").await;
    until_servers(VIP, &["10.9.0.11:8080 1"]).await;
    until_bound().await;
    world.until_log("xtables lock").await;
    lock.kill().await.unwrap();
    until_masqueraded().await;
}

pub async fn delays_no_change_to_the_table() {
    interfaces().await;
    let etcd = Etcd::start().await.unwrap();
    let mut manager = Manager::new(HOST, &etcd.endpoint()).shared();
    let started = manager.state_dir().with_file_name("started");
    // It never ends by itself.
    let script = format!(
        "#!/bin/sh\necho $$ > {0}.tmp\nmv {0}.tmp {0}\nexec sleep 600\n",
        started.display()
    );
    manager.replace_program("iptables-restore", &script);
    manager.run(&["--bind-vips=lb0", "--resync=1h"]).await;
    let world = World { manager, etcd };
    world.put(A, "").await;
    world.put(B, "").await;
    until_servers(VIP, &["10.9.0.11:8080 1", "10.9.0.12:8080 1"]).await;
    until_bound().await;

    let pid = wait::until("iptables-restore runs", SOON, || async {
        std::fs::read_to_string(&started)
    });
    let process = format!("/proc/{}", pid.await.unwrap().trim());
    world.del(B).await;
    until_servers(VIP, &["10.9.0.11:8080 1"]).await;
    assert!(Path::new(&process).exists(), "the change waited for it");

    world.manager.replace_program(
        "iptables-restore",
        "#!/bin/sh\nexec iptables-legacy-restore \"$@\"\n",
    );
    until_masqueraded().await;
}
