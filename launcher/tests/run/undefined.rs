//! Nothing that could be started.

use crate::instance::name;
use crate::{DEADLINE, Rig};

pub async fn nothing_at_all(rig: &Rig) {
    let mut web = rig.started(rig.plain(&name())).await;
    web.fails(125, &["there is no definition of", "/launcher/services/"])
        .await;
}

pub async fn does_not_parse(rig: &Rig) {
    let name = name();
    rig.put(&name, "image: web:1\nprot: 80\n").await;
    let mut web = rig.started(rig.plain(&name)).await;
    let place = format!("/launcher/services/{name}:2:1");
    web.fails(125, &[&place, "prot", "port"]).await;
}

pub async fn refused_by_the_policy(rig: &Rig) {
    let name = name();
    let document = rig.definition("volumes:\n  - /var/run/docker.sock:/docker.sock\n");
    rig.put(&name, &document).await;
    let mut web = rig.started(rig.plain(&name)).await;
    let place = format!("/launcher/services/{name}:4:5");
    let words = ["policy of this host", &place, "docker_socket: true"];
    web.fails(125, &words).await;
}

pub async fn unknown_revision(rig: &Rig) {
    let name = name();
    let launch = rig.launch_from_etcd(&name, "").await;
    let mut web = rig.started(launch.args(["1-00000000"])).await;
    let words = format!("there is no revision 1-00000000 of {name}; there are: ");
    web.fails(125, &[&words]).await;
}

/// Found before there is a container to speak of, and said in the same way.
pub async fn wrong_arguments(rig: &Rig) {
    let launch = rig.launch(&name(), "");
    let launch = launch.args(["--policy", "/no/such/policy.yaml"]);
    let mut web = rig.started(launch).await;
    web.fails(125, &["/no/such/policy.yaml"]).await;
}

/// Launcher was killed, and the newest definition is somebody's mistake: what serves goes on.
pub async fn a_mistake_ends_nothing_that_serves(rig: &Rig) {
    let mut web = rig.ready("").await;
    let id = web.inspect("{{.Id}}").await;
    web.kill().await.unwrap();
    web.launch().define("imge: nginx").unwrap();
    web.again().await;
    web.wait_ready(DEADLINE).await.unwrap();
    assert_eq!(web.inspect("{{.Id}}").await, id);
    assert!(web.log().contains("did you mean"), "{}", web.log());
    web.end().await;
}
