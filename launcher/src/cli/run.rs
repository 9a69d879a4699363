//! `launcher run`.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use presence::model::ServiceName;
use presence::process::args::ListenArgs;
use presence::process::daemon::Daemon;
use presence::process::exit::{Failure, OrExit};
use presence::process::health::Health;
use presence::process::host_address::AddressArgs;
use presence::process::shutdown::Shutdown;
use presence::process::state_file::StateDir;
use presence::process::systemd::Notifier;
use presence::process::{duration, metrics};
use presence::store::etcd::EtcdStore;

use super::DefinitionArgs;
use super::etcd_command::EtcdCommand;
use crate::assemble::Metadata;
use crate::definition::Target;
use crate::instance::InstanceName;
use crate::life::OWN_FAILURE;
use crate::logs::Sink;
use crate::publish::Ttls;
use crate::run::{self, Order, Parts};
use crate::runtime::Identity;
use crate::runtime::docker::DockerRuntime;

pub(super) const EXAMPLE: &str = "Examples:
  launcher run web
  launcher run web 42-0a1b2c3d 172.18.0.1:7001
  launcher run web --definitions file:///etc/launcher/services --no-publish

In a unit, with Type=notify:
  launcher@.service   ExecStart=/usr/bin/launcher run %i
  web@.service        ExecStart=/usr/bin/launcher run %p %i 172.18.0.1:7001

SIGTERM and SIGINT take it out of its load balancers, drain and remove the container, and end with
0; a second one ends at once, and leaves the container to the next start. Else the exit code is
the container's, 125 where launcher itself failed, 64 where the command line is wrong.

Docker is found as its own client finds it: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH; the
credentials of registries in DOCKER_CONFIG, or .docker in HOME.";

/// Flags of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    etcd: EtcdCommand,

    #[command(flatten)]
    definitions: DefinitionArgs,

    #[command(flatten)]
    listen: ListenArgs,

    #[command(flatten)]
    address: AddressArgs,

    /// The service
    name: ServiceName,

    /// Which revision of it, whole or by its number [default: the newest]
    instance: Option<InstanceName>,

    /// A virtual service of this host's kernel to publish it in as well: IP:PORT
    #[arg(value_parser = Target::of_service_address)]
    service_address: Option<Target>,

    /// Publish it nowhere
    #[arg(long, conflicts_with = "service_address")]
    no_publish: bool,

    /// How long its members of load balancers stay when this program is killed
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = ttl)]
    ttl: Duration,

    /// How long service-monitor lists it when this program is killed
    #[arg(long, value_name = "DURATION", default_value = "8s", value_parser = ttl)]
    service_ttl: Duration,
}

/// The leases of etcd are of whole seconds.
fn ttl(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        time if time >= Duration::from_secs(2) && time.subsec_nanos() == 0 => Ok(time),
        _ => Err("whole seconds from 2 on are expected, such as 30s".to_owned()),
    }
}

pub(super) async fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    let store = args.etcd.start().await.map_err(own)?;
    // Before anything else: who is told to end at once may have a container of an earlier life to
    // end.
    let shutdown = Shutdown::from_signals().map_err(Failure::io("listen for", "signals"));
    let shutdown = shutdown.map_err(own)?;
    let daemon = Daemon::start(&args.listen).await.map_err(own)?;
    let (health, notifier) = (daemon.health.clone(), daemon.notifier.clone());
    // What is wrong before there is a container is told as whatever comes later is.
    let work = async {
        let (parts, _lock) = args.parts(store, health, notifier, shutdown).map_err(own)?;
        Box::pin(run::run(parts)).await
    };
    let code = daemon.run(metrics::registry("launcher"), work).await?;
    Ok(ExitCode::from(code))
}

/// Any other code may be a container's.
fn own(failure: Failure) -> Failure {
    failure.with_code(OWN_FAILURE)
}

impl RunArgs {
    /// With the lock on what is kept of this instance.
    fn parts(
        self,
        store: EtcdStore,
        health: Health,
        notifier: Notifier,
        shutdown: Shutdown,
    ) -> Result<(Parts<DockerRuntime, EtcdStore>, File), Failure> {
        let identity = self.identity()?;
        let state = self.definitions.state_dir()?;
        let definitions = self.definitions.definitions(store.clone(), &state)?;
        let (state, lock) = own_directory(&state, &identity)?;
        let parts = Parts {
            runtime: DockerRuntime::from_env(),
            store,
            definitions,
            order: Order {
                identity,
                publish: (!self.no_publish).then(|| self.service_address.into_iter().collect()),
                tree: self.definitions.tree(),
                ttls: Ttls {
                    members: self.ttl,
                    services: self.service_ttl,
                },
            },
            state,
            sink: Sink::of_process,
            address: self.address,
            metadata: Metadata::from_env(),
            health,
            notifier,
            shutdown,
        };
        Ok((parts, lock))
    }

    fn identity(&self) -> Result<Identity, Failure> {
        Ok(Identity {
            service: self.name.clone(),
            instance: self.instance.unwrap_or_default(),
            host_id: self.etcd.common.host_id()?,
        })
    }
}

/// What is kept of this instance, and the lock on it: two that looked after one container would
/// each end what the other started.
fn own_directory(state: &StateDir, identity: &Identity) -> Result<(StateDir, File), Failure> {
    let Identity {
        service, instance, ..
    } = identity;
    let directory: PathBuf = state
        .path()
        .join("instances")
        .join(format!("{service}@{instance}"));
    let directory = StateDir::open(directory)?;
    let path = directory.path().join("lock");
    let doing = format!("cannot lock {}", path.display());
    let lock = File::create(&path).or_exit(OWN_FAILURE);
    let lock = lock.map_err(|failure| failure.context(&doing))?;
    match lock.try_lock() {
        Ok(()) => Ok((directory, lock)),
        Err(TryLockError::WouldBlock) => Err(Failure::new(
            OWN_FAILURE,
            format!(
                "another launcher runs {service} {instance} on this host already: stop its unit \
                 first (it holds {})",
                path.display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(Failure::new(OWN_FAILURE, error).context(&doing)),
    }
}
