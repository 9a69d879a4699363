//! `watch`: what it makes of a service, and whose key it is.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::json;
use testbed::certs::Certificates;
use testbed::http;
use testbed::process::{Running, Signal};
use testbed::proxy::{Mode, Proxy};
use testbed::wait;
use testbed::web::{Act, Web};

use crate::rig::{HOST, Rig, SOON, key, terminate};

/// For tests that wait for many verdicts.
const FAST: [&str; 2] = ["--interval=200ms", "--timeout=400ms"];

async fn is_published(running: &Running) {
    let said = |line: &str| line.contains(" is published, at revision");
    running.wait_for_line(said, SOON).await.unwrap();
}

#[tokio::test]
async fn the_key_says_what_is_known_and_goes_with_the_watch() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let more = [
        "--port=8080",
        "--service-info=zone=a",
        "--service-info=query=x=1&y=2",
    ];
    let mut watch = rig.watch("web-1", &web.url(), &more).await;
    rig.put("web-2", "10.0.0.8", "up").await;
    rig.until("web-1", "up").await;
    let value = rig.value("web-1").await.unwrap();
    let expected = json!({
        "host": HOST, "port": 8080, "service_id": "web-1", "state": "up",
        "info": {"zone": "a", "query": "x=1&y=2"}, "since": value["since"],
    });
    assert_eq!(value, expected);
    let answer = rig.etcd.etcdctl(&["get", "-w=json", &key("web-1")]).await;
    let answer: serde_json::Value = serde_json::from_str(&answer.unwrap()).unwrap();
    let lease = answer["kvs"][0]["lease"].as_i64().unwrap();
    assert_eq!(rig.etcd.leases().await.unwrap(), [lease]);
    rig.until_listed("10.0.0.7:8080,10.0.0.8\n", SOON).await;
    terminate(&mut watch).await;
    assert_eq!(rig.value("web-1").await, None);
    rig.until_listed("10.0.0.8\n", SOON).await;
}

#[tokio::test]
async fn whatever_is_not_2xx_is_down() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let watch = rig.watch("web-1", &web.url(), &FAST).await;
    for act in [
        Act::Answer(404, String::new()),
        Act::Answer(500, String::new()),
        Act::Redirect("/ok".to_owned()),
        Act::Hang,
        Act::Slow(Duration::from_secs(5)),
        Act::Drop,
    ] {
        web.set(Act::Answer(200, String::new()));
        rig.until("web-1", "up").await;
        web.set(act);
        rig.until("web-1", "down").await;
        rig.until_listed("", SOON).await;
    }
    web.set(Act::Slow(Duration::from_millis(20)));
    rig.until("web-1", "up").await;
    let downs = watch.lines().into_iter().map(|line| line.text);
    let downs: Vec<String> = downs
        .filter(|line| line.contains("service is down"))
        .collect();
    for (line, words) in downs.iter().zip([
        "404 Not Found, 200-299 is expected",
        "500 Internal Server Error, 200-299 is expected",
        "302 Found to /ok, which is not followed",
        "no answer within 400ms",
        "no answer within 400ms",
        "connection closed before message completed",
    ]) {
        assert!(line.contains(words), "{line}");
    }
    assert_eq!(downs.len(), 6, "{downs:?}");
}

#[tokio::test]
async fn tcp_and_commands_are_probed_as_well_and_redirects_followed_if_asked() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let flag = root.path().join("ready");
    let tcp = format!("tcp://{}", web.address());
    let exec = format!("exec:test -e {}", flag.display());
    web.set(Act::Redirect("/ok".to_owned()));
    let _tcp = rig.watch("tcp", &tcp, &FAST).await;
    let _exec = rig.watch("exec", &exec, &FAST).await;
    let following = [&FAST[..], &["--follow-redirects"]].concat();
    let _http = rig.watch("http", &web.url(), &following).await;
    rig.until("tcp", "up").await;
    rig.until("http", "up").await;
    rig.until("exec", "down").await;
    std::fs::write(&flag, "").unwrap();
    rig.until("exec", "up").await;
    drop(web);
    rig.until("tcp", "down").await;
    rig.until("http", "down").await;
}

#[tokio::test]
async fn https_counts_where_the_certificate_is_trusted() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(root.path()).unwrap();
    let web = Web::start_tls(&certificates).await.unwrap();
    let trusting = rig.watch_program("web-1", &web.url(), &FAST);
    let trusting = trusting.env("SSL_CERT_FILE", &certificates.ca);
    let _trusting = trusting.start().await.unwrap();
    let other = rig.watch_program("web-2", &web.url(), &FAST);
    let other = other.env("SSL_CERT_FILE", &certificates.other_ca);
    let other = other.start().await.unwrap();
    rig.until("web-1", "up").await;
    rig.until("web-2", "down").await;
    let why = |line: &str| line.contains("the service is down: invalid peer certificate");
    other.wait_for_line(why, SOON).await.unwrap();
}

