//! Runs one instance: what `launcher run` does once it knows what it was asked for.
//!
//! | module | |
//! | --- | --- |
//! | `order` | from what was asked for to what is to run |
//! | `terms` | how long what may take |
//! | `driver` | lives a life: looks, steps, acts, waits |
//! | `eyes` | what Docker says of the instance, as of now |
//! | `beside` | what goes on beside a container that runs: its probes and its output |
//! | `ending` | which container was told to end, for the next life |
//! | `connections` | how many it still has |
//! | `teller` | what systemd, `/readyz`, the log and etcd are told |
//!
//! Tasks and channels: the driver is the main task, and owns the life. The desk of
//! [`publish`](crate::publish) hears on a `watch` channel what is wanted of it, and tells on another
//! how that stands. For each container one task asks whether it is healthy, and tells on a `watch`
//! channel; another copies its output. One asks the instance metadata who this host is. All end with
//! the driver.

mod beside;
mod connections;
mod driver;
mod ending;
mod eyes;
mod order;
mod teller;
mod terms;

use std::io;
use std::pin::pin;
use std::time::Duration;

use presence::model::DefinitionRevision;
use presence::process::complaint::Complaint;
use presence::process::exit::Failure;
use presence::process::health::Health;
use presence::process::host_address::AddressArgs;
use presence::process::shutdown::Shutdown;
use presence::process::state_file::StateDir;
use presence::process::systemd::Notifier;
use presence::process::words::chain;
use presence::store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use self::beside::Surroundings;
use self::driver::{Driver, Errand, PULSE};
use self::ending::Ending;
pub use self::order::Order;
use self::order::Plan;
use self::teller::Teller;
use crate::assemble::{HostFacts, Metadata};
use crate::definitions::{Definitions, Found};
use crate::instance::InstanceName;
use crate::life::{Exit, OWN_FAILURE};
use crate::logs::{Origin, Sink};
use crate::publish::{self, Publication};
use crate::runtime::ContainerRuntime;

/// The driver shows that it is alive more often; Docker may take its time.
const PROGRESS: Duration = Duration::from_mins(1);
/// What is in the way is said again so often.
pub(crate) const REMINDER: Duration = Duration::from_mins(5);
/// What is left is ended if Docker says within this time what that is.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an instance runs on.
pub struct Parts<R, S> {
    /// Docker.
    pub runtime: R,
    /// etcd.
    pub store: S,
    /// Where its definition comes from.
    pub definitions: Definitions<S>,
    /// What was asked for.
    pub order: Order,
    /// A directory of this instance's own, which nobody else uses meanwhile.
    pub state: StateDir,
    /// Where the output of a container goes.
    pub sink: fn(&Origin) -> io::Result<Sink>,
    /// How others reach this host.
    pub address: AddressArgs,
    /// Where the host's instance ID is asked for.
    pub metadata: Metadata,
    /// How this process is.
    pub health: Health,
    /// Where systemd is told.
    pub notifier: Notifier,
    /// Told to end.
    pub shutdown: Shutdown,
}

/// Runs it until it has ended, by itself or because it was told to: gives the exit code of the
/// container, or 0 if it was told to.
pub async fn run<R: ContainerRuntime, S: Store>(parts: Parts<R, S>) -> Result<u8, Failure> {
    let why = match parts.find_or_go_on().await {
        Ok(Some(found)) => match parts.start(&found).await {
            Ok(exit) => return over(exit),
            Err(failure) => Some(failure),
        },
        Ok(None) => None,
        Err(failure) => Some(failure),
    };
    // What nobody knows how to run is not left behind serving, with nobody who looks after it.
    parts.end_remains().await;
    match why {
        None => Ok(0),
        Some(failure) => Err(failure.with_code(OWN_FAILURE)),
    }
}

fn over(exit: Exit) -> Result<u8, Failure> {
    match exit.message {
        Some(message) => Err(Failure::new(exit.code, message)),
        None => Ok(exit.code),
    }
}

impl<R: ContainerRuntime, S: Store> Parts<R, S> {
    /// The definition, or else that of what runs since an earlier life: somebody's mistake in the
    /// newest one ends nothing that serves.
    async fn find_or_go_on(&self) -> Result<Option<Found>, Failure> {
        let failure = match self.find().await {
            Err(failure) if self.order.identity.instance == InstanceName::Newest => failure,
            found => return found,
        };
        let Some(revision) = self.running().await else {
            return Err(failure);
        };
        let (name, instance) = (
            &self.order.identity.service,
            InstanceName::Revision(revision),
        );
        let found = self.definitions.find(name, instance, |_| ()).await;
        if found.is_ok() {
            tracing::error!("{failure}; {revision}, which runs since an earlier start, goes on");
        }
        found.map(Some).map_err(|_| failure)
    }

    /// The revision of what runs.
    async fn running(&self) -> Option<DefinitionRevision> {
        let listed = timeout(PATIENCE, self.runtime.list(&self.order.identity));
        let listed = listed.await.ok()?.ok()?;
        let mut up = listed.iter().filter(|(_, container)| container.is_up());
        up.find_map(|(_, container)| container.revision())
    }

