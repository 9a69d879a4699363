//! What holds for all subcommands: help, exit codes, completions.

use crate::{Rig, WEB, finish, lbmanager};

const MEMBER: &str = "elb/us-east-1/web/multiple/i-00000001";

/// Every one-shot subcommand with arguments that it takes.
const COMMANDS: [&[&str]; 10] = [
    &["plan"],
    &["status"],
    &["set", MEMBER],
    &["rm", MEMBER],
    &["drain", MEMBER],
    &["undrain", WEB, "i-00000001"],
    &["pause", WEB],
    &["resume", "--all"],
    &["purge", WEB],
    &["release", "--all"],
];

#[tokio::test]
async fn without_etcd_each_command_exits_69_and_says_why() {
    let port = testbed::ports::free().unwrap();
    let endpoint = format!("http://127.0.0.1:{port}");
    for args in COMMANDS {
        let answer = finish(lbmanager(&endpoint, args)).await;
        assert_eq!(answer.code, Some(69), "{args:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{args:?}");
        let reason = format!("etcd at {endpoint} does not answer");
        assert!(answer.stderr.contains(&reason), "{args:?}: {answer:?}");
    }
}

#[tokio::test]
async fn each_command_shows_an_example() {
    for args in COMMANDS.into_iter().chain([&["completions"][..]]) {
        let answer = finish(lbmanager("", &[args[0], "--help"])).await;
        assert_eq!(answer.code, Some(0), "{args:?}");
        let example = format!("\n  lbmanager {}", args[0]);
        assert!(answer.stdout.contains(&example), "{}", answer.stdout);
    }
}

#[tokio::test]
async fn names_that_mean_nothing_exit_64_and_say_what_would() {
    let rig = Rig::start().await;
    for (args, words) in [
        (
            &["set", "elb/us-east-1/web/multiple/I-0000000A"][..],
            "only the canonical spelling names it: write \"i-0000000a\"",
        ),
        (&["set", "elb/us-east-1/web/i-00000001"], "has 4 segments"),
        (&["rm", "elb/us-east-1/web/config"], "names options"),
        (&["rm", "/other/config"], "is not below \"/lbManager/\""),
        (&["drain", WEB, "web-1"], "an EC2 instance ID is expected"),
        (&["purge", "elb/us-east-1"], "TYPE/REGION/NAME is expected"),
        (&["status", "alb/us-east-1/web"], "one of elb, elbv2"),
        (&["pause"], "TYPE/REGION/NAME"),
        (&["pause", WEB, "--all"], "cannot be used with"),
        (&["set", MEMBER, "--weight=70000"], "weight is 70000"),
        (&["set", MEMBER, "--forward=masq"], "--forward is for ipvs"),
        (&["set", MEMBER, "drain"], "a JSON object is expected"),
        (&["set", MEMBER, "{\"wieght\":1}"], "has no option wieght"),
        (
            &["plan", "--backends=route53"],
            "is not built into this lbmanager",
        ),
    ] {
        let stderr = rig.fails(64, args).await;
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    assert_eq!(rig.etcd.count("/").await.unwrap(), 0, "nothing was written");
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command() {
    let script = finish(lbmanager("", &["completions", "bash"])).await.stdout;
    let pages = tempfile::tempdir().unwrap();
    let directory = pages.path().to_str().unwrap();
    let written = finish(lbmanager("", &["man", directory])).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    for args in COMMANDS {
        assert!(script.contains(args[0]), "{}", args[0]);
        let page = format!("lbmanager-{}.1", args[0]);
        assert!(pages.path().join(&page).exists(), "{page}");
    }
}
