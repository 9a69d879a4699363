//! What holds for all subcommands: help, exit codes, completions.

use crate::rig::{Rig, finish, service_monitor};

/// Every subcommand.
const COMMANDS: [&str; 3] = ["watch", "hosts", "completions"];

/// Those that do one thing and end, with arguments that they take.
const ONE_SHOT: [&[&str]; 3] = [
    &["hosts", "--label=web"],
    &["hosts", "--label=web", "--wait", "--timeout=1m"],
    &["hosts", "--label=web", "--watch"],
];

#[tokio::test]
async fn without_etcd_what_does_one_thing_exits_69_and_says_why() {
    let port = testbed::ports::free().unwrap();
    let endpoint = format!("http://127.0.0.1:{port}");
    for args in ONE_SHOT {
        let answer = finish(service_monitor(&endpoint, args)).await;
        assert_eq!(answer.code, Some(69), "{args:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{args:?}");
        let reason = format!("etcd at {endpoint} does not answer");
        assert!(answer.stderr.contains(&reason), "{args:?}: {answer:?}");
    }
}

#[tokio::test]
async fn each_command_shows_an_example() {
    for command in COMMANDS {
        let answer = finish(service_monitor("", &[command, "--help"])).await;
        assert_eq!(answer.code, Some(0), "{command}");
        let example = format!("\n  service-monitor {command}");
        assert!(answer.stdout.contains(&example), "{}", answer.stdout);
    }
}

#[tokio::test]
async fn what_cannot_be_meant_exits_64_and_says_what_could() {
    let rig = Rig::start().await;
    let url = "--monitor-url=http://127.0.0.1:1";
    let watch = ["watch", "--label=web", "--service-id=web-1"];
    for (args, words) in [
        (&["--service-id=web-1", url][..], "--label"),
        (
            &["--monitor-url=127.0.0.1:80"],
            "is of no scheme that is known; http://",
        ),
        (&["--monitor-url=tcp://web"], "it has no port"),
        (
            &["--monitor-url=tcp://web:1", "--expect-status=200"],
            "only http and https have",
        ),
        (&[url, "--expect-status=2xx"], "such as 200-299 or 200,204"),
        (&[url, "--expect-body=("], "is no regular expression"),
        (
            &[url, "--service-info=zone"],
            "NAME=VALUE is expected, such as zone=a",
        ),
        (&[url, "--interval=0"], "a time above 0 is expected"),
        (&[url, "--ttl=1s"], "etcd grants no less than 2s"),
        (&[url, "--rise=0"], "'0' for '--rise"),
        (&[url, "--port=0"], "'0' for '--port"),
        (
            &[url, "--host-ip=web-1"],
            "--host-ip is \"web-1\": an address of this host",
        ),
    ] {
        let args = if words == "--label" {
            [&["watch"][..], args].concat()
        } else {
            [&watch[..], args].concat()
        };
        let stderr = rig.fails(64, &args).await;
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    for (args, words) in [
        (&["--label=a/b"][..], "label \"a/b\" is not valid"),
        (
            &["--label=web", "--format=xml"],
            "[possible values: csv, json,",
        ),
        (&["--label=web", "--format=template"], "--template"),
        (
            &["--label=web", "--template={{"],
            "--template line 1: syntax error",
        ),
        (
            &["--label=web", "--template=x", "--format=csv"],
            "another format was given",
        ),
        (&["--label=web", "--timeout=1s"], "--wait"),
        (&["--label=web", "--wait=0"], "'0' for '--wait"),
        (&["--label=web", "--exec=true"], "--output"),
    ] {
        let args = [&["hosts"][..], args].concat();
        let stderr = rig.fails(64, &args).await;
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    assert_eq!(rig.etcd.count("/").await.unwrap(), 0, "nothing was written");
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command() {
    let script = finish(service_monitor("", &["completions", "bash"])).await;
    let pages = tempfile::tempdir().unwrap();
    let directory = pages.path().to_str().unwrap();
    let written = finish(service_monitor("", &["man", directory])).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    for command in COMMANDS {
        assert!(script.stdout.contains(command), "{command}");
        let page = format!("service-monitor-{command}.1");
        assert!(pages.path().join(&page).exists(), "{page}");
    }
    let version = finish(service_monitor("", &["--version"])).await;
    let expected = concat!("service-monitor ", env!("CARGO_PKG_VERSION"), " (");
    assert!(version.stdout.starts_with(expected), "{version:?}");
}
