//! Joins reads that come together into one request, and keeps what makes
//! requests fail from holding up the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::error::{Failure, Kind};

/// A batch is closed when nobody has joined it for so long...
const QUIET: Duration = Duration::from_millis(2);
/// ...or so long for a crowd, where a call saved is worth more than a moment...
const QUIET_CROWD: Duration = Duration::from_millis(10);
const CROWD: usize = 10;
/// ...or when it has been open for so long.
const OPEN: Duration = Duration::from_millis(200);
/// While another batch waits for its answer the next one grows, but not for
/// longer than this: the answer may never come.
const BEHIND: Duration = Duration::from_millis(100);
/// More names than these are not asked for by name: all that the region has is
/// listed. So no name can make the request fail.
const BY_NAME: usize = 20;
/// Pages that are not answered in time are made smaller, down to this size.
const SMALLEST_PAGE: usize = 25;
/// After so many complete listings larger pages are tried again.
const LISTINGS: u32 = 12;

/// A read that takes many names at once.
pub trait Query: Send + Sync + 'static {
    /// What there is to know of one.
    type Answer: Clone + Send + 'static;

    /// The size of the largest page of a listing.
    const LARGEST_PAGE: usize;

    /// Asks for a few names. Names that do not exist may be left out of the
    /// answer, or fail the request with [`Kind::NotFound`].
    fn ask(
        &self,
        names: &[String],
    ) -> impl Future<Output = Result<BTreeMap<String, Self::Answer>, Failure>> + Send;

    /// A page of all that the region has, and where the next one begins.
    fn list(
        &self,
        size: usize,
        marker: Option<String>,
    ) -> impl Future<Output = Result<Page<Self::Answer>, Failure>> + Send;

    /// What to say of a name that the answer leaves out, and of one whose
    /// request ended without an answer.
    fn failure(&self, kind: Kind, words: &str) -> Failure;
}

/// A page of a listing, and the marker of the next one.
pub type Page<A> = (BTreeMap<String, A>, Option<String>);

/// Joins the reads of one region. A task for each batch asks and hands out the
/// answers as they come; when its caller goes away it goes on for the others,
/// and when it dies its callers notice. Dropping the joiner ends them all.
pub struct Joiner<Q: Query> {
    inner: Arc<Inner<Q>>,
    tasks: Mutex<JoinSet<()>>,
}

struct Inner<Q: Query> {
    query: Q,
    /// The batch that can be joined; its task keeps it.
    open: Mutex<Weak<Batch<Q::Answer>>>,
    /// Held by the batch that waits for its first answer.
    asking: Semaphore,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// Names that failed alone, until they are answered again. They are asked
    /// for alone.
    suspects: BTreeSet<String>,
    /// The largest page that was answered in time.
    page: usize,
    /// Complete listings with pages of this size.
    listings: u32,
}

type Waiter<A> = oneshot::Sender<Result<A, Failure>>;
type Waiters<A> = BTreeMap<String, Vec<Waiter<A>>>;
type Batch<A> = Mutex<Waiters<A>>;

impl<Q: Query> Joiner<Q> {
    /// Asks nothing yet.
    pub fn new(query: Q) -> Self {
        let inner = Inner {
            query,
            open: Mutex::default(),
            asking: Semaphore::new(1),
            memory: Mutex::new(Memory {
                suspects: BTreeSet::new(),
                page: Q::LARGEST_PAGE,
                listings: 0,
            }),
        };
        Self {
            inner: Arc::new(inner),
            tasks: Mutex::default(),
        }
    }

    /// The query that is joined.
    pub fn query(&self) -> &Q {
        &self.inner.query
    }

    /// Asks for one name, together with whoever else asks now. The answer is
    /// never from before the call.
    pub async fn ask(&self, name: &str) -> Result<Q::Answer, Failure> {
        let (waiter, answer) = oneshot::channel();
        self.join(name, waiter);
        answer.await.unwrap_or_else(|_| {
            let words = "the joint request ended without an answer";
            Err(self.inner.query.failure(Kind::Unanswered, words))
        })
    }

    fn join(&self, name: &str, waiter: Waiter<Q::Answer>) {
        let mut open = lock(&self.inner.open);
        let batch = open.upgrade().unwrap_or_else(|| {
            let batch = Arc::new(Batch::default());
            *open = Arc::downgrade(&batch);
            let mut tasks = lock(&self.tasks);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(self.inner.clone().run(batch.clone()));
            batch
        });
        lock(&batch)
            .entry(name.to_owned())
            .or_default()
            .push(waiter);
    }
}

impl<Q: Query> Inner<Q> {
    async fn run(self: Arc<Self>, batch: Arc<Batch<Q::Answer>>) {
        gather(&batch).await;
        // An error says that it took too long: then it goes without.
        let asking = timeout(BEHIND, self.asking.acquire()).await;
        let asking = asking.ok().and_then(Result::ok);
        let waiters = self.close(&batch);
        if waiters.len() > BY_NAME {
            self.ask_for_all(waiters).await;
        } else {
            self.ask_by_name(waiters, asking).await;
        }
    }

    /// From here on nobody can join.
    fn close(&self, batch: &Batch<Q::Answer>) -> Waiters<Q::Answer> {
        let mut open = lock(&self.open);
        *open = Weak::new();
        std::mem::take(&mut lock(batch))
    }

