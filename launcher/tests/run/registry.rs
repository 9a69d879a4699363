//! Images that are to be pulled.

use tempfile::TempDir;
use testbed::docker::{Gives, Registry};
use testbed::launcher::Launch;
use testbed::wait;

use crate::instance::name;
use crate::{DEADLINE, Rig};

async fn registry(rig: &Rig) -> Registry {
    let gateway = rig.docker.gateway().unwrap();
    Registry::start(gateway).await.unwrap()
}

fn launch(rig: &Rig, image: &str) -> Launch {
    let definition = format!("image: {image}\nport: 80");
    rig.plain(&name()).defined(&definition).unwrap()
}

/// Its only file is no program: so it goes as far as to the start, which says so.
pub async fn pulled_with_words(rig: &Rig) {
    let registry = registry(rig).await;
    let definition = format!(
        "image: {}\nport: 80\nentrypoint: [/content]",
        registry.image()
    );
    let launch = rig.plain(&name()).defined(&definition).unwrap();
    let mut web = rig.started(launch).await;
    let words = format!("pulling {}", registry.image());
    web.wait_for_status(&words, DEADLINE).await.unwrap();
    web.fails(126, &["/content"]).await;
}

pub async fn not_there(rig: &Rig) {
    let registry = registry(rig).await;
    let image = format!("{}/image:2", registry.name());
    let mut web = rig.started(launch(rig, &image)).await;
    let words = ["there is no image", &image, "name or tag"];
    web.fails(125, &words).await;
}

pub async fn down(rig: &Rig) {
    let registry = registry(rig).await;
    registry.set(Gives::Status(503));
    let mut web = rig.started(launch(rig, &registry.image())).await;
    let name = registry.name();
    let words = ["registry", &name, "was not pulled", "503"];
    web.fails(125, &words).await;
}

pub async fn refuses_connections(rig: &Rig) {
    let (name, image) = {
        let registry = registry(rig).await;
        (registry.name(), registry.image())
    };
    let mut web = rig.started(launch(rig, &image)).await;
    let words = ["registry", &name, "was not pulled", "refused"];
    web.fails(125, &words).await;
}

/// As `docker login` leaves them in the configuration of Docker's client.
pub async fn wants_credentials(rig: &Rig) {
    let registry = registry(rig).await;
    registry.set(Gives::To("me".to_owned(), "secret".to_owned()));
    let config = TempDir::new().unwrap();
    let login = format!("docker login {}", registry.name());
    let file = config.path().join("config.json");
    // None, "me:wrong", "me:secret".
    for auth in [None, Some("bWU6d3Jvbmc="), Some("bWU6c2VjcmV0")] {
        if let Some(auth) = auth {
            let name = registry.name();
            let content = format!(r#"{{"auths": {{"{name}": {{"auth": "{auth}"}}}}}}"#);
            std::fs::write(&file, content).unwrap();
        }
        let launch = launch(rig, &registry.image());
        let launch = launch.env("DOCKER_CONFIG", config.path().to_string_lossy());
        let mut web = rig.started(launch).await;
        if auth == Some("bWU6c2VjcmV0") {
            // The image says nothing of what is to run, and that is all that is wrong now.
            web.fails(125, &["command"]).await;
        } else {
            let words = ["does not give out", &registry.image(), &login];
            web.fails(125, &words).await;
        }
    }
}

pub async fn told_to_end_in_the_middle(rig: &Rig) {
    let registry = registry(rig).await;
    for gives in [Gives::NoLayer, Gives::Nothing] {
        registry.set(gives);
        let web = rig.started(launch(rig, &registry.image())).await;
        let words = format!("pulling {}", registry.image());
        web.wait_for_status(&words, DEADLINE).await.unwrap();
        web.end().await;
    }
}

/// It takes its time, and systemd is asked for more.
pub async fn silent(rig: &Rig) {
    let registry = registry(rig).await;
    registry.set(Gives::NoLayer);
    let web = rig.started(launch(rig, &registry.image())).await;
    let asked = || {
        let told = web.notify().received().into_iter();
        let asked = told.filter(|told| told.state.starts_with("EXTEND_TIMEOUT_USEC="));
        asked.map(|told| told.at).collect::<Vec<_>>()
    };
    let often = || async { asked().len() > 3 };
    wait::until_true("more time to be asked for", DEADLINE, often)
        .await
        .unwrap();
    let gaps: Vec<_> = asked().windows(2).map(|two| two[1] - two[0]).collect();
    // Each time it is for 30 s.
    assert!(gaps.iter().all(|gap| gap.as_secs() < 15), "{gaps:?}");
    assert!(!web.was_ready());
    web.end().await;
}

/// Docker gives up by itself where nobody says anything at all.
pub async fn says_nothing(rig: &Rig) {
    let registry = registry(rig).await;
    registry.set(Gives::Nothing);
    let mut web = rig.started(launch(rig, &registry.image())).await;
    let name = registry.name();
    web.fails(125, &["registry", &name, "was not pulled"]).await;
}
