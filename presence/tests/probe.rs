//! Probes of real servers and real processes.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;
use std::time::{Duration, Instant};

use presence::probe::{Body, Expected, Outcome, Probe, Target};
use testbed::proxy::{Mode, Proxy};
use testbed::wait;
use testbed::web::{Act, Web};

const LIMIT: Duration = Duration::from_millis(500);
/// Where no answer is to be waited out.
const LONG: Duration = Duration::from_secs(20);

async fn ask(url: &str, expected: Expected, limit: Duration) -> Outcome {
    let target = Target::parse(url, expected).unwrap();
    Probe::new(target, limit).attempt().await
}

async fn plain(url: &str) -> Outcome {
    ask(url, Expected::default(), LONG).await
}

#[track_caller]
fn is(outcome: &Outcome, is_up: bool, words: &str) {
    assert_eq!((outcome.is_up, outcome.words.as_str()), (is_up, words));
}

#[tokio::test]
async fn only_2xx_is_up() {
    let web = Web::start().await.unwrap();
    is(&plain(&web.url()).await, true, "200 OK");
    for (status, is_up, words) in [
        (204, true, "204 No Content"),
        (299, true, "299 <unknown status code>"),
        (404, false, "404 Not Found, 200-299 is expected"),
        (500, false, "500 Internal Server Error, 200-299 is expected"),
        (304, false, "304 Not Modified, 200-299 is expected"),
    ] {
        web.set(Act::Answer(status, String::new()));
        is(&plain(&web.url()).await, is_up, words);
    }
    let expected = || Expected {
        statuses: Some("401,404".parse().unwrap()),
        ..Expected::default()
    };
    web.set(Act::Answer(404, String::new()));
    assert!(ask(&web.url(), expected(), LONG).await.is_up);
    web.set(Act::Answer(200, String::new()));
    let outcome = ask(&web.url(), expected(), LONG).await;
    is(&outcome, false, "200 OK, 401,404 is expected");
}

#[tokio::test]
async fn redirects_are_followed_only_if_asked() {
    let web = Web::start().await.unwrap();
    web.set(Act::Redirect("/ok".to_owned()));
    let words = "302 Found to /ok, which is not followed, 200-299 is expected";
    is(&plain(&web.url()).await, false, words);
    let following = || Expected {
        follow_redirects: true,
        ..Expected::default()
    };
    is(&ask(&web.url(), following(), LONG).await, true, "200 OK");
    web.set(Act::Redirect("/again".to_owned()));
    let outcome = ask(&web.url(), following(), LONG).await;
    is(&outcome, false, "too many redirects");
}

#[tokio::test]
async fn silence_and_broken_answers_are_down() {
    let web = Web::start().await.unwrap();
    let proxy = Proxy::start(&web.url()).await.unwrap();
    let soon = async || ask(&proxy.url(), Expected::default(), LIMIT).await;
    let silence = "no answer within 500ms";
    for act in [Act::Hang, Act::Slow(LIMIT * 20)] {
        web.set(act);
        is(&soon().await, false, silence);
    }
    web.set(Act::Slow(Duration::from_millis(20)));
    is(&plain(&proxy.url()).await, true, "200 OK");
    web.set(Act::Drop);
    let dropped = plain(&proxy.url()).await;
    is(
        &dropped,
        false,
        "connection closed before message completed",
    );
    proxy.set(Mode::BlackHole).await.unwrap();
    is(&soon().await, false, silence);
    proxy.set(Mode::Refuse).await.unwrap();
    let refused = plain(&proxy.url()).await;
    is(&refused, false, "Connection refused (os error 111)");
}

#[tokio::test]
async fn a_body_is_read_where_it_matters_and_never_without_end() {
    let web = Web::start().await.unwrap();
    let having = |pattern: &str| Expected {
        body: Some(pattern.parse().unwrap()),
        ..Expected::default()
    };
    web.set(Act::Answer(200, "all is well".to_owned()));
    assert!(ask(&web.url(), having("is (well|good)$"), LONG).await.is_up);
    let outcome = ask(&web.url(), having("^is"), LONG).await;
    let words = "200 OK, but the body does not match \"^is\": \"all is well\"";
    is(&outcome, false, words);
    web.set(Act::Endless);
    assert!(plain(&web.url()).await.is_up, "nobody reads it");
    assert!(ask(&web.url(), having("xxx"), LONG).await.is_up);
    let outcome = ask(&web.url(), having("y"), LONG).await;
    assert!(outcome.words.ends_with("… (65536 bytes)\""), "{outcome}");
    web.set(Act::Cut);
    let outcome = ask(&web.url(), having("beginning"), LONG).await;
    assert!(!outcome.is_up, "{outcome}");
    let start = "200 OK, but the body cannot be read: ";
    assert!(outcome.words.starts_with(start), "{outcome}");
}

#[tokio::test]
async fn up_is_said_in_json() {
    let web = Web::start().await.unwrap();
    let up = || Expected {
        body: Some(Body::Up),
        ..Expected::default()
    };
    web.set(Act::Answer(200, "{\"status\":\"UP\"}".to_owned()));
    let outcome = ask(&web.url(), up(), LONG).await;
    is(&outcome, true, "200 OK, status is \"UP\"");
    web.set(Act::Answer(503, "{\"status\":\"up\"}".to_owned()));
    assert!(!ask(&web.url(), up(), LONG).await.is_up);
}

#[tokio::test]
async fn tcp_is_up_where_somebody_takes_connections() {
    let web = Web::start().await.unwrap();
    let port = web.address().port();
    web.set(Act::Drop);
    for host in ["127.0.0.1", "localhost"] {
        is(
            &plain(&format!("tcp://{host}:{port}")).await,
            true,
            "connected",
        );
    }
    let free = testbed::ports::free().unwrap();
    let outcome = plain(&format!("tcp://127.0.0.1:{free}")).await;
    is(&outcome, false, "Connection refused (os error 111)");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_gone_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let path = pids.display();
    let script = format!("exec:sleep 1000 & echo $! >{path}; echo $$ >>{path}; wait");
    let begin = Instant::now();
    let outcome = ask(&script, Expected::default(), Duration::from_secs(2)).await;
    is(&outcome, false, "no answer within 2s");
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
    let pids = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(pids.lines().count(), 2, "{pids}");
    for pid in pids.lines() {
        // One that nobody has waited for yet is dead all the same.
        let gone = || async {
            let status = Path::new("/proc").join(pid).join("stat");
            let status = std::fs::read_to_string(status).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        };
        wait::until_true("the process to be gone", LONG, gone)
            .await
            .unwrap();
    }
}
