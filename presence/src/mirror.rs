//! A range of the store as one consistent snapshot, always complete.
//!
//! One task, [`run`], which owns the sending half of a `watch` channel. The
//! channel holds `None` until everything has been read once, and from then on
//! the newest snapshot: nobody ever sees half of one.

mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use self::replay::Replay;
use self::replay::{Replayed, Source, Target, ask_leases};

use crate::departure::{Classifier, Step};
use crate::model::Revision;
use crate::process::backoff::Backoff;
use crate::process::complaint::Complaint;
use crate::process::health::Heartbeat;
use crate::process::shutdown::Shutdown;
use crate::store::{
    Entry, Event, Header, KeyRange, Listing, Store, StoreError, Watch, WatchMessage,
};
use crate::watch_state::{Next, Replaced, WatchState};

/// What a mirror keeps of the keys of its range.
pub trait View: Clone + Send + Sync + 'static {
    /// A key that exists.
    fn list(&mut self, key: &str, entry: &Entry);

    /// All that exist, in order: for views that have a shorter way than one
    /// key after the other.
    fn list_all(&mut self, entries: &[(String, Entry)]) {
        for (key, entry) in entries {
            self.list(key, entry);
        }
    }

    /// What one revision changed.
    fn apply(&mut self, step: Step);

    /// This view was read anew at that revision and takes the place of
    /// `before`: whatever is missing vanished while nobody looked.
    fn succeed(&mut self, before: &Self, at: Revision);

    /// All users of the view have taken in its changes up to this revision.
    /// What the view remembers of those for their sake may be dropped.
    fn forget_absorbed(&mut self, up_to: Revision) {
        let _ = up_to;
    }
}

/// Everything in the range at one revision.
#[derive(Debug, Clone)]
pub struct Snapshot<V> {
    /// The cluster, and the revision up to which the view is complete.
    pub header: Header,
    /// How often the history was replaced while this mirror ran. State, so
    /// that nobody who looks late misses it.
    pub replacements: u32,
    /// Why, the last time.
    pub replaced: Option<Replaced>,
    /// How often the watch had to be opened anew.
    pub reconnects: u32,
    /// What was kept of the keys.
    pub view: V,
}

/// How far all users of a view have absorbed its changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// [`Snapshot::replacements`] of the history that the revision belongs to.
    pub replacements: u32,
    /// The changes up to this revision are absorbed.
    pub revision: Revision,
}

/// How a mirror gets on with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// Nothing was read yet.
    Starting,
    /// The snapshot is as new as the store.
    Following,
    /// The store does not answer, and the snapshot grows old.
    Lost(StoreError),
}

/// What a mirror runs on.
pub struct Mirror<S, V, F> {
    /// The store.
    pub store: S,
    /// What is mirrored.
    pub range: KeyRange,
    /// The view to start from.
    pub empty: V,
    /// Gives what is asked once, with the first view: from which revision on
    /// the causes of departures are wanted, such as the revision up to which
    /// everything was absorbed. `None`: from now on. It is awaited when the
    /// first view has been read, and so may be worked out meanwhile.
    pub replay: F,
    /// The revision up to which all users of the view have absorbed its
    /// changes, see [`View::forget_absorbed`].
    pub absorbed: Option<watch::Receiver<Absorbed>>,
    /// What others find out: that the history was replaced, though nothing
    /// here says so.
    pub told: Option<watch::Receiver<Option<Replaced>>>,
    /// Where snapshots go.
    pub snapshots: watch::Sender<Option<Arc<Snapshot<V>>>>,
    /// Where the state of the connection goes.
    pub connection: watch::Sender<Connection>,
    /// Beaten as long as there is progress, be it one failure after another.
    pub heartbeat: Option<Heartbeat>,
}

/// How long a mirror may be without progress: reading a very large tree takes
/// this long at most.
pub const PROGRESS: Duration = Duration::from_mins(2);

/// How often a replay is tried before what is missing counts as gone for an
/// unknown reason.
const REPLAYS: usize = 3;

/// How often a consistent read checks that the history is still the same. A
/// watch from a revision that does not exist yet says nothing for ever.
const CHECK: Duration = Duration::from_secs(5);

impl<S, V, F, R> Mirror<S, V, F>
where
    S: Store,
    V: View,
    F: Future<Output = R> + Send,
    R: FnOnce(&V) -> Option<Replay>,
{
    /// Mirrors until shutdown. Each error of the store is logged and met with
    /// a back-off; none ends the task.
    pub async fn run(self, shutdown: Shutdown) {
        let mut following = Following {
            store: self.store,
            range: self.range,
            empty: self.empty,
            state: WatchState::default(),
            told: self.told,
            absorbed: self.absorbed,
            deletes: Classifier::default(),
            replay: None,
            replays: 0,
            snapshots: self.snapshots,
            connection: self.connection,
            heartbeat: self.heartbeat,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            complaint: Complaint::every(Duration::from_mins(1)),
        };
        tokio::select! {
            biased;
            () = shutdown.triggered() => {}
            () = following.forever(self.replay) => {}
        }
    }
}

