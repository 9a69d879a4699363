//! What Docker does not do, and what is said of it.

use crate::instance::name;
use crate::{DEADLINE, Rig};

pub async fn no_such_command(rig: &Rig) {
    let mut web = rig.start("entrypoint: [no-such-program]").await;
    web.fails(127, &["cannot be started", "no-such-program"])
        .await;
}

pub async fn no_program(rig: &Rig) {
    let mut web = rig.start("entrypoint: [/etc/passwd]").await;
    web.fails(126, &["cannot be started", "/etc/passwd"]).await;
}

pub async fn a_port_that_is_taken(rig: &Rig) {
    let first = rig.ready(r#"ports: ["127.0.0.1:7081:80"]"#).await;
    let mut second = rig.start(r#"ports: ["127.0.0.1:7081:80"]"#).await;
    second.fails(125, &["is taken", "7081", "ss -ltnp"]).await;
    assert_eq!(first.status().await, 200);
    first.end().await;
}

pub async fn a_network_that_is_missing(rig: &Rig) {
    let mut web = rig.start("networks: [no-such-network]").await;
    let words = ["is missing", "no-such-network", "docker network create"];
    web.fails(125, &words).await;
}

/// It may be a person's, who made it by hand, and it stays.
pub async fn a_name_that_another_has(rig: &Rig) {
    let mut web = rig.ready("").await;
    let container = web.container().await;
    assert!(web.stop(DEADLINE).await.unwrap().success());
    let args = ["--name", &container, rig.image.tag()];
    let foreign = rig.docker.container(&args).await.unwrap();
    web.again().await;
    let words = [container.as_str(), "not this instance's", "not touched"];
    web.fails(125, &words).await;
    let args = ["inspect", "--format={{.State.Running}}", foreign.id()];
    assert_eq!(rig.docker.run(&args).await.unwrap().trim(), "true");
}

pub async fn an_image_that_is_nowhere(rig: &Rig) {
    let definition = "image: no-such-image:1\nport: 80\npull_policy: never";
    let launch = rig.plain(&name()).defined(definition).unwrap();
    let mut web = rig.started(launch).await;
    web.fails(125, &["there is no image no-such-image:1"]).await;
}
