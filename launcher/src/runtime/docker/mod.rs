//! The driver, over Docker's API.
//!
//! No tasks and no channels. Each call is a request on a connection of its own, so a Docker that was
//! restarted is met by the next call; which version of the API is spoken is agreed on again then.

mod body;
mod build;
mod credentials;
mod exec;
mod failure;
mod frames;
mod logs;
mod observe;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{EventMessage, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder,
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::timeout;

use self::failure::{Doing, failure, is_missing, server_error};
use super::spec::{Build, NetworkMode};
use super::{
    Container, ContainerRuntime, ContainerSpec, Executed, Frame, Identity, Image, Ours,
    PullProgress, RuntimeError, pull,
};

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// A registry that says nothing for so long is down. Docker tells of progress several times a
/// second, and tries five times with pauses of up to 15 s before it gives up.
const PULL_SILENCE: Duration = Duration::from_mins(2);
/// Events of so short a time before the call are told as well: clocks may differ a little.
const OVERLAP: Duration = Duration::from_secs(1);

/// Docker, as its own client reaches it.
#[derive(Debug, Clone)]
pub struct DockerRuntime {
    host: Arc<str>,
    /// The directory of the configuration of Docker's client.
    config: Arc<Path>,
    pull_silence: Duration,
    /// `None` until a version was agreed on, and after nobody answered.
    client: Arc<Mutex<Option<Docker>>>,
}

impl DockerRuntime {
    /// The Docker that `DOCKER_HOST` names, else the host's own; with TLS where `DOCKER_TLS_VERIFY`
    /// is set, with the certificates in `DOCKER_CERT_PATH`. Nothing is connected yet.
    pub fn from_env() -> Self {
        let host = std::env::var("DOCKER_HOST").ok();
        let host = host.filter(|host| !host.is_empty());
        Self::at(host.as_deref().unwrap_or(DEFAULT_HOST))
    }

    /// The Docker at this place: `unix://…`, `tcp://…`, `http://…` or `https://…`.
    pub fn at(host: &str) -> Self {
        Self {
            host: host.into(),
            config: credentials::directory().into(),
            pull_silence: PULL_SILENCE,
            client: Arc::default(),
        }
    }

    /// With another time after which a silent registry counts as down; 2 minutes by default.
    #[must_use]
    pub fn with_pull_silence(mut self, pull_silence: Duration) -> Self {
        self.pull_silence = pull_silence;
        self
    }

    /// With credentials from another directory than that of Docker's client.
    #[must_use]
    pub fn with_config(mut self, directory: &Path) -> Self {
        self.config = directory.into();
        self
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Docker>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client(&self) -> Result<Docker, RuntimeError> {
        if let Some(client) = self.known().clone() {
            return Ok(client);
        }
        let unreachable = |error: Error| RuntimeError::unreachable(&self.host, error);
        let client = Docker::connect_with_host(&self.host).map_err(unreachable)?;
        let client = client.negotiate_version().await.map_err(unreachable)?;
        *self.known() = Some(client.clone());
        Ok(client)
    }

    /// The error in our words. After nobody answered it may be another Docker that does.
    fn failed(&self, doing: Doing<'_>, error: Error) -> RuntimeError {
        let error = failure(&self.host, doing, error);
        if matches!(error, RuntimeError::Unreachable { .. }) {
            *self.known() = None;
        }
        error
    }

    /// Connects it to its networks but the first, which it was made with.
    async fn connect_networks(&self, client: &Docker, spec: &ContainerSpec) -> Result<(), Error> {
        let NetworkMode::Named(networks) = &spec.network.mode else {
            return Ok(());
        };
        for joined in networks.iter().skip(1) {
            let request = NetworkConnectRequest {
                container: spec.name(),
                endpoint_config: Some(body::settings(joined)),
            };
            client.connect_network(&joined.name, request).await?;
        }
        Ok(())
    }
}

impl ContainerRuntime for DockerRuntime {
    async fn image(&self, image: &str) -> Result<Option<Image>, RuntimeError> {
        let client = self.client().await?;
        match client.inspect_image(image).await {
            Ok(found) => Ok(Some(observe::image(found))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed(Doing::Other("look for", image), error)),
        }
    }

