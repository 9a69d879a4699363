//! Joins reads that come together into one request, and keeps what makes
//! requests fail from holding up the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::future::OptionFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::error::{Failure, Kind};
use super::search::{Refusal, Request, Search};

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
/// So many suspects are asked for at a time: each is a call, and the others
/// are not to wait for their turn behind all of them.
const SUSPECTS: usize = 4;

/// A read that takes many names at once.
pub trait Query: Send + Sync + 'static {
    /// What there is to know of one.
    type Answer: Clone + Send + 'static;

    /// How many names one request takes.
    const MOST: usize;

    /// Asks. Names that do not exist may be left out of the answer, or fail
    /// the request with [`Kind::NotFound`].
    fn ask(
        &self,
        names: &[String],
    ) -> impl Future<Output = Result<BTreeMap<String, Self::Answer>, Failure>> + Send;

    /// What to say of a name that the answer leaves out, and of one whose
    /// request ended without an answer.
    fn failure(&self, kind: Kind, words: &str) -> Failure;
}

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
    suspects: Semaphore,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Names that failed alone, until they are answered again.
    suspects: BTreeSet<String>,
    turn: usize,
}

type Waiter<A> = oneshot::Sender<Result<A, Failure>>;
type Batch<A> = Mutex<BTreeMap<String, Vec<Waiter<A>>>>;

impl<Q: Query> Joiner<Q> {
    /// Asks nothing yet.
    pub fn new(query: Q) -> Self {
        let inner = Inner {
            query,
            open: Mutex::default(),
            asking: Semaphore::new(1),
            suspects: Semaphore::new(SUSPECTS),
            memory: Mutex::default(),
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
        let mut asking = timeout(BEHIND, self.asking.acquire()).await.ok();
        let mut waiters = self.close(&batch);
        let (mut search, requests) = self.search(waiters.keys().cloned());
        if requests.iter().all(Request::is_suspect) {
            drop(asking.take());
        }
        let mut running: FuturesUnordered<_> = requests
            .into_iter()
            .map(|request| self.send(request))
            .collect();
        while let Some((request, answer)) = running.next().await {
            drop(asking.take());
            let absent = |_: &str| {
                let words = "AWS's answer leaves it out";
                self.query.failure(Kind::NotFound, words)
            };
            let step = search.answered(request, answer, absent);
            for (name, verdict) in step.verdicts {
                self.remember(&name, &verdict);
                for waiter in waiters.remove(&name).unwrap_or_default() {
                    // Whoever has gone away needs no answer.
                    let _ = waiter.send(verdict.clone());
                }
            }
            running.extend(step.requests.into_iter().map(|request| self.send(request)));
        }
        lock(&self.memory).suspects.extend(search.suspects());
    }

    /// From here on nobody can join.
    fn close(&self, batch: &Batch<Q::Answer>) -> BTreeMap<String, Vec<Waiter<Q::Answer>>> {
        let mut open = lock(&self.open);
        *open = Weak::new();
        std::mem::take(&mut lock(batch))
    }

    fn search(&self, names: impl Iterator<Item = String>) -> (Search<Failure>, Vec<Request>) {
        let mut memory = lock(&self.memory);
        memory.turn = memory.turn.wrapping_add(1);
        Search::start(names, &memory.suspects, Q::MOST, memory.turn)
    }

    async fn send(
        &self,
        request: Request,
    ) -> (
        Request,
        Result<BTreeMap<String, Q::Answer>, Refusal<Failure>>,
    ) {
        let turn = request.is_suspect().then(|| self.suspects.acquire());
        // Held to the end; it is never closed.
        let _turn = OptionFuture::from(turn).await;
        let answer = self.query.ask(&request.names).await;
        let answer = answer.map_err(|failure| refusal(failure, &request.names));
        (request, answer)
    }

    /// That a name does not exist needs no second opinion to be asked alone.
    fn remember(&self, name: &str, verdict: &Result<Q::Answer, Failure>) {
        let mut memory = lock(&self.memory);
        match verdict {
            Ok(_) => _ = memory.suspects.remove(name),
            Err(failure) if failure.kind == Kind::NotFound => {
                memory.suspects.insert(name.to_owned());
            }
            Err(_) => {}
        }
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

fn refusal(failure: Failure, names: &[String]) -> Refusal<Failure> {
    match failure.kind {
        Kind::NotFound => {
            let message = failure.message.as_deref().unwrap_or_default();
            Refusal::Missing(named(message, names), failure)
        }
        Kind::Throttled | Kind::Denied | Kind::Unreachable => Refusal::Everyone(failure),
        Kind::Unanswered | Kind::Rejected => Refusal::Unclear(failure),
    }
}

/// Those of the names that a message quotes, as AWS does: `'web'`.
fn named(message: &str, names: &[String]) -> Vec<String> {
    let quoted = |name: &&String| message.contains(&format!("'{name}'"));
    names.iter().filter(quoted).cloned().collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
