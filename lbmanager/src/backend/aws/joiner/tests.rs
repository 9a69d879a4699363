use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::{Joiner, Page, Query, lock};
use crate::backend::aws::{Failure, Kind};

/// Answers a name with how often it was asked before. Names that start with
/// `hang`, `gone`, `panic` or `held` make a request do so.
#[derive(Clone, Default)]
struct Service(Arc<State>);

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Vec<String>>>,
    /// What a listing finds, sorted.
    all: Mutex<Vec<String>>,
    /// The sizes of the pages that were asked for.
    pages: Mutex<Vec<usize>>,
    /// Larger pages are not answered in time.
    slow_above: Mutex<Option<usize>>,
    release: Notify,
}

const DEADLINE: Duration = Duration::from_secs(2);

impl Query for Service {
    type Answer = usize;

    const LARGEST_PAGE: usize = 400;

    async fn ask(&self, names: &[String]) -> Result<BTreeMap<String, usize>, Failure> {
        lock(&self.0.requests).push(names.to_vec());
        let first = |start: &str| names.iter().find(|name| name.starts_with(start));
        assert!(first("panic").is_none(), "as it was told to");
        if first("held").is_some() {
            self.0.release.notified().await;
        }
        if first("hang").is_some() {
            sleep(DEADLINE).await;
            return Err(self.failure(Kind::Unanswered, "no answer"));
        }
        if let Some(name) = first("gone") {
            let message = format!("There is no ACTIVE Load Balancer named '{name}'");
            return Err(Failure::sample(
                Kind::NotFound,
                "LoadBalancerNotFound",
                &message,
            ));
        }
        let asked = |name: &String| self.requests_for(name).len() - 1;
        Ok(names
            .iter()
            .map(|name| (name.clone(), asked(name)))
            .collect())
    }

    async fn list(&self, size: usize, marker: Option<String>) -> Result<Page<usize>, Failure> {
        lock(&self.0.pages).push(size);
        if lock(&self.0.slow_above).is_some_and(|most| size > most) {
            sleep(DEADLINE).await;
            return Err(self.failure(Kind::Unanswered, "no answer"));
        }
        let all = lock(&self.0.all).clone();
        let after = |name: &&String| marker.as_ref().is_none_or(|marker| *name > marker);
        let page: Vec<String> = all.iter().filter(after).take(size).cloned().collect();
        let next = page
            .last()
            .filter(|last| Some(*last) != all.last())
            .cloned();
        Ok((page.into_iter().map(|name| (name, 0)).collect(), next))
    }

    fn failure(&self, kind: Kind, words: &str) -> Failure {
        let mut failure = Failure::sample(kind, "", words);
        failure.code = None;
        failure
    }
}

impl Service {
    fn requests(&self) -> Vec<Vec<String>> {
        lock(&self.0.requests).clone()
    }

    fn requests_for(&self, name: &str) -> Vec<Vec<String>> {
        let mut requests = self.requests();
        requests.retain(|names| names.iter().any(|asked| asked == name));
        requests
    }

    fn pages(&self) -> Vec<usize> {
        std::mem::take(&mut lock(&self.0.pages))
    }

