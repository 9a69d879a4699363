//! Which address is published.

use testbed::process::{Program, Running, Stream};
use testbed::web::Web;

use crate::rig::{Rig, SOON};

#[tokio::test]
async fn the_variable_of_fleet_is_heeded() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let args = ["watch", "--label=web", "--service-id=web-1"];
    let program = rig.program(&args).args(["--monitor-url", &web.url()]);
    let program = program.env("COREOS_PRIVATE_IPV4", "10.9.8.7");
    let _watch = program.start().await.unwrap();
    rig.until_listed("10.9.8.7\n", SOON).await;
}

/// Runs a watch in an empty network with this interface, and gives how it
/// ended.
async fn ended_in(network: &str, more: &str) -> (Option<i32>, String) {
    let binary = env!("CARGO_BIN_EXE_service-monitor");
    let watch = format!(
        "{binary} watch --label web --service-id web-1 --monitor-url exec:true \
         --endpoints http://127.0.0.1:1 {more}"
    );
    let script = format!("set -e; PATH=$PATH:/usr/sbin:/sbin; {network} exec timeout 5 {watch}");
    let mut running: Running = Program::new("/usr/bin/unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "/bin/sh",
            "-c",
            &script,
        ])
        .env_remove("COREOS_PRIVATE_IPV4")
        .start()
        .await
        .unwrap();
    let status = running.wait(SOON).await.unwrap();
    (status.code(), running.text(Stream::Stderr))
}

const BRIDGED: &str = "ip link add eth0 type veth peer name host; ip link set host up; \
                       ip link set eth0 up; ip address add 172.17.0.2/16 dev eth0; \
                       ip route add default via 172.17.0.1;";

#[tokio::test]
async fn in_a_bridged_container_somebody_has_to_say_it() {
    let (code, stderr) = ended_in(BRIDGED, "").await;
    assert_eq!(code, Some(78), "{stderr}");
    let words = "172.17.0.2 is an address inside of Docker's own network";
    assert!(stderr.contains(words), "{stderr}");
    // It runs until it is ended.
    let (code, stderr) = ended_in(BRIDGED, "--host-ip 10.0.0.7").await;
    assert_eq!(code, Some(124), "{stderr}");
    assert!(
        stderr.contains("the service is up: exit code 0"),
        "{stderr}"
    );
}

#[tokio::test]
async fn without_a_default_route_somebody_has_to_say_it() {
    let (code, stderr) = ended_in("", "").await;
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("has no default route"), "{stderr}");
}