#[tokio::test]
async fn rise_and_fall_are_counted() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    web.set(Act::Answer(503, String::new()));
    let more = [&FAST[..], &["--rise=3", "--fall=4"]].concat();
    let _watch = rig.watch("web-1", &web.url(), &more).await;
    rig.until("web-1", "down").await;
    assert!(web.requests() >= 4, "{}", web.requests());
    let before = web.requests();
    web.set(Act::Answer(200, String::new()));
    rig.until("web-1", "up").await;
    assert!(web.requests() - before >= 3);
}

/// The times that the prior system's own test expected, with its defaults.
#[tokio::test]
async fn by_default_a_dead_service_is_listed_for_9_s_and_that_of_a_killed_watch_for_12_s() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let proxy = Proxy::start(&web.url()).await.unwrap();
    let _watch = rig.watch("web-1", &proxy.url(), &["--port=1"]).await;
    let mut killed = rig.watch("web-2", &web.url(), &["--port=2"]).await;
    rig.until_listed("10.0.0.7:1,10.0.0.7:2\n", SOON).await;
    let death = async {
        proxy.set(Mode::Refuse).await.unwrap();
        gone(&rig, "10.0.0.7:1", Duration::from_secs(9)).await;
    };
    let kill = async {
        killed.kill().await.unwrap();
        gone(&rig, "10.0.0.7:2", Duration::from_secs(12)).await;
    };
    tokio::join!(death, kill);
}

async fn gone(rig: &Rig, address: &str, limit: Duration) {
    wait::until(&format!("{address} to be gone"), limit, || async {
        let listed = rig.ok(&["hosts", "--label=web"]).await;
        if listed.contains(address) {
            return Err(listed);
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_signal_at_any_time_leaves_no_key_and_is_no_failure() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    for round in 0..20_u64 {
        let mut watch = rig.watch("web-1", &web.url(), &FAST).await;
        // Before, in and after its first steps; nothing is awaited.
        tokio::time::sleep(Duration::from_millis(round * 15)).await;
        watch.signal(Signal::SIGTERM).unwrap();
        let status = watch.wait(SOON).await.unwrap();
        // At its very beginning the system's own answer is as good.
        let early = status.signal() == Some(Signal::SIGTERM as i32);
        assert!(
            status.success() || early,
            "{status}: {}",
            watch.last_words()
        );
        assert_eq!(rig.value("web-1").await, None, "{}", watch.last_words());
    }
}

#[tokio::test]
async fn two_instances_on_one_host_do_not_touch_each_other() {
    let rig = Rig::start().await;
    let (one, two) = (Web::start().await.unwrap(), Web::start().await.unwrap());
    let mut first = rig.watch("web-1", &one.url(), &["--port=1"]).await;
    let mut second = rig.watch("web-2", &two.url(), &["--port=2"]).await;
    rig.until_listed("10.0.0.7:1,10.0.0.7:2\n", SOON).await;
    terminate(&mut first).await;
    rig.until_listed("10.0.0.7:2\n", SOON).await;
    terminate(&mut second).await;
    rig.until_listed("", SOON).await;
}

#[tokio::test]
async fn whoever_came_later_has_the_key_and_the_earlier_one_leaves_it_alone() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let mut old = rig.watch("web-1", &web.url(), &["--port=1"]).await;
    rig.until_listed("10.0.0.7:1\n", SOON).await;
    let mut new = rig.watch("web-1", &web.url(), &["--port=2"]).await;
    rig.until_listed("10.0.0.7:2\n", SOON).await;
    let stands_by = |line: &str| line.contains("standing by");
    old.wait_for_line(stands_by, SOON).await.unwrap();
    terminate(&mut old).await;
    assert_eq!(rig.value("web-1").await.unwrap()["port"], 2);
    terminate(&mut new).await;
    assert_eq!(rig.value("web-1").await, None);
}

#[tokio::test]
async fn a_key_that_somebody_deleted_stays_away_and_readyz_says_so() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    let address = format!("127.0.0.1:{}", testbed::ports::free().unwrap());
    let more = ["--listen", &address, "--ttl=2s", FAST[0], FAST[1]];
    let mut watch = rig.watch("web-1", &web.url(), &more).await;
    is_published(&watch).await;
    rig.etcd.del(&key("web-1")).await.unwrap();
    let ready = format!("http://{address}/readyz");
    let words = "somebody has deleted /service-monitor/web/hosts/web-1";
    wait::until("readyz to say so", SOON, || async {
        let answer = http::get(&ready).await.unwrap();
        if answer.body.contains(words) {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await
    .unwrap();
    assert_eq!(rig.value("web-1").await, None);
    assert!(!watch.has_ended());
    watch.signal(Signal::SIGINT).unwrap();
    assert!(watch.wait(SOON).await.unwrap().success());
}
