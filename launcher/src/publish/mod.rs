//! From what a definition publishes to keys in etcd, and from what the managers report back to
//! "it is served", "no new connection comes", "the last one is over".
//!
//! [`Places`] says what is published where, and `answer` what the managers say of it: both are
//! pure. [`Publication`] is how the driver of a [`life`](crate::life) speaks with [`Desk`], the
//! one task that keeps the keys and reads the answers.
//!
//! Targets with `scope: service` are the manager's, with or without one: an instance leaves them
//! out, and says so once.
//!
//! Two revisions of a service on one host are one instance of a label, `<host-id>.<name>`: who
//! looks for the service finds one address, that of the newer, and never none. They hand it over
//! as they hand over any key that both publish. Where that is follows from the ports: the port of
//! the host that leads to the container; else the container's own address, which reaches no
//! further than its network does; else, with the host's network, the host's.

use std::sync::Arc;
use std::time::Duration;

use presence::model::{DefinitionRevision, HostId, ServiceName};
use presence::process::health::Health;
use presence::process::state_file::StateDir;
use presence::store::Store;
use tokio::sync::watch;

use crate::definition::{Target, Values};
use crate::life::{self, Keys};

pub use self::places::{PlaceError, Places};

mod places;

/// Which instance it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Of which service.
    pub service: ServiceName,
    /// On which host.
    pub host: HostId,
    /// Of which revision.
    pub revision: DefinitionRevision,
}

/// How long keys stay when nobody renews them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttls {
    /// Members of load balancers, and the state of the instance.
    pub members: Duration,
    /// Instances of a label.
    pub services: Duration,
}

impl Default for Ttls {
    fn default() -> Self {
        Self {
            members: Duration::from_secs(30),
            services: Duration::from_secs(8),
        }
    }
}

/// What a publication runs on.
pub struct Parts<S> {
    /// The store.
    pub store: S,
    /// Whose keys they are.
    pub instance: Instance,
    /// What is published; SERVICE_ADDRESS is [`Target::of_service_address`].
    pub targets: Vec<Target>,
    /// See [`Ttls`].
    pub ttls: Ttls,
    /// Where the leases are remembered for the next life: a directory of this instance's own.
    pub state: StateDir,
    /// Of the process: its publishers show here that they make progress.
    pub health: Health,
}

/// How what is published stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What a life has to know of the keys.
    pub keys: Keys,
    /// Whether all who sent connections say that the last is over. How many there are no manager
    /// tells: a status is written when it changes, not whenever a connection comes or goes.
    pub drained: bool,
    /// Why it is not served, or not out, and what to know where it is: `elb us-east-1/web: …`.
    /// For STATUS, and for the message of a failure. Empty where there is nothing to say.
    pub words: String,
    /// The number of the wish that this is about.
    asked: u64,
}

/// What one instance publishes, as the driver of its life sees it.
///
/// What is asked for counts at once: the standing never shows as reached what was reached for
/// another wish.
pub struct Publication {
    instance: Instance,
    targets: Arc<[Target]>,
    wish: watch::Sender<Wish>,
    standing: watch::Sender<Standing>,
}

/// What is to be in the store.
#[derive(Debug, Clone, PartialEq)]
struct Wish {
    number: u64,
    publish: life::Publish,
    places: Option<Arc<Places>>,
    state: Option<Vec<u8>>,
}

impl Publication {
    /// One that runs as long as its desk does.
    pub fn new<S: Store>(_parts: Parts<S>) -> (Self, Desk<S>) {
        todo!()
    }

    /// That of `--no-publish`: there is nothing to wait for, ever.
    pub fn none() -> Self {
        todo!()
    }

    /// What is to be published. Values are needed once before anything can be, and again whenever
    /// they change; with an error what was wanted before stays so.
    pub fn want(
        &mut self,
        publish: life::Publish,
        values: Option<&Values>,
    ) -> Result<(), PlaceError> {
        todo!("{publish:?} {values:?}")
    }

    /// The state of the instance, as it is to stand in its key, from now until the end.
    pub fn state(&mut self, json: Vec<u8>) {
        todo!("{json:?}")
    }

    /// How it stands, now and whenever that changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }
}

/// The task that keeps the keys, and reads what the managers say of them.
pub struct Desk<S> {
    parts: Parts<S>,
    wish: watch::Receiver<Wish>,
    standing: watch::Sender<Standing>,
}

impl<S: Store> Desk<S> {
    /// Works until `shutdown`, then deletes every key that is ours. It goes on for as long as it
    /// takes where etcd is away.
    pub async fn run(self, shutdown: presence::process::shutdown::Shutdown) {
        todo!()
    }
}
