//! The task that keeps the keys, and reads what the managers say of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use presence::keys::Tree;
use presence::keys::launcher::LauncherKey;
use presence::process::shutdown::Shutdown;
use presence::publisher::{
    Content, Heirs, Others, PROGRESS, Publisher, Report, Standing as Key, Wanted, WantedKey,
};
use presence::store::Store;
use tokio::sync::watch;

use super::inquiry::Inquiry;
use super::judge::{self, Ledger, Reached};
use super::{Parts, Standing, Wish};
use crate::definition::{Scope, Target};
use crate::instance::{InstanceState, State};
use crate::life::{Keys, Publish};

/// The task that keeps the keys, and reads what the managers say of them.
pub struct Desk<S> {
    pub(super) parts: Parts<S>,
    pub(super) wish: watch::Receiver<Wish>,
    pub(super) standing: watch::Sender<Standing>,
}

/// What one publisher is told, and tells.
struct Lane {
    wanted: watch::Sender<Arc<Wanted>>,
    report: watch::Receiver<Report>,
}

impl<S: Store> Desk<S> {
    /// Works until `shutdown`, then deletes every key that is ours. It goes on for as long as it
    /// takes where etcd is away.
    pub async fn run(self, shutdown: Shutdown) {
        self.say_what_is_left_out();
        let ttls = self.parts.ttls;
        let (members, keeping) = self.lane("members", ttls.members, Some(self.heirs()));
        // Few have any, and two leases cost twice as much.
        let is_listed = self.parts.targets.iter().any(is_listed);
        let services = is_listed.then(|| self.lane("services", ttls.services, None));
        let (services, listing) = services.unzip();
        let state_key = self.state_key();
        let work = Work {
            state_key,
            tree: self.parts.tree,
            store: self.parts.store,
            members,
            services,
            inquiry: None,
            reached: None,
            wish: self.wish,
            standing: self.standing,
        };
        let until = |shutdown: Shutdown| async move { shutdown.triggered().await };
        let listing = listing.map(|publisher| publisher.run(until(shutdown.clone())));
        tokio::join!(
            keeping.run(until(shutdown.clone())),
            OptionFuture::from(listing),
            work.run(shutdown),
        );
    }

    fn lane(&self, name: &str, ttl: Duration, heirs: Option<Heirs>) -> (Lane, Publisher<S>) {
        let wanted = Wanted {
            others: Others::Stay,
            ..Wanted::default()
        };
        let (wanted, wanted_there) = watch::channel(Arc::new(wanted));
        let (report_there, report) = watch::channel(Report::default());
        let heartbeat = format!("publisher of {name}");
        let publisher = Publisher {
            store: self.parts.store.clone(),
            ttl,
            wanted: wanted_there,
            report: report_there,
            memory: Some(self.parts.state.file(&format!("lease-of-{name}.json"))),
            heirs,
            heartbeat: Some(self.parts.health.heartbeat(heartbeat, PROGRESS)),
        };
        (Lane { wanted, report }, publisher)
    }

    /// Other revisions on this host.
    fn heirs(&self) -> Heirs {
        let own = self.state_key();
        let last = own.rfind('/').map_or(0, |slash| slash + 1);
        Heirs {
            prefix: own[..last].to_owned(),
            own,
            wants: InstanceState::publishes,
        }
    }

    fn state_key(&self) -> String {
        let of = self.parts.instance.clone();
        LauncherKey::Instance(of.service, of.host, of.revision).to_string()
    }

    fn say_what_is_left_out(&self) {
        let targets = self.parts.targets.iter();
        let left_out = targets.filter(|target| target.scope() == Scope::Service);
        let count = left_out.count();
        if count > 0 {
            tracing::info!(
                "{count} of the targets have scope: service; they are for the manager of {} to \
                 publish, not for an instance",
                self.parts.instance.service
            );
        }
    }
}

fn is_listed(target: &Target) -> bool {
    matches!(target, Target::Service(_)) && target.scope() == Scope::Instance
}

impl Lane {
    fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|before| {
            let is_new = **before != wanted;
            if is_new {
                *before = Arc::new(wanted);
            }
            is_new
        });
    }

    fn is_current(&self, report: &Report) -> bool {
        Arc::ptr_eq(&report.wanted, &self.wanted.borrow())
    }
}

struct Work<S> {
    store: S,
    tree: Tree,
    state_key: String,
    members: Lane,
    services: Option<Lane>,
    inquiry: Option<Inquiry<S>>,
    /// The number of the wish that was reached to the end, and how.
    reached: Option<(u64, Reached)>,
    wish: watch::Receiver<Wish>,
    standing: watch::Sender<Standing>,
}

impl<S: Store> Work<S> {
    async fn run(mut self, shutdown: Shutdown) {
        loop {
            self.look();
            // All cancel-safe: what was missed is still there when asked again.
            tokio::select! {
                biased;
                () = shutdown.triggered() => break,
                Ok(()) = self.wish.changed() => {}
                Ok(()) = self.members.report.changed() => {}
                () = changed(self.services.as_mut()) => {}
                () = heard(self.inquiry.as_mut()) => {}
            }
        }
    }

