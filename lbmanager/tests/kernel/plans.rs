//! What `lbmanager plan` says of virtual services.

use testbed::process::{Program, Stream, workspace_binary};

use crate::witness::{run, saved, until_servers};
use crate::world::{REGION, SOON, VIP, World, key};

const A: &str = "10.8.1.1:8080";
const B: &str = "10.8.1.2:8080";

/// Its exit status and what it prints.
async fn plan(world: &World, args: &[&str]) -> (Option<i32>, String) {
    let mut running = Program::new(workspace_binary("lbmanager").unwrap())
        .args(["plan", "--host-id=host-1"])
        .arg(format!("--ipvs-region={REGION}"))
        .arg(format!("--endpoints={}", world.etcd.endpoint()))
        .args(args)
        .start()
        .await
        .unwrap();
    let status = running.wait(SOON).await.unwrap();
    let errors = running.text(Stream::Stderr);
    (status.code(), running.text(Stream::Stdout) + &errors)
}

pub async fn say_what_a_manager_would_do() {
    let mut world = World::start().await;
    world.put(A, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    let (code, said) = plan(&world, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("in sync"), "{said}");
    world.manager.stop().await;

    world.put(B, r#"{"weight": 3}"#).await;
    world.del(A).await;
    world
        .etcd
        .put(&key("10.8.0.9:80", "multiple", A), "")
        .await
        .unwrap();
    let before = saved().await;
    let (code, said) = plan(&world, &[]).await;
    assert_eq!(code, Some(2), "{said}");
    for words in [
        "+ 10.8.1.2:8080  put in",
        "- 10.8.1.1:8080  take out: its key was deleted",
        "the kernel is told to add destination 10.8.1.2:8080 to service 10.8.0.1:80",
        "the kernel is told to add service 10.8.0.9:80",
    ] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    // Nothing was changed, and what was said is what is done.
    assert_eq!(saved().await, before);
    world.manager.run(&[]).await;
    until_servers(VIP, &["10.8.1.2:8080 3"]).await;
    until_servers("10.8.0.9:80", &["10.8.1.1:8080 1"]).await;
    let (code, said) = plan(&world, &["--format=json"]).await;
    assert_eq!(code, Some(0), "{said}");
}

pub async fn see_what_was_changed_by_hand() {
    let mut world = World::start().await;
    world.put(A, "").await;
    until_servers(VIP, &["10.8.1.1:8080 1"]).await;
    world.manager.stop().await;
    run("ipvsadm", &format!("-e -t {VIP} -r {A} -m -w 9")).await;
    let name = format!("ipvs/{REGION}/{VIP}");
    let (code, said) = plan(&world, &[&name]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("edit destination 10.8.1.1:8080"), "{said}");
    let (code, said) = plan(&world, &["ipvs/other/10.8.0.1:80"]).await;
    assert_eq!(code, Some(1), "{said}");
}
