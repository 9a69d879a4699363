//! The steps with a container: a real Docker, and launcher, which publishes what it runs.

use std::time::Duration;

use testbed::aws::Imds;
use testbed::contained::Steer;
use testbed::docker::{Docker, Image};
use testbed::launcher::{Launch, Launcher};
use testbed::{Error, Result};
use tokio::sync::Mutex;

use crate::balancers::Scene;
use crate::scene::{Tally, Tour, Words};
use crate::screen::Screen;
use crate::stage::{DEADLINE, Stage};

const SERVICE: &str = "app";
const ONE: &str = "i-00000001";
const TWO: &str = "i-00000002";
/// Who this host is, by its instance metadata.
const HERE: &str = "i-00000003";

/// Plays them. Why they are left out, if this machine lacks what they need.
pub async fn show(stage: &Stage, screen: &Screen, tally: &mut Tally) -> Option<String> {
    let host = match Host::set_up(stage).await {
        Ok(host) => host,
        // Nobody but root starts a Docker.
        Err(error @ (Error::MissingProgram { .. } | Error::Misuse(_))) => {
            return Some(error.chain());
        }
        Err(error) => {
            tally.failed += 1;
            screen.failure(&error.chain());
            return None;
        }
    };
    let mut tour = Tour {
        stage,
        screen,
        tally,
    };
    tour.play(ARRIVES, async |scene| arrives(scene, &host).await)
        .await;
    tour.play(FAILS, async |scene| fails(scene, &host).await)
        .await;
    tour.play(LEAVES, async |scene| leaves(scene, &host).await)
        .await;
    None
}

/// A host with Docker.
struct Host {
    launcher: Mutex<Option<Launcher>>,
    launch: Launch,
    definition: String,
    image: Image,
    docker: Docker,
    _metadata: Imds,
}

impl Host {
    async fn set_up(stage: &Stage) -> Result<Self> {
        let docker = Docker::start_linked().await?;
        let image = docker.contained(&[]).await?;
        let metadata = Imds::start().await?;
        metadata.instance_id(HERE);
        let definition = format!(
            "image: {}\nport: 80\nhealth_check: {{http: {{path: /, interval: 200ms}}}}\n\
             publish: [{}]\n",
            image.tag(),
            stage.app.key("$INSTANCE_ID"),
        );
        let launch = Launch::new(SERVICE)?
            .docker(&docker)
            .etcd(&stage.etcd)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url())
            .defined(&definition)?;
        Ok(Self {
            launcher: Mutex::new(None),
            launch,
            definition,
            image,
            docker,
            _metadata: metadata,
        })
    }

    /// Tells the program in the container how to answer.
    async fn answer(&self, status: u16) -> Result<()> {
        let format = "{{.NetworkSettings.IPAddress}}:80";
        let latest = self.docker.run(&["ps", "--quiet", "--latest"]).await?;
        let inspect = ["inspect", "--format", format, latest.trim()];
        let address = self.docker.run(&inspect).await?;
        let steer: Steer = format!("answer/{status}").parse()?;
        steer.at(address.trim()).await
    }
}

pub const ARRIVES: Words = (
    "A container is put in when it is healthy",
    "launcher runs one container for a unit of systemd, and publishes it. The unit is started when \
     the load balancer has it in service: not before.",
);

async fn arrives(scene: &mut Scene<'_>, host: &Host) -> Result<()> {
    let app = &scene.stage.app;
    scene.remark("two other hosts serve already; health is the container's to say here");
    let config = format!("{}config", app.prefix());
    let options = r#"{"honor_readiness":true}"#;
    scene.command(&["etcdctl", "put", &config, &format!("'{options}'")]);
    scene.stage.etcd.put(&config, options).await?;
    scene.put(app, ONE).await?;
    scene.put(app, TWO).await?;
    scene.wait_for(app, &[ONE, TWO]).await?;
    scene.command(&["cat", "/etc/launcher/services/app.yaml"]);
    scene.answer(&host.definition);
    scene.begin_here();
    scene.by_hand(HERE);
    scene.command(&["systemctl", "start", "launcher@app"]);
    let launcher = host.launch.start().await?;
    launcher.wait_ready(DEADLINE).await?;
    let serves = app.handle.in_service().contains(HERE);
    say_status(scene, &launcher, 0);
    scene.show(app).await?;
    scene.check("systemd heard READY", true);
    scene.check("the load balancer had it in service by then", serves);
    *host.launcher.lock().await = Some(launcher);
    Ok(())
}

pub const FAILS: Words = (
    "While it is unhealthy it gets no requests",
    "The key stays, and says ready: false. Were all members unhealthy at once, they would all \
     serve: see panic_threshold in docs/keys.md.",
);

async fn fails(scene: &mut Scene<'_>, host: &Host) -> Result<()> {
    let app = &scene.stage.app;
    let before = statuses(host).await;
    scene.remark("the program answers its health check with 503");
    scene.by_hand(HERE);
    host.answer(503).await?;
    scene.wait_for(app, &[ONE, TWO]).await?;
    scene.command(&["etcdctl", "get", &app.key(HERE)]);
    let value = scene.stage.etcd.get(&app.key(HERE)).await?;
    let value = value.unwrap_or_default();
    scene.answer(&value);
    scene.check("it is out", value.contains(r#""ready":false"#));
    scene.remark("and now with 200 again");
    scene.by_hand(HERE);
    host.answer(200).await?;
    scene.wait_for(app, &[ONE, TWO, HERE]).await?;
    if let Some(launcher) = &*host.launcher.lock().await {
        say_status(scene, launcher, before);
    }
    scene.show(app).await?;
    scene.check("it serves again", true);
    Ok(())
}

pub const LEAVES: Words = (
    "It is taken out before it stops",
    "Told to end, launcher deletes the key, waits until the load balancer sends nothing more and \
     the last connection is over, and only then has the program end.",
);

async fn leaves(scene: &mut Scene<'_>, host: &Host) -> Result<()> {
    let app = &scene.stage.app;
    let before = statuses(host).await;
    scene.by_hand(HERE);
    scene.command(&["systemctl", "stop", "launcher@app"]);
    let launcher = host.launcher.lock().await.take();
    let Some(mut launcher) = launcher else {
        return Err(Error::Misuse("it was never started".to_owned()));
    };
    let ended = launcher.stop(STOP).await?;
    say_status(scene, &launcher, before);
    scene.wait_for(app, &[ONE, TWO]).await?;
    scene.show(app).await?;
    let filter = format!("ancestor={}", host.image.tag());
    let left = ["ps", "--all", "--quiet", "--filter", &filter];
    let left = host.docker.run(&left).await?;
    scene.check("it ended with 0", ended.success());
    scene.check("no container and no key is left", left.is_empty());
    Ok(())
}

/// It may drain meanwhile.
const STOP: Duration = Duration::from_mins(1);

/// How often STATUS was said so far.
async fn statuses(host: &Host) -> usize {
    let launcher = host.launcher.lock().await;
    launcher.as_ref().map_or(0, |launcher| said(launcher).len())
}

fn said(launcher: &Launcher) -> Vec<String> {
    let received = launcher.notify().received().into_iter();
    received
        .filter_map(|told| Some(told.state.strip_prefix("STATUS=")?.to_owned()))
        .collect()
}

/// What `systemctl status` showed in turn.
fn say_status(scene: &Scene<'_>, launcher: &Launcher, from: usize) {
    for words in said(launcher).iter().skip(from) {
        scene.answer(&format!("Status: \"{words}\""));
    }
}
