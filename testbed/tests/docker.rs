//! A Docker daemon that answers.

use std::time::Duration;

use testbed::contained::Steer;
use testbed::docker::{Docker, Gives, Registry, Signal};
use testbed::web::Act;
use testbed::{Error, http, wait};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_answers_or_says_what_was_wrong() {
    let docker = Docker::start_or_use().await.unwrap();
    let version = ["version", "--format", "{{.Server.Version}}"];
    let version = docker.run(&version).await.unwrap();
    assert!(version.contains('.'), "{version}");
    let error = docker.run(&["inspect", "no-such-thing"]).await.unwrap_err();
    assert!(matches!(error, Error::Command { .. }), "{error}");
    assert!(error.to_string().contains("no-such-thing"), "{error}");
}

#[tokio::test]
async fn a_container_on_a_bridge_is_steered_and_outlives_the_daemon() {
    let docker = Docker::start_linked().await.unwrap();
    let image = docker.contained(&[]).await.unwrap();
    let hello = [image.tag(), "say/out/1/hello"];
    let container = docker.container(&hello).await.unwrap();
    let format = "{{.NetworkSettings.IPAddress}}";
    let address = ["inspect", "--format", format, container.id()];
    let address = docker.run(&address).await.unwrap();
    let address = format!("{}:80", address.trim());
    let url = format!("http://{address}");
    let status = || async {
        let answer = http::get(&url).await.map_err(|error| error.chain())?;
        Ok::<u16, String>(answer.status.as_u16())
    };
    let served = wait::until("the container to serve", DEADLINE, status);
    assert_eq!(served.await.unwrap(), 200);

    let busy = Steer::Act(Act::Answer(503, String::new()));
    busy.at(&address).await.unwrap();
    docker.end(Signal::SIGTERM).await.unwrap();
    assert_eq!(status().await.unwrap(), 503);
    docker.resume().await.unwrap();
    assert_eq!(container.logs().await.unwrap(), "hello 1\n");
    assert_eq!(container.stop().await.unwrap(), 0);
}

#[tokio::test]
async fn an_image_is_pulled_unless_the_registry_is_told_otherwise() {
    let docker = Docker::start_linked().await.unwrap();
    let registry = Registry::start(docker.gateway().unwrap()).await.unwrap();
    let image = registry.image();
    for (gives, words) in [
        (Gives::Status(503), "503"),
        (Gives::Status(404), "404"),
        (
            Gives::To("me".to_owned(), "secret".to_owned()),
            "no basic auth",
        ),
    ] {
        registry.set(gives);
        let error = docker.run(&["pull", &image]).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    registry.set(Gives::Image);
    docker.run(&["pull", &image]).await.unwrap();
    let label = ["inspect", "--format", "{{.Config.Labels.from}}", &image];
    assert_eq!(docker.run(&label).await.unwrap(), "registry\n");
}