    async fn pull(
        &self,
        image: &str,
        platform: Option<&str>,
        mut progress: impl FnMut(&PullProgress) + Send,
    ) -> Result<(), RuntimeError> {
        let client = self.client().await?;
        let registry = pull::registry(image);
        let credentials = credentials::of(&self.config, registry).await?;
        let options = CreateImageOptionsBuilder::new()
            .from_image(&pull::with_tag(image))
            .platform(platform.unwrap_or_default());
        let mut reports = client
            .create_image(Some(options.build()), None, credentials)
            .boxed();
        let mut so_far = PullProgress::default();
        loop {
            let report = timeout(self.pull_silence, reports.next()).await;
            let Ok(report) = report else {
                return Err(RuntimeError::RegistryDown {
                    image: image.to_owned(),
                    registry: registry.to_owned(),
                    answer: format!("nothing was heard for {:?}", self.pull_silence),
                });
            };
            let Some(report) = report else {
                return Ok(());
            };
            let report = report.map_err(|error| self.failed(Doing::Pull(image), error))?;
            observe::report(&mut so_far, &report);
            progress(&so_far);
        }
    }

    async fn build(
        &self,
        image: &str,
        platform: Option<&str>,
        build: &Build,
    ) -> Result<(), RuntimeError> {
        let client = self.client().await?;
        let done = build::run(&client, image, platform, build).await;
        done.map_err(|failed| match failed {
            build::Failed::Docker(error) => self.failed(Doing::Other("build", image), error),
            build::Failed::Build(answer) => RuntimeError::Build {
                image: image.to_owned(),
                context: build.context.clone(),
                answer,
            },
        })
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Ours, RuntimeError> {
        let client = self.client().await?;
        let name = spec.name();
        let doing = || Doing::Create {
            name: &name,
            image: &spec.image,
        };
        let options = CreateContainerOptionsBuilder::new()
            .name(&name)
            .platform(spec.platform.as_deref().unwrap_or_default());
        let created = client.create_container(Some(options.build()), body::of(spec));
        let created = created.await;
        let created = created.map_err(|error| self.failed(doing(), error))?;
        let ours = Ours::new(&created.id, &name);
        if let Err(error) = self.connect_networks(&client, spec).await {
            let error = self.failed(doing(), error);
            // What stays behind is found by the next start.
            let _ = self.remove(&ours).await;
            return Err(error);
        }
        Ok(ours)
    }

    async fn start(&self, ours: &Ours) -> Result<(), RuntimeError> {
        let client = self.client().await?;
        let started = client.start_container(ours.id(), None).await;
        started.map_err(|error| self.failed(Doing::Start(ours), error))
    }

    async fn inspect(&self, ours: &Ours) -> Result<Option<Container>, RuntimeError> {
        self.inspect_as(ours.id(), ours.name()).await
    }

    async fn inspect_any(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        self.inspect_as(name, name).await
    }

    async fn exec(&self, ours: &Ours, command: &[String]) -> Result<Executed, RuntimeError> {
        let client = self.client().await?;
        let executed = exec::run(&client, ours, command).await;
        executed.map_err(|error| self.failed(Doing::Exec(ours), error))
    }

    async fn list(&self, identity: &Identity) -> Result<Vec<(Ours, Container)>, RuntimeError> {
        let client = self.client().await?;
        let labels = identity.labels().into_iter();
        let labels = labels.map(|(label, value)| format!("{label}={value}"));
        let filters = HashMap::from([("label", labels.collect::<Vec<_>>())]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let listed = client.list_containers(Some(options)).await;
        let doing = Doing::Other("list the containers of", identity.service.as_str());
        let listed = listed.map_err(|error| self.failed(doing, error))?;
        // What is listed lacks much, and the name is told from others only by looking.
        let ids = listed.into_iter().filter_map(|summary| summary.id);
        let found = stream::iter(ids).then(async |id| self.inspect_as(&id, &id).await);
        let found: Vec<Option<Container>> = found.try_collect().await?;
        let ours = |container: Container| Some((identity.claim(&container)?, container));
        Ok(found.into_iter().flatten().filter_map(ours).collect())
    }

    async fn signal(&self, ours: &Ours, signal: &str) -> Result<(), RuntimeError> {
        let client = self.client().await?;
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        match client.kill_container(ours.id(), Some(options)).await {
            // 409: it does not run.
            Err(error) if is_missing(&error) || server_error(&error, 409).is_some() => Ok(()),
            result => {
                result.map_err(|error| self.failed(Doing::Other("signal", ours.name()), error))
            }
        }
    }

    async fn remove(&self, ours: &Ours) -> Result<(), RuntimeError> {
        let client = self.client().await?;
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
        let removed = client.remove_container(ours.id(), Some(options.build()));
        match removed.await {
            Err(error) if is_missing(&error) => Ok(()),
            // Somebody is removing it.
            Err(error) if server_error(&error, 409).is_some_and(in_progress) => Ok(()),
            result => {
                result.map_err(|error| self.failed(Doing::Other("remove", ours.name()), error))
            }
        }
    }

    fn nudges(&self, ours: &Ours) -> BoxStream<'static, Result<(), RuntimeError>> {
        let since = SystemTime::now() - OVERLAP;
        let (this, ours) = (self.clone(), ours.clone());
        let events = async move {
            let since = since.duration_since(SystemTime::UNIX_EPOCH);
            let since = since.unwrap_or_default().as_secs().to_string();
            let filters = HashMap::from([("container", vec![ours.id()])]);
            let options = EventsOptionsBuilder::new().since(&since).filters(&filters);
            let client = this.client().await?;
            let events = client.events(Some(options.build()));
            let failed = move |error| this.failed(Doing::Other("watch", ours.name()), error);
            // Commands in it, which health checks are, change nothing of it by themselves.
            let changes = events.try_filter(|event| std::future::ready(!is_of_command(event)));
            Ok(changes.map_ok(drop).map_err(failed))
        };
        until_error(events.try_flatten_stream())
    }

    fn logs(
        &self,
        ours: &Ours,
        since: Option<Timestamp>,
        follow: bool,
    ) -> BoxStream<'static, Result<Frame, RuntimeError>> {
        let (this, ours) = (self.clone(), ours.clone());
        let frames = async move { this.frames(&ours, since, follow).await };
        until_error(frames.try_flatten_stream())
    }
}

impl DockerRuntime {
    /// By ID or name; what is said of it names it as `called`.
    async fn inspect_as(&self, id: &str, called: &str) -> Result<Option<Container>, RuntimeError> {
        let client = self.client().await?;
        let options = None::<InspectContainerOptions>;
        match client.inspect_container(id, options).await {
            Ok(found) => Ok(Some(observe::container(found))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed(Doing::Other("inspect", called), error)),
        }
    }
}

/// The items up to the first error, and that.
fn until_error<T: Send + 'static>(
    items: impl Stream<Item = Result<T, RuntimeError>> + Send + 'static,
) -> BoxStream<'static, Result<T, RuntimeError>> {
    let mut ended = false;
    let goes_on = move |item: &Result<T, RuntimeError>| {
        let goes_on = !ended;
        ended = item.is_err();
        std::future::ready(goes_on)
    };
    items.take_while(goes_on).boxed()
}

fn is_of_command(event: &EventMessage) -> bool {
    let action = event.action.as_deref();
    action.is_some_and(|action| action.starts_with("exec_"))
}

fn in_progress(words: &str) -> bool {
    words.contains("already in progress")
}