    fn look(&mut self) {
        let wish = self.wish.borrow_and_update().clone();
        self.pass_on(&wish);
        let members = self.members.report.borrow_and_update().clone();
        let services = self.services.as_mut();
        let services = services.map(|lane| lane.report.borrow_and_update().clone());
        let listed = self.services.as_ref().zip(services.as_ref());
        let (key, tree) = (self.state_key.clone(), self.tree.clone());
        let ledger = Ledger {
            is_current: self.members.is_current(&members)
                && listed.is_none_or(|(lane, report)| lane.is_current(report)),
            reports: [Some(&members), services.as_ref()]
                .into_iter()
                .flatten()
                .collect(),
            state_key: &key,
            tree: &tree,
        };
        let reached = self.reached(&wish, &ledger);
        let lost = self.inquiry.as_ref().is_some_and(Inquiry::is_away);
        self.tell(Standing {
            keys: Keys {
                present: ledger.present(),
                served: reached.served,
                withdrawn: reached.withdrawn,
                kept: reached.kept,
                away: lost || ledger.trouble().is_some(),
                words: reached.words,
            },
            drained: reached.drained,
            asked: wish.number,
        });
    }

    fn pass_on(&self, wish: &Wish) {
        let is_ready = wish.publish == Publish::Ready;
        let (mut members, services) = match (wish.publish, &wish.places) {
            (Publish::Ready | Publish::NotReady, Some(places)) => (
                places.members(&self.tree, is_ready),
                places.services(is_ready, wish.since),
            ),
            (Publish::Nothing, _) => (Wanted::default(), Wanted::default()),
            // Until it is known where it is, what is there stays.
            _ => {
                let stay = Wanted {
                    others: Others::Stay,
                    ..Wanted::default()
                };
                (stay.clone(), stay)
            }
        };
        if let Some(state) = &wish.state {
            let state = InstanceState {
                keys: self.heritable(state, is_ready, &members),
                ..state.clone()
            };
            let state = WantedKey::new(Content::Plain(state.encode()));
            members.keys.insert(self.state_key.clone(), state);
        }
        self.members.want(members);
        if let Some(lane) = &self.services {
            lane.want(services);
        }
    }

    /// What others may leave to it: not what an operator deleted.
    fn heritable(
        &self,
        state: &InstanceState,
        is_ready: bool,
        members: &Wanted,
    ) -> BTreeSet<String> {
        if !is_ready || state.state != State::Running {
            return BTreeSet::new();
        }
        let report = self.members.report.borrow();
        let withdrawn =
            |key: &&String| matches!(report.keys.get(*key), Some(Key::Withdrawn { .. }));
        let keys = members.keys.keys().filter(|key| !withdrawn(key));
        keys.cloned().collect()
    }

    /// How far the wish is. What was reached once stays so: it is asked no longer.
    fn reached(&mut self, wish: &Wish, ledger: &Ledger<'_>) -> Reached {
        if let Some((_, reached)) = self.reached.as_ref().filter(|(of, _)| *of == wish.number) {
            return reached.clone();
        }
        let members: BTreeSet<_> = match wish.publish {
            Publish::Ready if wish.places.is_some() => ledger.published().into_keys().collect(),
            Publish::Nothing => {
                let members = ledger.published().into_keys();
                members.chain(ledger.gone().into_keys()).collect()
            }
            _ => {
                self.inquiry = None;
                return Reached::default();
            }
        };
        if !self
            .inquiry
            .as_ref()
            .is_some_and(|open| open.covers(&members))
        {
            let wanted = !members.is_empty();
            self.inquiry = wanted.then(|| Inquiry::open(&self.store, self.tree.status(), members));
        }
        let hearing = self.inquiry.as_mut().and_then(Inquiry::hear);
        let reached = match wish.publish {
            Publish::Nothing => judge::out(ledger, hearing.as_ref()),
            _ => judge::served(ledger, hearing.as_ref()),
        };
        if reached.served || reached.drained {
            if !reached.words.is_empty() {
                tracing::warn!("{}", reached.words);
            }
            self.inquiry = None;
            self.reached = Some((wish.number, reached.clone()));
        }
        reached
    }

    /// Not what is of an older wish.
    fn tell(&self, now: Standing) {
        self.standing.send_if_modified(|before| {
            let is_news = before.asked == now.asked && *before != now;
            if is_news {
                *before = now;
            }
            is_news
        });
    }
}

async fn changed(lane: Option<&mut Lane>) {
    let ended = match lane {
        Some(lane) => lane.report.changed().await.is_err(),
        None => true,
    };
    if ended {
        std::future::pending::<()>().await;
    }
}

async fn heard<S: Store>(inquiry: Option<&mut Inquiry<S>>) {
    match inquiry {
        Some(inquiry) => inquiry.changed().await,
        None => std::future::pending().await,
    }
}
