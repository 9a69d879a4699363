//! The image: built as `make images` builds it, run by a real Docker between a
//! real etcd and the AWS simulator.

use std::time::Duration;

use testbed::aws::Aws;
use testbed::docker::Docker;
use testbed::etcd::Etcd;
use testbed::{http, ports, wait};

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn it_manages_a_load_balancer_as_nobody_in_particular() {
    let docker = Docker::start_or_use().await.unwrap();
    let image = docker.build("lbmanager").await.unwrap();
    let version = docker
        .run(&["run", "--rm", image.tag(), "--version"])
        .await
        .unwrap();
    let expected = concat!("lbmanager ", env!("CARGO_PKG_VERSION"), " (");
    assert!(version.starts_with(expected), "{version}");

    let etcd = Etcd::start().await.unwrap();
    let aws = Aws::start().await.unwrap();
    let web = aws.create("eu-west-1", "web");
    let address = format!("127.0.0.1:{}", ports::free().unwrap());
    let variables = [
        format!("--env=ETCDCTL_ENDPOINTS={}", etcd.endpoint()),
        format!("--env=AWS_ENDPOINT_URL={}", aws.url()),
        "--env=AWS_ACCESS_KEY_ID=id".to_owned(),
        "--env=AWS_SECRET_ACCESS_KEY=secret".to_owned(),
    ];
    let mut args = vec!["--network=host"];
    args.extend(variables.iter().map(String::as_str));
    args.extend([image.tag(), "run", "--listen", &address]);
    let container = docker.container(&args).await.unwrap();
    let ready = wait::until("the manager to be ready", DEADLINE, || async {
        match http::get(&format!("http://{address}/readyz")).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(answer.body),
            Err(error) => Err(error.to_string()),
        }
    });
    if let Err(error) = ready.await {
        panic!("{error}\n{}", container.logs().await.unwrap_or_default());
    }
    let key = "/lbManager/elb/eu-west-1/web/multiple/i-00000001";
    etcd.put(key, "").await.unwrap();
    let registered = |_: &Aws| web.registered().contains("i-00000001");
    let registered = aws.wait_until("i-00000001 to be registered", registered, DEADLINE);
    if let Err(error) = registered.await {
        panic!("{error}\n{}", container.logs().await.unwrap_or_default());
    }

    // Nobody in particular can keep what must survive a restart all the same.
    let user = docker
        .run(&["inspect", "--format", "{{.Config.User}}", container.id()])
        .await
        .unwrap();
    assert_eq!(user.trim(), "65532:65532");
    assert_eq!(container.stop().await.unwrap(), 0);
    let changes = docker.run(&["diff", container.id()]).await.unwrap();
    let history = "A /var/lib/lbmanager/history.json";
    assert!(changes.contains(history), "{changes}");
}