    /// Lists all that the region has, and selects from that.
    async fn ask_for_all(&self, mut waiters: Waiters<Q::Answer>) {
        let listed = self.list(&waiters).await;
        let names: Vec<String> = waiters.keys().cloned().collect();
        match listed {
            Ok(found) => self.answer(&mut waiters, names, found),
            Err(failure) => fail(&mut waiters, names, &failure),
        }
    }

    /// Those of the listing that are waited for. A page that is not answered
    /// in time is asked for again, smaller.
    async fn list(
        &self,
        waiters: &Waiters<Q::Answer>,
    ) -> Result<BTreeMap<String, Q::Answer>, Failure> {
        let (mut found, mut marker) = (BTreeMap::new(), None);
        let first = lock(&self.memory).page;
        let mut size = first;
        loop {
            match self.query.list(size, marker.clone()).await {
                Ok((page, next)) => {
                    let wanted = page.into_iter();
                    found.extend(wanted.filter(|(name, _)| waiters.contains_key(name)));
                    if next.is_none() {
                        break;
                    }
                    if next == marker {
                        let words = "the pages of the answer do not end";
                        return Err(self.query.failure(Kind::Unanswered, words));
                    }
                    marker = next;
                }
                Err(failure) if failure.is_timeout() && size > SMALLEST_PAGE => {
                    size = (size / 2).max(SMALLEST_PAGE);
                    lock(&self.memory).shrink(size);
                }
                Err(failure) => return Err(failure),
            }
        }
        if size == first {
            lock(&self.memory).listed(Q::LARGEST_PAGE);
        }
        Ok(found)
    }

    /// Asks for the names in one request, and for suspects alone. If the
    /// request fails because of one of the names, each is asked for alone.
    async fn ask_by_name(
        &self,
        mut waiters: Waiters<Q::Answer>,
        asking: Option<SemaphorePermit<'_>>,
    ) {
        let (alone, together): (Vec<_>, Vec<_>) = {
            let memory = lock(&self.memory);
            let names = waiters.keys().cloned();
            names.partition(|name| memory.suspects.contains(name))
        };
        // Suspects make no other batch wait.
        let mut asking = asking.filter(|_| !together.is_empty());
        let together = Some(together).filter(|names| !names.is_empty());
        let alone = alone.into_iter().map(|name| vec![name]);
        let requests = together.into_iter().chain(alone);
        let mut running: FuturesUnordered<_> = requests.map(|names| self.send(names)).collect();
        let (mut works, mut failed) = (false, Vec::new());
        while let Some((names, answer)) = running.next().await {
            drop(asking.take());
            match answer {
                Ok(found) => {
                    works = true;
                    self.answer(&mut waiters, names, found);
                }
                Err(failure) if names.len() > 1 && may_be_a_name(&failure) => {
                    let alone = names.into_iter().map(|name| self.send(vec![name]));
                    running.extend(alone);
                }
                Err(failure) => {
                    works |= failure.kind == Kind::NotFound;
                    if may_be_a_name(&failure) {
                        failed.extend(names.clone());
                    }
                    fail(&mut waiters, names, &failure);
                }
            }
        }
        // Where nobody was answered it is the service, not the names.
        if works {
            lock(&self.memory).suspects.extend(failed);
        }
    }

    async fn send(
        &self,
        names: Vec<String>,
    ) -> (Vec<String>, Result<BTreeMap<String, Q::Answer>, Failure>) {
        let answer = self.query.ask(&names).await;
        (names, answer)
    }

    /// A name that is not in the answer does not exist.
    fn answer(
        &self,
        waiters: &mut Waiters<Q::Answer>,
        names: Vec<String>,
        mut found: BTreeMap<String, Q::Answer>,
    ) {
        for name in names {
            let verdict = found.remove(&name).ok_or_else(|| {
                let words = "AWS's answer leaves it out";
                self.query.failure(Kind::NotFound, words)
            });
            if verdict.is_ok() {
                lock(&self.memory).suspects.remove(&name);
            }
            tell(waiters, &name, &verdict);
        }
    }
}

impl Memory {
    /// Pages of the size before are not answered in time.
    fn shrink(&mut self, page: usize) {
        self.page = page;
        self.listings = 0;
    }

    /// A listing is complete: the size grows again, slowly.
    fn listed(&mut self, largest: usize) {
        self.listings += 1;
        if self.listings >= LISTINGS {
            self.page = (self.page * 2).min(largest);
            self.listings = 0;
        }
    }
}

fn fail<A: Clone>(waiters: &mut Waiters<A>, names: Vec<String>, failure: &Failure) {
    for name in names {
        tell(waiters, &name, &Err(failure.clone()));
    }
}

fn tell<A: Clone>(waiters: &mut Waiters<A>, name: &str, verdict: &Result<A, Failure>) {
    for waiter in waiters.remove(name).unwrap_or_default() {
        // Whoever has gone away needs no answer.
        let _ = waiter.send(verdict.clone());
    }
}

/// Whether one of the names may be the cause.
fn may_be_a_name(failure: &Failure) -> bool {
    match failure.kind {
        Kind::NotFound | Kind::Unanswered | Kind::Rejected => true,
        Kind::Throttled | Kind::Denied | Kind::Unreachable => false,
    }
}

/// Waits while others come.
async fn gather<A>(batch: &Batch<A>) {
    let started = Instant::now();
    let count = || lock(batch).values().map(Vec::len).sum::<usize>();
    let mut seen = 0;
    while count() > seen && started.elapsed() < OPEN {
        seen = count();
        sleep(if seen > CROWD { QUIET_CROWD } else { QUIET }).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
