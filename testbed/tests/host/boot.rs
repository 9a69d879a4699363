//! What every host has.

use std::time::Duration;

use testbed::docker::Docker;
use testbed::host::{self, Unit};
use testbed::wait;

pub async fn a_host_has_systemd_etcd_docker_and_ipvs() {
    wait::until("the host to be up", Duration::from_mins(1), || async {
        let state = host::run("systemctl", ["is-system-running"]).await.unwrap();
        if state.stdout.trim() == "running" {
            Ok(())
        } else {
            Err(state.stdout)
        }
    })
    .await
    .unwrap();
    for unit in ["etcd.service", "docker.service"] {
        let unit = Unit::new(unit);
        assert_eq!(unit.property("ActiveState").await.unwrap(), "active");
    }
    let etcd = host::etcd();
    etcd.put("/k", "v").await.unwrap();
    assert_eq!(etcd.get("/k").await.unwrap().as_deref(), Some("v"));
    let docker = Docker::start_or_use().await.unwrap();
    let image = docker.contained(&[]).await.unwrap();
    docker
        .run(&["run", "--rm", image.tag(), "once"])
        .await
        .unwrap();
    let table = host::run("ipvsadm", ["-Ln"]).await.unwrap();
    assert!(table.success().unwrap().starts_with("IP Virtual Server"));
    let failed = host::run("sh", ["-c", "echo out; echo err >&2; exit 3"])
        .await
        .unwrap();
    assert_eq!(failed.status.code(), Some(3));
    assert_eq!((&*failed.stdout, &*failed.stderr), ("out\n", "err\n"));
}