    async fn wait_for_requests(&self, count: usize) {
        while lock(&self.0.requests).len() < count {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn joiner() -> (Arc<Joiner<Service>>, Service) {
    let service = Service::default();
    (Arc::new(Joiner::new(service.clone())), service)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("lb{i:04}")).collect()
}

#[tokio::test(start_paused = true)]
async fn who_asks_together_is_asked_for_together() {
    let (joiner, service) = joiner();
    for count in [1, 20] {
        let names = names(count);
        let answers = join_all(names.iter().map(|name| joiner.ask(name))).await;
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        assert_eq!(service.requests().pop().unwrap(), names);
    }
    assert_eq!(service.requests().len(), 2);
}

/// Asks for all of these; how many were not found.
async fn ask_all(joiner: &Joiner<Service>, names: &[String]) -> usize {
    let answers = join_all(names.iter().map(|name| joiner.ask(name))).await;
    let missing = answers.into_iter().filter_map(Result::err);
    let missing = missing.inspect(|failure| assert_eq!(failure.kind, Kind::NotFound));
    missing.count()
}

#[tokio::test(start_paused = true)]
async fn for_many_the_region_is_listed_and_no_name_fails_it() {
    let (joiner, service) = joiner();
    *lock(&service.0.all) = names(1000);
    let mut asked = names(900);
    for number in 0..100 {
        asked.push(format!("gone{number}"));
        asked.push(format!("hang{number}"));
    }
    assert_eq!(ask_all(&joiner, &asked).await, 200);
    assert_eq!(service.pages(), [400, 400, 400]);
    assert!(service.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_size_of_a_page_that_is_answered_is_remembered_and_grows_again() {
    let (joiner, service) = joiner();
    let names = names(100);
    *lock(&service.0.all) = names.clone();
    *lock(&service.0.slow_above) = Some(60);
    assert_eq!(ask_all(&joiner, &names).await, 0);
    assert_eq!(service.pages(), [400, 200, 100, 50, 50]);
    let start = Instant::now();
    for _ in 0..super::LISTINGS {
        assert_eq!(ask_all(&joiner, &names).await, 0);
        assert_eq!(service.pages(), [50, 50]);
    }
    assert!(start.elapsed() < DEADLINE, "no page was given up");
    assert_eq!(ask_all(&joiner, &names).await, 0);
    assert_eq!(service.pages(), [100, 50, 50]);
    *lock(&service.0.slow_above) = None;
    for _ in 0..4 * super::LISTINGS {
        assert_eq!(ask_all(&joiner, &names).await, 0);
    }
    assert_eq!(service.pages().pop(), Some(400));
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_a_listing() {
    let (joiner, service) = joiner();
    *lock(&service.0.slow_above) = Some(0);
    let names = names(100);
    let answers = join_all(names.iter().map(|name| joiner.ask(name))).await;
    assert!(answers.into_iter().all(|answer| answer.is_err()));
    assert_eq!(service.pages(), [400, 200, 100, 50, 25]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_the_same_shares_the_answer() {
    let (joiner, service) = joiner();
    let answers = join_all((0..5).map(|_| joiner.ask("web"))).await;
    assert_eq!(answers, vec![Ok(0); 5]);
    assert_eq!(service.requests(), [["web"]]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_never_from_before_the_call() {
    let (joiner, service) = joiner();
    let first = tokio::spawn({
        let joiner = joiner.clone();
        async move { tokio::join!(joiner.ask("web"), joiner.ask("held")) }
    });
    service.wait_for_requests(1).await;
    let second = joiner.ask("web").await;
    assert_eq!(second, Ok(1), "asked again though a request was on its way");
    service.0.release.notify_one();
    assert!(first.await.unwrap().0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_batch_grows_while_another_waits_but_not_for_ever() {
    let (joiner, service) = joiner();
    let held = tokio::spawn({
        let joiner = joiner.clone();
        async move { joiner.ask("held").await }
    });
    service.wait_for_requests(1).await;
    let start = Instant::now();
    let late = async {
        sleep(Duration::from_millis(50)).await;
        joiner.ask("late").await
    };
    let (early, late) = tokio::join!(joiner.ask("early"), late);
    assert_eq!((early, late), (Ok(0), Ok(0)));
    assert!(start.elapsed() < Duration::from_millis(150));
    assert_eq!(service.requests().len(), 2);
    service.0.release.notify_one();
    assert_eq!(held.await.unwrap(), Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_strands_nobody() {
    let (joiner, _) = joiner();
    let mut gone = Box::pin(joiner.ask("first"));
    assert!(futures::poll!(&mut gone).is_pending());
    let stays = joiner.ask("second");
    drop(gone);
    assert_eq!(stays.await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_dies_is_noticed_and_the_next_one_works() {
    let (joiner, _) = joiner();
    let failure = joiner.ask("panic").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unanswered);
    assert_eq!(joiner.ask("web").await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_joiner_ends_what_runs() {
    let (joiner, service) = joiner();
    let mut asks = Box::pin(joiner.ask("held"));
    assert!(futures::poll!(&mut asks).is_pending());
    service.wait_for_requests(1).await;
    drop(asks);
    drop(joiner);
    let ended = async {
        while Arc::strong_count(&service.0) > 1 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(1), ended).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_hangs_is_asked_alone_from_then_on() {
    let (joiner, service) = joiner();
    let mut names = names(8);
    names.push("hang".to_owned());
    let ask_all = || join_all(names.iter().map(|name| joiner.ask(name)));
    let answers = ask_all().await;
    assert!(answers[..8].iter().all(Result::is_ok));
    assert!(answers[8].is_err());

    let start = Instant::now();
    let hang = joiner.ask("hang");
    let others = async {
        let answers = join_all(names[..8].iter().map(|name| joiner.ask(name))).await;
        assert!(answers.into_iter().all(|answer| answer.is_ok()));
        start.elapsed()
    };
    let (hang, took) = tokio::join!(hang, others);
    assert!(hang.is_err());
    assert!(took < Duration::from_millis(100), "{took:?}");
    let last = service.requests_for("hang").pop().unwrap();
    assert_eq!(last, ["hang"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_is_asked_alone_from_then_on() {
    let (joiner, service) = joiner();
    let mut names = names(8);
    names.push("gone".to_owned());
    // Together, then each alone; the next time it alone is asked alone.
    for requests in [10, 12] {
        let answers = join_all(names.iter().map(|name| joiner.ask(name))).await;
        assert!(answers[..8].iter().all(Result::is_ok));
        let failure = answers[8].clone().unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound);
        assert_eq!(service.requests().len(), requests);
    }
    assert_eq!(service.requests_for("gone").pop().unwrap(), ["gone"]);
}

#[tokio::test(start_paused = true)]
async fn suspects_alone_do_not_make_the_next_batch_wait() {
    let (joiner, service) = joiner();
    let (web, hang) = tokio::join!(joiner.ask("web"), joiner.ask("hang"));
    assert!(web.is_ok() && hang.is_err());

    let before = service.requests().len();
    let hang = async { joiner.ask("hang").await };
    let web = async {
        service.wait_for_requests(before + 1).await;
        let start = Instant::now();
        assert!(joiner.ask("web").await.is_ok());
        start.elapsed()
    };
    let (hang, took) = tokio::join!(hang, web);
    assert!(hang.is_err());
    assert!(took < Duration::from_millis(10), "{took:?}");
}
