//! Asks the managers, for as long as an answer is awaited.
//!
//! Not for longer: a status changes whenever a member of the load balancer comes or goes, and each
//! of many launchers would be sent the whole of it.
//!
//! It reads the claims of all managers, and the one status key of each manager that is concerned:
//! never the statuses of other hosts, of which there may be very many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::select_all;
use presence::keys::StatusTree;
use presence::keys::status::BalancerStatusKey;
use presence::mirror::{Connection, Mirror, Snapshot};
use presence::model::{BalancerId, MemberId, MemberKey};
use presence::process::shutdown::{Shutdown, Trigger};
use presence::status::{Managers, Record};
use presence::store::{Entry, KeyRange, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::{Answer, Answers};
use super::key_watch::{KeyState, KeyWatch};

/// What is heard of some members. It ends when it is dropped.
pub(super) struct Inquiry<S> {
    store: S,
    keys: StatusTree,
    members: BTreeSet<MemberKey>,
    managers: Claims,
    statuses: BTreeMap<BalancerStatusKey, KeyWatch<Answer>>,
}

/// Everything that the managers say, at one moment.
pub(super) struct Hearing {
    pub managers: Managers,
    pub answers: Answers,
}

/// The claims of all managers.
struct Claims {
    snapshots: watch::Receiver<Option<Arc<Snapshot<Managers>>>>,
    connection: watch::Receiver<Connection>,
    _tasks: JoinSet<()>,
    _end: Trigger,
}

impl<S: Store> Inquiry<S> {
    pub fn open(store: &S, keys: StatusTree, members: BTreeSet<MemberKey>) -> Self {
        Self {
            managers: Claims::follow(store, &keys),
            store: store.clone(),
            keys,
            members,
            statuses: BTreeMap::new(),
        }
    }

    /// Whether it is about all of these.
    pub fn covers(&self, members: &BTreeSet<MemberKey>) -> bool {
        members.is_subset(&self.members)
    }

    /// Whether etcd does not answer.
    pub fn is_away(&self) -> bool {
        let is_lost = |status: &KeyWatch<Answer>| status.state() == KeyState::Lost;
        matches!(*self.managers.connection.borrow(), Connection::Lost(_))
            || self.statuses.values().any(is_lost)
    }

    /// What is said; `None` while not all of it is known to be as it is.
    pub fn hear(&mut self) -> Option<Hearing> {
        let managers = self.managers.now()?.view.clone();
        self.follow_concerned(&managers);
        let mut answers = Answers::new();
        for (key, status) in &self.statuses {
            match status.state() {
                KeyState::Current(Some(answer)) => {
                    answers.insert(key.clone(), answer);
                }
                KeyState::Current(None) => {}
                KeyState::Starting | KeyState::Lost => return None,
            }
        }
        Some(Hearing { managers, answers })
    }

    /// Follows the statuses that the managers concerned write, and no others.
    fn follow_concerned(&mut self, managers: &Managers) {
        let mut balancers: BTreeMap<&BalancerId, BTreeSet<MemberId>> = BTreeMap::new();
        for member in &self.members {
            let ours = balancers.entry(&member.balancer).or_default();
            ours.insert(member.member.clone());
        }
        let mut followed = std::mem::take(&mut self.statuses);
        for (balancer, ours) in balancers {
            for status in managers.concerned(balancer) {
                let watch = followed.remove(&status).unwrap_or_else(|| {
                    let (key, ours) = (self.keys.status(&status), ours.clone());
                    KeyWatch::start(&self.store, key.clone(), move |entry| {
                        answer(&key, entry, &ours)
                    })
                });
                self.statuses.insert(status, watch);
            }
        }
    }

    /// Ready when something else is said. Cancel-safe.
    pub async fn changed(&mut self) {
        let statuses = self.statuses.values_mut();
        let statuses = statuses.map(|status| status.changed().boxed());
        select_all(statuses.chain([self.managers.changed().boxed()])).await;
    }
}

fn answer(key: &str, entry: &Entry, ours: &BTreeSet<MemberId>) -> Option<Answer> {
    match Record::from_json(&entry.value) {
        Ok(record) => Some(Answer::new(record, ours)),
        Err(error) => {
            tracing::warn!(%key, "cannot read the status {key}: {error}");
            None
        }
    }
}

impl Claims {
    fn follow<S: Store>(store: &S, keys: &StatusTree) -> Self {
        let (end, shutdown) = Shutdown::manual();
        let (snapshots_there, snapshots) = watch::channel(None);
        let (connection_there, connection) = watch::channel(Connection::Starting);
        let mirror = Mirror {
            store: store.clone(),
            range: KeyRange::below(&keys.managers_prefix()),
            empty: Managers::new(keys.clone()),
            replay: async { |_: &Managers| None },
            absorbed: None,
            told: None,
            snapshots: snapshots_there,
            connection: connection_there,
            heartbeat: None,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(mirror.run(shutdown));
        Self {
            snapshots,
            connection,
            _tasks: tasks,
            _end: end,
        }
    }

    fn now(&self) -> Option<Arc<Snapshot<Managers>>> {
        if *self.connection.borrow() != Connection::Following {
            return None;
        }
        self.snapshots.borrow().clone()
    }

    async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.snapshots.changed() => {}
            Ok(()) = self.connection.changed() => {}
            else => std::future::pending().await,
        }
    }
}
