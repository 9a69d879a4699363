//! The image: built as `make images` builds it, run by a real Docker beside a
//! real etcd.

use std::time::Duration;

use testbed::docker::Docker;
use testbed::etcd::Etcd;
use testbed::wait;
use testbed::web::Web;

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn it_watches_and_lists_as_nobody_in_particular() {
    let docker = Docker::start_or_use().await.unwrap();
    let image = docker.build("service-monitor").await.unwrap();
    let version = ["run", "--rm", image.tag(), "--version"];
    let version = docker.run(&version).await.unwrap();
    let expected = concat!("service-monitor ", env!("CARGO_PKG_VERSION"), " (");
    assert!(version.starts_with(expected), "{version}");

    let etcd = Etcd::start().await.unwrap();
    let web = Web::start().await.unwrap();
    let endpoint = format!("--env=ETCDCTL_ENDPOINTS={}", etcd.endpoint());
    let run = [
        "--network=host",
        &endpoint,
        "--env=COREOS_PRIVATE_IPV4=10.0.0.7",
        image.tag(),
    ];
    let url = web.url();
    let watch = [
        "watch",
        "--label=web",
        "--service-id=web-1",
        "--monitor-url",
        &url,
    ];
    let container = docker
        .container(&[&run[..], &watch].concat())
        .await
        .unwrap();
    let list = [&["run", "--rm"], &run[..], &["hosts", "--label=web"]].concat();
    let listed = wait::until("it to be listed", DEADLINE, || async {
        match docker.run(&list).await.unwrap().as_str() {
            "10.0.0.7\n" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    if let Err(error) = listed.await {
        panic!("{error}\n{}", container.logs().await.unwrap_or_default());
    }
    let user = ["inspect", "--format", "{{.Config.User}}", container.id()];
    assert_eq!(docker.run(&user).await.unwrap().trim(), "65532:65532");
    assert_eq!(container.stop().await.unwrap(), 0);
    assert_eq!(docker.run(&list).await.unwrap(), "");
}