struct Following<S, V> {
    store: S,
    range: KeyRange,
    empty: V,
    state: WatchState,
    told: Option<watch::Receiver<Option<Replaced>>>,
    absorbed: Option<watch::Receiver<Absorbed>>,
    deletes: Classifier,
    /// What the first view has to know of the history.
    replay: Option<Replay>,
    /// Failed replays in a row.
    replays: usize,
    snapshots: watch::Sender<Option<Arc<Snapshot<V>>>>,
    connection: watch::Sender<Connection>,
    heartbeat: Option<Heartbeat>,
    backoff: Backoff,
    complaint: Complaint,
}

impl<S: Store, V: View> Following<S, V> {
    async fn forever<F, R>(&mut self, replay: F)
    where
        F: Future<Output = R>,
        R: FnOnce(&V) -> Option<Replay>,
    {
        let mut replay = Some(replay);
        loop {
            self.beat();
            let result = match self.state.next() {
                Next::List if self.current().is_none() => self.boot(&mut replay).await,
                Next::List => self.reload().await,
                Next::Watch { after } => self.follow(after).await,
            };
            if let Err(error) = result {
                self.wait(error).await;
            }
        }
    }

    fn beat(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat();
        }
    }

    fn current(&self) -> Option<Arc<Snapshot<V>>> {
        self.snapshots.borrow().clone()
    }

    /// The first view is only shown once it knows why members that somebody
    /// remembers are gone.
    async fn boot<F, R>(&mut self, replay: &mut Option<F>) -> Result<(), StoreError>
    where
        F: Future<Output = R>,
        R: FnOnce(&V) -> Option<Replay>,
    {
        let listing = self.store.list_range(&self.range, None).await?;
        let header = listing.header;
        let view = listed(&self.empty, &listing.entries);
        if let Some(replay) = replay.take() {
            self.replay = replay.await(&view);
        }
        let replayed = match self.replay.clone() {
            None => None,
            Some(replay) => self.replay(None, replay, listing).await?,
        };
        let mut applied = header.revision;
        let view = match replayed {
            None => view,
            Some(replayed) => {
                applied = replayed.applied;
                self.deletes = replayed.deletes;
                replayed.view
            }
        };
        // Nothing was seen before the first listing that it could contradict.
        let _ = self.state.listed(Header {
            revision: applied,
            ..header
        });
        self.publish(Snapshot {
            header,
            replacements: 0,
            replaced: None,
            reconnects: 0,
            view,
        });
        Ok(())
    }

    /// Reads everything again. As long as the history is the same, it tells
    /// why keys are gone.
    async fn reload(&mut self) -> Result<(), StoreError> {
        let Some(before) = self.current() else {
            return Ok(());
        };
        let listing = self.store.list_range(&self.range, None).await?;
        let header = listing.header;
        let is_same = self.state.is_same_history();
        let verdict = self.state.listed(header);
        let mut view = listed(&self.empty, &listing.entries);
        let replayed = if is_same && verdict.is_ok() {
            let replay = Replay::from(before.header.revision);
            let replayed = self.replay(Some(&before.view), replay, listing).await;
            // To be listed again.
            replayed.inspect_err(|_| self.state.compacted())?
        } else {
            None
        };
        if let Some(replayed) = replayed {
            view = replayed.view;
            self.deletes = replayed.deletes;
        } else {
            view.succeed(&before.view, header.revision);
            self.deletes = Classifier::default();
        }
        let mut next = Snapshot {
            header,
            view,
            replacements: before.replacements,
            replaced: before.replaced.clone(),
            reconnects: before.reconnects + 1,
        };
        next.note(verdict);
        self.publish(next);
        Ok(())
    }

    /// The view of the listing, with the causes in it. `None`: nobody can tell
    /// the causes, so that what is missing is gone for an unknown reason.
    async fn replay(
        &mut self,
        before: Option<&V>,
        replay: Replay,
        listing: Listing,
    ) -> Result<Option<Replayed<V>>, StoreError> {
        if replay.after >= listing.header.revision {
            return Ok(None);
        }
        let source = Source {
            store: &self.store,
            range: &self.range,
            empty: &self.empty,
            heartbeat: self.heartbeat.as_ref(),
        };
        let replayed = source.replay(before, replay, Target::from(listing)).await;
        self.replays += 1;
        let reason = match replayed {
            Ok(Some(replayed)) => {
                self.replays = 0;
                return Ok(Some(replayed));
            }
            Ok(None) => "it ends before the present".to_owned(),
            Err(error) if self.replays < REPLAYS => return Err(error),
            Err(error) => error.to_string(),
        };
        self.replays = 0;
        tracing::warn!("cannot read from etcd's history why keys are gone: {reason}");
        Ok(None)
    }

    /// Watches until something goes wrong.
    async fn follow(&mut self, after: Revision) -> Result<(), StoreError> {
        let mut watch = self.store.watch_range(&self.range, after).await?;
        self.check().await?;
        if self.state.next() == Next::List {
            return Ok(());
        }
        self.connected();
        let mut check = interval_at(Instant::now() + CHECK, CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut works = false;
        loop {
            self.beat();
            tokio::select! {
                biased;
                // Cancel-safe by contract of the trait.
                message = watch.next() => match message? {
                    WatchMessage::Events { header, events } => {
                        works = true;
                        self.judge(|state| state.watched(header));
                        self.absorb(header, events).await;
                    }
                    WatchMessage::Progress(header) => {
                        works = true;
                        self.judge(|state| state.watched(header));
                    }
                    WatchMessage::Compacted(revision) => {
                        tracing::warn!(
                            "etcd compacted the history of {} up to {revision}, which was read up \
                             to {after} only: reading everything again",
                            self.range.start()
                        );
                        self.state.compacted();
                        if !works {
                            // Compactions that outrun every listing are no hot loop.
                            tokio::time::sleep(self.backoff.failed()).await;
                        }
                    }
                },
                // Cancel-safe: what was not taken stays changed.
                replaced = told(&mut self.told) => self.judge(|state| state.told(replaced)),
                // Cancel-safe: a tick that is dropped stays due.
                _ = check.tick() => {
                    self.check().await?;
                    works = true;
                }
            }
            if works {
                self.works();
            }
            if self.state.next() == Next::List {
                return Ok(());
            }
        }
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        let answer = self.store.get(self.range.start()).await?;
        self.judge(|state| state.consistent(answer.header));
        Ok(())
    }

    /// Notes a replaced history; that the state then wants a new listing is
    /// seen by whoever asks it.
    fn judge(&mut self, verdict: impl FnOnce(&mut WatchState) -> Result<(), Replaced>) {
        let Err(replaced) = verdict(&mut self.state) else {
            return;
        };
        tracing::error!(
            "the history of etcd was replaced: {replaced}; reading {} again",
            self.range.start()
        );
        if let Some(before) = self.current() {
            let mut next = (*before).clone();
            next.note(Err(replaced));
            self.publish(next);
        }
    }

    async fn absorb(&mut self, header: Header, events: Vec<Event>) {
        // A watch that was opened anew may tell again what is known.
        let Next::Watch { after } = self.state.next() else {
            return;
        };
        let events: Vec<Event> = events
            .into_iter()
            .filter(|event| event.revision() > after)
            .collect();
        let (Some(last), Some(current)) = (events.last().map(Event::revision), self.current())
        else {
            return;
        };
        let leases = ask_leases(&self.store, &events, &BTreeMap::new()).await;
        let mut next = (*current).clone();
        drop(current);
        for step in self.deletes.classify(events, &leases) {
            next.view.apply(step);
        }
        let absorbed = self.absorbed.as_ref().map(|absorbed| *absorbed.borrow());
        if let Some(absorbed) = absorbed
            && absorbed.replacements == next.replacements
        {
            next.view.forget_absorbed(absorbed.revision);
        }
        next.header = Header {
            cluster: header.cluster,
            revision: next.header.revision.max(last),
        };
        self.state.applied(last);
        self.publish(next);
    }

    fn publish(&mut self, snapshot: Snapshot<V>) {
        self.connected();
        self.snapshots.send_replace(Some(Arc::new(snapshot)));
    }

    /// The watch has delivered something, or lived for a while: a watch that
    /// only breaks again is no success.
    fn works(&mut self) {
        self.backoff.succeeded();
        if self.complaint.is_over() {
            tracing::info!("{} is followed again", self.range.start());
        }
    }

    fn connected(&mut self) {
        self.connection.send_if_modified(|connection| {
            let lost = *connection != Connection::Following;
            *connection = Connection::Following;
            lost
        });
    }

    async fn wait(&mut self, error: StoreError) {
        let wait = self.backoff.failed();
        if self.complaint.is_due(&error.to_string()) {
            tracing::warn!(
                "{} cannot be followed; until it can, what was read last stays in force: {error}",
                self.range.start()
            );
        }
        self.connection.send_replace(Connection::Lost(error));
        if let Some(before) = self.current() {
            let mut next = (*before).clone();
            next.reconnects += 1;
            self.snapshots.send_replace(Some(Arc::new(next)));
        }
        tokio::time::sleep(wait).await;
    }
}

impl<V> Snapshot<V> {
    fn note(&mut self, verdict: Result<(), Replaced>) {
        if let Err(replaced) = verdict {
            self.replacements += 1;
            self.replaced = Some(replaced);
        }
    }
}

/// Waits to be told; for ever where nobody is there to tell.
async fn told(told: &mut Option<watch::Receiver<Option<Replaced>>>) -> Replaced {
    let Some(told) = told else {
        return std::future::pending().await;
    };
    loop {
        if told.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        if let Some(replaced) = told.borrow_and_update().clone() {
            return replaced;
        }
    }
}

fn listed<V: View>(empty: &V, entries: &[(String, Entry)]) -> V {
    let mut view = empty.clone();
    view.list_all(entries);
    view
}
