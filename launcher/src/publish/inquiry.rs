//! Asks the managers, for as long as an answer is awaited.
//!
//! Not for longer: a status changes whenever a member of the load balancer comes or goes, and each
//! of many launchers would be sent the whole of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::select_all;
use presence::departure::{Change, Step};
use presence::keys::StatusTree;
use presence::keys::status::{BalancerStatusKey, StatusKey};
use presence::mirror::{Connection, Mirror, Snapshot, View};
use presence::model::{BalancerId, Kind, MemberId, MemberKey, Revision};
use presence::process::shutdown::{Shutdown, Trigger};
use presence::status::{Managers, Record};
use presence::store::{Entry, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::{Answer, Answers};

/// What is heard of some members. It ends when it is dropped.
pub(super) struct Inquiry {
    members: BTreeSet<MemberKey>,
    managers: Heard<Managers>,
    balancers: Vec<Heard<Reports>>,
    _tasks: JoinSet<()>,
    _end: Trigger,
}

/// Everything that the managers say, at one moment.
pub(super) struct Hearing {
    pub managers: Managers,
    pub answers: Answers,
}

struct Heard<V> {
    snapshots: watch::Receiver<Option<Arc<Snapshot<V>>>>,
    connection: watch::Receiver<Connection>,
}

impl Inquiry {
    pub fn open<S: Store>(store: &S, keys: &StatusTree, members: BTreeSet<MemberKey>) -> Self {
        let (end, shutdown) = Shutdown::manual();
        let mut tasks = JoinSet::new();
        let managers = (keys.managers_prefix(), Managers::new(keys.clone()));
        let managers = follow(store, managers, &mut tasks, &shutdown);
        let mut balancers: BTreeMap<&BalancerId, BTreeSet<MemberId>> = BTreeMap::new();
        for member in &members {
            let ours = balancers.entry(&member.balancer).or_default();
            ours.insert(member.member.clone());
        }
        let balancers = balancers.into_iter().map(|(balancer, ours)| {
            let empty = Reports {
                keys: keys.clone(),
                balancer: balancer.clone(),
                ours: Arc::new(ours),
                answers: Answers::new(),
            };
            let begin = match balancer.kind() {
                Kind::Ipvs => keys.hosts_prefix(),
                _ => format!("{}{balancer}", keys.aws_prefix()),
            };
            let what = (begin, empty);
            follow(store, what, &mut tasks, &shutdown)
        });
        Self {
            balancers: balancers.collect(),
            managers,
            members,
            _tasks: tasks,
            _end: end,
        }
    }

    /// Whether it is about all of these.
    pub fn covers(&self, members: &BTreeSet<MemberKey>) -> bool {
        members.is_subset(&self.members)
    }

    /// Whether etcd does not answer.
    pub fn is_away(&self) -> bool {
        let lost = |connection: &Connection| matches!(connection, Connection::Lost(_));
        let balancers = self.balancers.iter().map(|heard| &heard.connection);
        let mut all = balancers.chain([&self.managers.connection]);
        all.any(|connection| lost(&connection.borrow()))
    }

    /// What is said; `None` while not all of it is known to be as it is.
    pub fn hear(&self) -> Option<Hearing> {
        let mut answers = Answers::new();
        for heard in &self.balancers {
            answers.extend(heard.now()?.view.answers.clone());
        }
        Some(Hearing {
            managers: self.managers.now()?.view.clone(),
            answers,
        })
    }

    /// Ready when something else is said. Cancel-safe.
    pub async fn changed(&mut self) {
        let Self {
            managers,
            balancers,
            ..
        } = self;
        let balancers = balancers.iter_mut().map(|heard| heard.changed().boxed());
        select_all(balancers.chain([managers.changed().boxed()])).await;
    }
}

impl<V: View> Heard<V> {
    fn now(&self) -> Option<Arc<Snapshot<V>>> {
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

fn follow<S: Store, V: View>(
    store: &S,
    (prefix, empty): (String, V),
    tasks: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> Heard<V> {
    let (snapshots_there, snapshots) = watch::channel(None);
    let (connection_there, connection) = watch::channel(Connection::Starting);
    let mirror = Mirror {
        store: store.clone(),
        prefix,
        empty,
        replay: async { |_: &V| None },
        absorbed: None,
        told: None,
        snapshots: snapshots_there,
        connection: connection_there,
        heartbeat: None,
    };
    tasks.spawn(mirror.run(shutdown.clone()));
    Heard {
        snapshots,
        connection,
    }
}

/// What the managers say of our members in one load balancer.
#[derive(Debug, Clone)]
struct Reports {
    keys: StatusTree,
    balancer: BalancerId,
    ours: Arc<BTreeSet<MemberId>>,
    answers: Answers,
}

impl Reports {
    /// Keys on `lb10` begin as those on `lb1` do.
    fn report(&self, key: &str) -> Option<BalancerStatusKey> {
        match self.keys.parse(key) {
            Ok(StatusKey::Balancer(report)) if *report.balancer() == self.balancer => Some(report),
            _ => None,
        }
    }
}

impl View for Reports {
    fn list(&mut self, key: &str, entry: &Entry) {
        let Some(report) = self.report(key) else {
            return;
        };
        match Record::from_json(&entry.value) {
            Ok(record) => {
                self.answers.insert(report, Answer::new(record, &self.ours));
            }
            Err(error) => {
                tracing::warn!(%key, "{key} is no status that can be read: {error}");
                self.answers.remove(&report);
            }
        }
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.list(&key, &entry),
                Change::Gone { key, .. } => {
                    if let Some(report) = self.report(&key) {
                        self.answers.remove(&report);
                    }
                }
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}
