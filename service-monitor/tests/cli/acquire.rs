//! `acquire-lease` and `release-lease`.

use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::notify::NotifySocket;
use testbed::process::{Program, Running, Signal};
use testbed::wait;
use testbed::web::{Act, Web};

use crate::rig::{Answer, Rig, SOON, finish, service_monitor};

/// The key of one that holds or waits for the lease of `web`.
pub fn entry(id: &str) -> String {
    format!("/service-monitor/web/lease/queue/{id}")
}

/// What `leases` says.
pub async fn leases(rig: &Rig) -> Value {
    let json = rig.ok(&["leases", "--label=web", "--format=json"]).await;
    serde_json::from_str(&json).unwrap()
}

/// Waits until so many wait for the lease.
pub async fn until_waiting(rig: &Rig, many: usize) {
    let what = format!("{many} to wait");
    wait::until(&what, SOON, || async {
        let now = leases(rig).await;
        if now["waiting"].as_array().unwrap().len() == many {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await
    .unwrap();
}

fn acquire(rig: &Rig, id: &str, more: &[&str]) -> Program {
    rig.program(&["acquire-lease", "--label=web", "--service-id", id])
        .args(["--host-id=one"])
        .args(more)
}

async fn acquired(rig: &Rig, id: &str, more: &[&str]) -> Answer {
    let answer = finish(acquire(rig, id, more)).await;
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(answer.stdout, "");
    answer
}

async fn waiting(rig: &Rig, id: &str, more: &[&str], many: usize) -> Running {
    let running = acquire(rig, id, more).start().await.unwrap();
    until_waiting(rig, many).await;
    running
}

#[tokio::test]
async fn it_is_held_for_four_minutes_by_default() {
    let rig = Rig::start().await;
    let said = acquired(&rig, "a", &[]).await.stderr;
    assert!(
        said.contains("a holds the lease of web for 4m, with token"),
        "{said}"
    );
    let now = leases(&rig).await;
    let left = now["holders"][0]["seconds_left"].as_u64().unwrap();
    assert!((200..=240).contains(&left), "{now}");
    let entry: Value =
        serde_json::from_str(&rig.etcd.get(&entry("a")).await.unwrap().unwrap()).unwrap();
    assert_eq!(entry["service_id"], "a");
    assert_eq!(entry["host"], "one");
    assert_eq!(entry["held"], true);
    entry["since"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
}

#[tokio::test]
async fn a_second_one_has_it_when_the_time_of_the_first_is_over() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &["--lease-timeout=5"]).await;
    let begin = Instant::now();
    let said = acquired(&rig, "b", &[]).await.stderr;
    let waited = begin.elapsed();
    let expected = Duration::from_secs(4)..Duration::from_secs(10);
    assert!(expected.contains(&waited), "{waited:?}");
    assert!(
        said.contains("next in the queue; 1 may hold; held by a on one for"),
        "{said}"
    );
}

#[tokio::test]
async fn who_holds_it_has_it_again_at_once_and_another_label_is_another_lease() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &["--lease-timeout=100"]).await;
    acquired(&rig, "a", &["--acquire-timeout=3"]).await;
    let left = leases(&rig).await["holders"][0]["seconds_left"]
        .as_u64()
        .unwrap();
    assert!(left > 200, "for the whole time again: {left}");
    let other = [
        "acquire-lease",
        "--label=other",
        "--service-id=b",
        "--acquire-timeout=3",
    ];
    rig.ok(&other).await;
    let elsewhere = [
        "acquire-lease",
        "--label=web",
        "--service-id=a",
        "--host-id=two",
    ];
    let late = rig.program(&elsewhere).arg("--acquire-timeout=1");
    assert_eq!(finish(late).await.code, Some(1), "it is another host's");
}

#[tokio::test]
async fn who_waits_too_long_exits_1_and_leaves_nothing() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &[]).await;
    let begin = Instant::now();
    let late = finish(acquire(&rig, "b", &["--acquire-timeout=1.5s"])).await;
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    let words = "service-monitor: b does not hold the lease of web after 1s 500ms: waiting, next in the queue; 1 may hold; held by a on one for";
    assert!(late.stderr.contains(words), "{late:?}");
    let left = rig.etcd.get_prefix("/service-monitor/").await.unwrap();
    assert_eq!(left.into_keys().collect::<Vec<_>>(), [entry("a")]);
}

