//! From what a definition publishes to keys in etcd, and from what the managers report back to
//! "it is served", "no new connection comes", "the last one is over".
//!
//! [`Places`] says what is published where, `answer` what the managers say of it, and `judge` how
//! far that is: all pure. [`Publication`] is how the driver of a [`life`](crate::life) speaks with [`Desk`], the
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

use jiff::Timestamp;
use presence::keys::Tree;
use presence::model::{DefinitionRevision, HostId, ServiceName};
use presence::process::health::Health;
use presence::process::state_file::StateDir;
use presence::store::Store;
use tokio::sync::watch;

use crate::definition::{Target, Values};
use crate::instance::InstanceState;
use crate::life::{self, Keys};

pub use self::desk::Desk;
pub use self::places::{PlaceError, Places};

mod answer;
mod desk;
mod inquiry;
mod judge;
mod key_watch;
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
    /// The tree that its members are published in.
    pub tree: Tree,
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
    /// What a life has to know of the keys. Its words are told as `elb us-east-1/web: …`.
    pub keys: Keys,
    /// Whether all who sent connections say that the last is over. How many there are no manager
    /// tells: a status is written when it changes, not whenever a connection comes or goes.
    pub drained: bool,
    /// The number of the wish that this is about.
    asked: u64,
}

/// What one instance publishes, as the driver of its life sees it.
///
/// What is asked for counts at once: the standing never shows as reached what was reached for
/// another wish.
pub struct Publication {
    /// `None`: nothing is published, ever.
    counter: Option<Counter>,
    standing: watch::Sender<Standing>,
}

/// Where wishes are taken.
struct Counter {
    instance: Instance,
    targets: Vec<Target>,
    wish: watch::Sender<Wish>,
}

/// What is to be in the store.
#[derive(Debug, Clone, PartialEq)]
struct Wish {
    number: u64,
    publish: life::Publish,
    places: Option<Arc<Places>>,
    /// Since when it is ready, or not.
    since: Timestamp,
    state: Option<InstanceState>,
}

impl Publication {
    /// One that works as long as its desk does.
    pub fn new<S: Store>(parts: Parts<S>) -> (Self, Desk<S>) {
        let (wish, wish_there) = watch::channel(Wish {
            number: 0,
            publish: life::Publish::AsIs,
            places: None,
            since: Timestamp::now(),
            state: None,
        });
        // Until the store was asked an earlier life may have left something.
        let standing = watch::Sender::new(Standing {
            keys: Keys {
                present: 1,
                ..Keys::default()
            },
            ..Standing::default()
        });
        let publication = Self {
            counter: Some(Counter {
                instance: parts.instance.clone(),
                targets: parts.targets.clone(),
                wish,
            }),
            standing: standing.clone(),
        };
        let desk = Desk {
            parts,
            wish: wish_there,
            standing,
        };
        (publication, desk)
    }

    /// That of `--no-publish`: there is nothing to wait for, ever.
    pub fn none() -> Self {
        let standing = watch::Sender::new(Standing {
            keys: Keys {
                served: true,
                withdrawn: true,
                ..Keys::default()
            },
            drained: true,
            ..Standing::default()
        });
        Self {
            counter: None,
            standing,
        }
    }

    /// What is to be published. Values are needed once before anything can be, and again when
    /// they change; with an error nothing changes.
    pub fn want(
        &mut self,
        publish: life::Publish,
        values: Option<&Values>,
    ) -> Result<(), PlaceError> {
        let Some(counter) = &self.counter else {
            return Ok(());
        };
        let before = counter.wish.borrow().clone();
        let places = match values {
            Some(values) => Some(Arc::new(counter.resolve(values)?)),
            None => before.places.clone(),
        };
        if (publish, &places) == (before.publish, &before.places) {
            return Ok(());
        }
        let flips = publish != before.publish;
        let next = Wish {
            number: before.number + 1,
            publish,
            places,
            since: if flips {
                Timestamp::now()
            } else {
                before.since
            },
            state: before.state,
        };
        self.ask(&next);
        counter.wish.send_replace(next);
        Ok(())
    }

    /// From now on the standing is about this, and says nothing of it yet.
    fn ask(&self, next: &Wish) {
        let coming = match next.publish {
            life::Publish::Ready | life::Publish::NotReady => next.places.as_ref(),
            life::Publish::AsIs | life::Publish::Nothing => None,
        };
        let coming = coming.map_or(0, |places| places.count());
        self.standing.send_modify(|standing| {
            *standing = Standing {
                keys: Keys {
                    present: standing.keys.present.max(coming),
                    away: standing.keys.away,
                    ..Keys::default()
                },
                drained: false,
                asked: next.number,
            }
        });
    }

    /// The state of the instance, as it is to stand in its key, from now until the end. Which keys
    /// it publishes is added here.
    pub fn state(&mut self, state: InstanceState) {
        let Some(counter) = &self.counter else {
            return;
        };
        counter.wish.send_if_modified(|wish| {
            let is_new = wish.state.as_ref() != Some(&state);
            wish.state = Some(state);
            is_new
        });
    }

    /// How it stands, now and whenever that changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }
}

impl Counter {
    fn resolve(&self, values: &Values) -> Result<Places, PlaceError> {
        Places::resolve(&self.targets, &self.instance, values)
    }
}
