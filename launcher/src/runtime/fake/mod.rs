//! A host's containers in memory, steered by a test.
//!
//! It passes the contract that the driver passes (`tests/runtime`). A process that dies after any of
//! its calls is [`FakeRuntime::crash_at`]: the call is carried out and never answered.

mod world;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::watch;

use self::world::{World, Written};
use super::spec::Build;
use super::{
    Container, ContainerRuntime, ContainerSpec, Executed, Exit, Frame, Identity, Image,
    ImageHealth, Ours, PullProgress, RuntimeError, State,
};

const HOST: &str = "memory";

/// One that makes an error of what an image's name is.
type Fault = Arc<dyn Fn(&str) -> RuntimeError + Send + Sync>;

/// Docker in memory. Clones share it, as processes of one host do.
#[derive(Clone)]
pub struct FakeRuntime(Arc<Shared>);

struct Shared {
    world: Mutex<World>,
    /// Counts what happened, to nudge.
    changes: watch::Sender<u64>,
    /// Counts the calls that change something.
    calls: watch::Sender<usize>,
}

/// What becomes of a command in a container.
type Program =
    Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, Result<Executed, RuntimeError>> + Send + Sync>;

/// What a registry does with a pull.
#[derive(Clone)]
pub enum Registry {
    /// Gives the image.
    Has(Image),
    /// Never answers.
    Hangs,
    /// Says so.
    Fails(Fault),
}