#[tokio::test]
async fn a_signal_ends_the_wait_and_deletes_its_own_entry_alone() {
    let rig = Rig::start().await;
    rig.put("b", "10.0.0.1", "up").await;
    acquired(&rig, "a", &[]).await;
    let mut second = waiting(&rig, "b", &[], 1).await;
    let mut third = waiting(&rig, "c", &[], 2).await;
    second.signal(Signal::SIGTERM).unwrap();
    assert_eq!(second.wait(SOON).await.unwrap().code(), Some(143));
    let left = rig.etcd.get_prefix("/service-monitor/web/").await.unwrap();
    let left: Vec<_> = left.into_keys().collect();
    assert_eq!(left, [crate::rig::key("b"), entry("a"), entry("c")]);
    third.signal(Signal::SIGINT).unwrap();
    assert_eq!(third.wait(SOON).await.unwrap().code(), Some(130));
    assert_eq!(
        rig.etcd.count("/service-monitor/web/lease/").await.unwrap(),
        1
    );
}

#[tokio::test]
async fn who_is_killed_in_the_queue_hinders_nobody_for_long() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &[]).await;
    let mut second = waiting(&rig, "b", &[], 1).await;
    let mut third = waiting(&rig, "c", &[], 2).await;
    second.kill().await.unwrap();
    rig.ok(&[
        "release-lease",
        "--label=web",
        "--service-id=a",
        "--host-id=one",
    ])
    .await;
    let begin = Instant::now();
    assert!(third.wait(SOON).await.unwrap().success());
    assert!(
        begin.elapsed() < Duration::from_secs(14),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn they_hold_in_the_order_of_arrival() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &[]).await;
    let mut queue = Vec::new();
    for (n, id) in ["d", "c", "b"].into_iter().enumerate() {
        queue.push((id, waiting(&rig, id, &[], n + 1).await));
    }
    let mut before = "a";
    for (id, mut next) in queue {
        assert!(!next.has_ended());
        rig.ok(&[
            "release-lease",
            "--label=web",
            "--host-id=one",
            "--service-id",
            before,
        ])
        .await;
        assert!(next.wait(SOON).await.unwrap().success());
        assert_eq!(leases(&rig).await["holders"][0]["service_id"], id);
        before = id;
    }
}

#[tokio::test]
async fn as_many_hold_it_as_the_flag_or_the_key_says() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &["--slots=2"]).await;
    acquired(&rig, "b", &["--slots=2", "--acquire-timeout=3"]).await;
    let mut third = waiting(&rig, "c", &["--slots=2"], 1).await;
    rig.ok(&["set-slots", "--label=web", "3"]).await;
    assert!(third.wait(SOON).await.unwrap().success());
    rig.ok(&["set-slots", "--label=web", "0"]).await;
    let late = finish(acquire(&rig, "d", &["--slots=9", "--acquire-timeout=1"])).await;
    assert_eq!(late.code, Some(1), "{late:?}");
}

#[tokio::test]
async fn only_who_holds_releases() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &[]).await;
    let _second = waiting(&rig, "b", &[], 1).await;
    for (id, host) in [("b", "one"), ("c", "one"), ("a", "two")] {
        let args = [
            "release-lease",
            "--label=web",
            "--service-id",
            id,
            "--host-id",
            host,
        ];
        let said = rig.fails(1, &args).await;
        let words = format!(
            "service-monitor: {id} on {host} does not hold the lease of web: see \
             `service-monitor leases` for who does\n"
        );
        assert_eq!(said, words);
    }
    assert_eq!(leases(&rig).await["holders"][0]["service_id"], "a");
}