    /// The definition; `None` if it was told to end before there was one.
    async fn find(&self) -> Result<Option<Found>, Failure> {
        let mut teller = self.teller();
        let say = |words: String| {
            tracing::info!("{words}");
            self.notifier.status(words);
        };
        let identity = &self.order.identity;
        let found = self
            .definitions
            .find(&identity.service, identity.instance, say);
        let mut found = pin!(found);
        let mut pulse = interval(PULSE);
        loop {
            // All are cancel-safe, or kept outside.
            tokio::select! {
                biased;
                () = self.shutdown.triggered() => return Ok(None),
                found = &mut found => return Ok(Some(found?)),
                _ = pulse.tick() => teller.takes_time(),
            }
        }
    }

    async fn start(&self, found: &Found) -> Result<Exit, Failure> {
        let plan = Plan::new(found, &self.order).map_err(Failure::configuration)?;
        let _kept = self.definitions.keep(found).await?;
        let recording = async {
            if let Err(error) = self.definitions.record(found).await {
                tracing::warn!("{} is not in the history yet: {error}", found.revision);
            }
            std::future::pending().await
        };
        tokio::select! {
            exit = self.carry_out(plan, Errand::Serve) => exit,
            never = recording => never,
        }
    }

    /// Ends everything that is left of this instance.
    async fn end_remains(&self) {
        let listed = self.runtime.list(&self.order.identity);
        let Ok(Ok(remains)) = timeout(PATIENCE, listed).await else {
            return;
        };
        let up = remains.iter().find(|(_, container)| container.is_up());
        let any = up.or(remains.first());
        if let Some(revision) = any.and_then(|(_, container)| container.revision()) {
            let plan = Plan::end(revision, &self.order);
            if let Err(failure) = self.carry_out(plan, Errand::End).await {
                tracing::error!("what is left of {revision} was not ended: {failure}");
            }
        }
    }

    async fn carry_out(&self, plan: Plan, errand: Errand) -> Result<Exit, Failure> {
        let (trigger, ended) = Shutdown::manual();
        let mut tasks = JoinSet::new();
        let (host, publication) = self.publish(&plan, &mut tasks, &ended)?;
        let mut driver = Driver {
            runtime: self.runtime.clone(),
            surroundings: Surroundings {
                service: self.order.identity.service.clone(),
                definition: plan.definition,
                host,
                state: self.state.clone(),
                sink: self.sink,
            },
            spec: plan.spec,
            standing: publication.standing(),
            publication,
            trouble: None,
            teller: self.teller(),
            ending: Ending::new(&self.state),
            heartbeat: self.health.heartbeat("driver", PROGRESS),
            shutdown: self.shutdown.clone(),
        };
        let exit = if errand == Errand::End || driver.end_others(&plan.terms).await {
            driver.live(plan.terms, errand).await
        } else {
            tracing::warn!("Docker does not answer: what was left by an earlier start stays so");
            Exit::well()
        };
        trigger.trigger();
        while tasks.join_next().await.is_some() {}
        Ok(exit)
    }

    /// Has the instance published as the driver will want it, and who this host is found out.
    fn publish(
        &self,
        plan: &Plan,
        tasks: &mut JoinSet<()>,
        ended: &Shutdown,
    ) -> Result<(watch::Receiver<Option<HostFacts>>, Publication), Failure> {
        let identity = &self.order.identity;
        let facts = HostFacts::of(&plan.targets, identity.host_id.clone(), &self.address)
            .map_err(Failure::configuration)?;
        let needs_metadata = HostFacts::need_metadata(&plan.targets);
        let (found, host) = watch::channel((!needs_metadata).then(|| facts.clone()));
        if needs_metadata {
            let metadata = self.metadata.clone();
            let asking = async move {
                let mut complaint = Complaint::every(REMINDER);
                let instance_id = metadata.instance_id(|error| {
                    let words = chain(error);
                    if complaint.is_due(&words) {
                        tracing::warn!("the ID of this instance is not known yet: {words}");
                    }
                });
                let instance_id = Some(instance_id.await);
                found.send_replace(Some(HostFacts {
                    instance_id,
                    ..facts
                }));
            };
            let ended = ended.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = ended.triggered() => {}
                    () = asking => {}
                }
            });
        }
        let instance = publish::Instance {
            service: identity.service.clone(),
            host: identity.host_id.clone(),
            revision: plan.terms.revision,
        };
        if self.order.publish.is_none() {
            return Ok((host, Publication::none()));
        }
        let (publication, desk) = Publication::new(publish::Parts {
            store: self.store.clone(),
            instance,
            targets: plan.targets.clone(),
            tree: self.order.tree.clone(),
            ttls: self.order.ttls,
            state: self.state.clone(),
            health: self.health.clone(),
        });
        tasks.spawn(desk.run(ended.clone()));
        Ok((host, publication))
    }

    fn teller(&self) -> Teller {
        Teller::new(self.health.clone(), self.notifier.clone())
    }
}