impl Default for FakeRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeRuntime {
    /// A host without images and containers, whose registries know no image.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            world: Mutex::default(),
            changes: watch::Sender::new(0),
            calls: watch::Sender::new(0),
        }))
    }

    /// The host has the image.
    pub fn add_image(&self, name: &str, image: Image) {
        self.world().images.insert(name.to_owned(), image);
    }

    /// What happens to a pull of this image.
    pub fn set_registry(&self, image: &str, registry: Registry) {
        self.world().registry.insert(image.to_owned(), registry);
    }

    /// The network exists.
    pub fn add_network(&self, name: &str) {
        self.world().networks.insert(name.to_owned());
    }

    /// Somebody else listens at this port of the host.
    pub fn take_port(&self, port: u16) {
        self.world().taken_ports.insert(port);
    }

    /// A container of somebody else's, or one that was left behind.
    pub fn add_container(&self, container: Container) {
        self.change(|world| world.containers.push(container));
    }

    /// All containers, in the order in which they were made.
    pub fn containers(&self) -> Vec<Container> {
        self.world().containers.clone()
    }

    /// The container of this name ends by itself.
    pub fn exit(&self, name: &str, code: u8) {
        self.become_state(name, exited(code));
    }

    /// Somebody pauses the container of this name, or lets it go on.
    pub fn pause(&self, name: &str, paused: bool) {
        let state = if paused {
            State::Paused
        } else {
            State::Running
        };
        self.become_state(name, state);
    }

    /// Somebody removes the container of this name.
    pub fn remove_by_hand(&self, name: &str) {
        self.change(|world| world.containers.retain(|container| container.name != name));
    }

    /// The image's own check says so.
    pub fn set_image_health(&self, name: &str, health: ImageHealth) {
        self.change(|world| {
            if let Some(container) = world.by_name(name) {
                container.health = Some(health);
            }
        });
    }

    /// The container of this name writes this.
    pub fn write(&self, name: &str, frame: Frame) {
        self.change(|world| {
            if let Some(container) = world.by_name(name) {
                let id = container.id.clone();
                world.output.entry(id).or_default().push(frame);
            }
        });
    }

    /// What containers do with signals other than SIGKILL: at first they end with 0.
    pub fn ignore_signals(&self, ignore: bool) {
        self.world().ignores_signals = ignore;
    }

    /// What becomes of commands in containers; at first they end with 0 and write nothing.
    pub fn set_program<F>(&self, program: impl Fn(Vec<String>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Executed, RuntimeError>> + Send + 'static,
    {
        self.world().program = Some(Arc::new(move |command| program(command).boxed()));
    }

    /// Whether Docker answers. While it does not, containers go on.
    pub fn set_up(&self, is_up: bool) {
        self.change(|world| world.is_down = !is_up);
    }

    /// The call with this number, from 1 and of those that change something (pull, create, start,
    /// signal, remove), is carried out and never answered, and neither is any later one. `None`
    /// lets calls through again: another process has come.
    pub fn crash_at(&self, call: Option<usize>) {
        self.world().crash_at = call;
        self.0.calls.send_replace(0);
    }

    /// How many calls that change something there were since [`FakeRuntime::crash_at`].
    pub fn calls(&self) -> watch::Receiver<usize> {
        self.0.calls.subscribe()
    }

    fn become_state(&self, name: &str, state: State) {
        self.change(|world| {
            if let Some(container) = world.by_name(name) {
                container.state = state;
            }
        });
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.0.changes.send_modify(|changes| *changes += 1);
        result
    }

    /// A call that only looks.
    fn look<T>(&self, look: impl FnOnce(&mut World) -> T) -> Result<T, RuntimeError> {
        let mut world = self.world();
        if world.is_down {
            return Err(RuntimeError::down(HOST));
        }
        Ok(look(&mut world))
    }

    /// A call that changes something.
    async fn call<T>(
        &self,
        change: impl FnOnce(&mut World) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        self.while_alive().await;
        if self.world().is_down {
            return Err(RuntimeError::down(HOST));
        }
        let result = self.change(change);
        self.0.calls.send_modify(|calls| *calls += 1);
        self.while_alive().await;
        result
    }

    /// Does not return once the process is dead.
    async fn while_alive(&self) {
        let calls = *self.0.calls.borrow();
        let crash_at = self.world().crash_at;
        if crash_at.is_some_and(|last| calls >= last) {
            std::future::pending::<()>().await;
        }
    }
}

fn exited(code: u8) -> State {
    State::Exited(Exit {
        code,
        out_of_memory: false,
        words: String::new(),
    })
}

impl ContainerRuntime for FakeRuntime {
    async fn image(&self, image: &str) -> Result<Option<Image>, RuntimeError> {
        self.look(|world| world.images.get(image).cloned())
    }

    async fn pull(
        &self,
        image: &str,
        _: Option<&str>,
        mut progress: impl FnMut(&PullProgress) + Send,
    ) -> Result<(), RuntimeError> {
        let registry = self.look(|world| world.registry.get(image).cloned())?;
        let mut so_far = PullProgress::default();
        so_far.report("layer", "Downloading", Some((1, 2)));
        match registry {
            None => Err(RuntimeError::NoSuchImage {
                image: image.to_owned(),
                answer: "manifest unknown".to_owned(),
            }),
            Some(Registry::Fails(fault)) => Err(fault(image)),
            Some(Registry::Hangs) => {
                progress(&so_far);
                std::future::pending().await
            }
            Some(Registry::Has(pulled)) => {
                progress(&so_far);
                let pull = |world: &mut World| {
                    world.images.insert(image.to_owned(), pulled);
                    Ok(())
                };
                self.call(pull).await
            }
        }
    }

    async fn build(&self, image: &str, _: Option<&str>, _: &Build) -> Result<(), RuntimeError> {
        let made = Image {
            id: format!("sha256:{image}"),
            has_healthcheck: false,
        };
        let add = |world: &mut World| {
            world.images.insert(image.to_owned(), made);
            Ok(())
        };
        self.call(add).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Ours, RuntimeError> {
        self.call(|world| world.create(spec)).await
    }

    async fn start(&self, ours: &Ours) -> Result<(), RuntimeError> {
        self.call(|world| world.start(ours)).await
    }

    async fn inspect(&self, ours: &Ours) -> Result<Option<Container>, RuntimeError> {
        self.look(|world| world.by_id(ours).cloned())
    }

    async fn inspect_any(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        let is_it = |one: &&Container| one.name == name || one.id == name;
        self.look(|world| world.containers.iter().find(is_it).cloned())
    }

    async fn exec(&self, ours: &Ours, command: &[String]) -> Result<Executed, RuntimeError> {
        let program = self.look(|world| world.program(ours))??;
        program(command.to_vec()).await
    }

    async fn list(&self, identity: &Identity) -> Result<Vec<(Ours, Container)>, RuntimeError> {
        let claim = |container: &Container| Some((identity.claim(container)?, container.clone()));
        self.look(|world| world.containers.iter().filter_map(claim).collect())
    }

    async fn signal(&self, ours: &Ours, signal: &str) -> Result<(), RuntimeError> {
        let killed = matches!(signal, "SIGKILL" | "KILL" | "9");
        let send = |world: &mut World| {
            let ignores = world.ignores_signals && !killed;
            let found = world.by_id(ours).filter(|container| container.is_up());
            if let Some(container) = found.filter(|_| !ignores) {
                container.state = exited(if killed { 137 } else { 0 });
            }
            Ok(())
        };
        self.call(send).await
    }

    async fn remove(&self, ours: &Ours) -> Result<(), RuntimeError> {
        let remove = |world: &mut World| {
            world.containers.retain(|one| one.id != ours.id());
            Ok(())
        };
        self.call(remove).await
    }

    fn nudges(&self, _: &Ours) -> BoxStream<'static, Result<(), RuntimeError>> {
        let changes = self.0.changes.subscribe();
        let state = (self.clone(), changes, false);
        stream::unfold(state, async |(this, mut changes, ended)| {
            if ended || changes.changed().await.is_err() {
                return None;
            }
            let nudge = this.look(|_| ());
            let ended = nudge.is_err();
            Some((nudge, (this, changes, ended)))
        })
        .boxed()
    }

    fn logs(
        &self,
        ours: &Ours,
        since: Option<Timestamp>,
        follow: bool,
    ) -> BoxStream<'static, Result<Frame, RuntimeError>> {
        let since = since.map_or(i64::MIN, Timestamp::as_second);
        let changes = self.0.changes.subscribe();
        let state = (self.clone(), ours.clone(), changes, Some(0));
        stream::unfold(state, move |(this, ours, mut changes, next)| async move {
            let mut next = next?;
            loop {
                changes.mark_unchanged();
                match this.look(|world| world.written(&ours, since, &mut next)) {
                    Ok(Written::Frame(frame)) => {
                        return Some((Ok(frame), (this, ours, changes, Some(next))));
                    }
                    Ok(Written::Later) if follow => changes.changed().await.ok()?,
                    Ok(Written::Later | Written::End) => return None,
                    Ok(Written::Gone) => {
                        let container = ours.to_string();
                        let gone = RuntimeError::Gone { container };
                        return Some((Err(gone), (this, ours, changes, None)));
                    }
                    Err(error) => return Some((Err(error), (this, ours, changes, None))),
                }
            }
        })
        .boxed()
    }
}

/// An address that no two containers share.
fn address(number: u8) -> IpAddr {
    [172, 17, 0, number].into()
}