#[tokio::test]
async fn an_etcd_that_is_not_reached_is_told_at_once_and_one_that_goes_away_is_waited_for() {
    let nowhere = format!("127.0.0.1:{}", testbed::ports::free().unwrap());
    for command in [
        &["acquire-lease", "--label=web", "--service-id=a"][..],
        &["release-lease", "--label=web", "--service-id=a"],
        &["leases", "--label=web"],
        &["leases", "--label=web", "--watch"],
        &["set-slots", "--label=web", "2"],
        &["run-locked", "--label=web", "--", "true"],
    ] {
        let answer = finish(service_monitor(&nowhere, command)).await;
        assert_eq!(answer.code, Some(69), "{command:?}: {answer:?}");
        assert!(answer.stderr.contains("does not answer"), "{answer:?}");
    }

    let mut rig = Rig::start().await;
    acquired(&rig, "a", &[]).await;
    let mut next = waiting(&rig, "b", &[], 1).await;
    let mut late = waiting(&rig, "c", &["--acquire-timeout=8"], 2).await;
    rig.etcd.kill().await.unwrap();
    let told = |line: &str| line.contains("waiting: etcd at") && line.contains("does not answer");
    next.wait_for_line(told, SOON).await.unwrap();
    assert_eq!(late.wait(SOON).await.unwrap().code(), Some(69));
    rig.etcd.restart().await.unwrap();
    rig.ok(&[
        "release-lease",
        "--label=web",
        "--service-id=a",
        "--host-id=one",
    ])
    .await;
    assert!(next.wait(SOON).await.unwrap().success());
}

#[tokio::test]
async fn systemd_is_told_who_holds_it_and_asked_for_time() {
    let rig = Rig::start().await;
    acquired(&rig, "a", &[]).await;
    let socket = NotifySocket::bind().unwrap();
    let (name, path) = socket.env();
    let mut next = acquire(&rig, "b", &[])
        .env(name, path)
        .start()
        .await
        .unwrap();
    let status =
        "STATUS=lease of web: waiting, next in the queue; 1 may hold; held by a on one for";
    socket
        .wait_for(|said| said.starts_with(status), SOON)
        .await
        .unwrap();
    let extension = |said: &str| said == "EXTEND_TIMEOUT_USEC=20000000";
    socket.wait_for(extension, SOON).await.unwrap();
    rig.ok(&[
        "release-lease",
        "--label=web",
        "--service-id=a",
        "--host-id=one",
    ])
    .await;
    assert!(next.wait(SOON).await.unwrap().success());
    let said = socket.received();
    assert!(
        !said.iter().any(|said| said.state == "READY=1"),
        "that is the service's to say"
    );
}

#[tokio::test]
async fn a_service_that_is_healthy_gives_it_back_and_one_that_is_not_keeps_it() {
    let rig = Rig::start().await;
    let web = Web::start().await.unwrap();
    web.set(Act::Hang);
    acquired(&rig, "a", &[]).await;
    let mut next = waiting(&rig, "b", &[], 1).await;
    let fast = ["--interval=200ms", "--timeout=400ms", "--host-id=one"];
    let _watch = rig.watch("a", &web.url(), &fast).await;
    rig.until("a", "down").await;
    assert!(!next.has_ended(), "{}", next.last_words());
    // Neither another service nor the same one elsewhere is meant.
    let _other = rig.watch("c", &format!("{}/ok", web.url()), &fast).await;
    let elsewhere = ["--interval=200ms", "--host-id=two"];
    let _same = rig
        .watch("a", &format!("{}/ok", web.url()), &elsewhere)
        .await;
    rig.until("c", "up").await;
    rig.until("a", "up").await;
    assert!(!next.has_ended(), "{}", next.last_words());
    web.set(Act::Answer(200, String::new()));
    assert!(next.wait(SOON).await.unwrap().success());
    assert_eq!(leases(&rig).await["holders"][0]["service_id"], "b");
    // And again when it is acquired again.
    rig.ok(&["set-slots", "--label=web", "2"]).await;
    acquired(&rig, "a", &[]).await;
    wait::until("a to have given it back", SOON, || async {
        let now = leases(&rig).await;
        let one = now["holders"].as_array().unwrap().len() == 1;
        if one { Ok(()) } else { Err(now) }
    })
    .await
    .unwrap();
}
