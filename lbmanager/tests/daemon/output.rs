use serde_json::Value;
use testbed::process::Stream;

use crate::real::{A, B, REGION, Rig, launch::Launch};

#[tokio::test]
async fn json_logs_are_one_object_a_line_on_stderr() {
    let mut rig = Rig::idle().await;
    rig.set(|launch| launch.arg("--log-format=json"));
    rig.aws.create(REGION, "web");
    rig.etcd
        .put("/lbManager/elb/eu-west-1/a\nb/config", "")
        .await
        .unwrap();
    rig.put("web", &[A]).await;
    rig.put("ghost", &[B]).await;
    rig.run().await;
    rig.until_log("ignored: key").await;
    rig.until_log("not brought in line").await;
    rig.until_serving("web", &[A]).await;
    rig.etcd.kill().await.unwrap();
    rig.until_log("cannot be followed").await;
    rig.stop().await;
    let log = rig.log();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        for field in ["timestamp", "level", "message", "target"] {
            assert!(event[field].is_string(), "{field}: {line}");
        }
    }
    assert!(
        log.contains("elb/eu-west-1/web: registered i-0000000a"),
        "{log}"
    );
    assert_eq!(rig.manager().text(Stream::Stdout), "");
}

#[tokio::test]
async fn text_logs_are_one_event_a_line_without_colours() {
    let rig = Rig::serving("web", &[A]).await;
    let line = rig.log();
    let line = line.lines().find(|line| line.contains("registered"));
    let line = line.unwrap();
    assert!(line.contains("INFO") && line.contains("web"), "{line}");
    assert!(!line.contains('\u{1b}'), "{line}");
    assert_eq!(rig.manager().text(Stream::Stdout), "");
}

#[tokio::test]
async fn version_and_help_are_data_on_stdout() {
    let version = Launch::bare(&["--version"]).ended().await;
    version.said(0, &[]);
    let words: Vec<&str> = version.stdout.split_whitespace().collect();
    assert_eq!(words[0], "lbmanager");
    let commit = version.stdout.split(['(', ')', ' ', '\n', '+']);
    let is_commit =
        |word: &str| word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(commit.into_iter().any(is_commit), "{}", version.stdout);
    for args in [&["--help"][..], &["run", "--help"]] {
        let help = Launch::bare(args).ended().await;
        help.said(0, &[]);
        assert!(help.stdout.contains("--settle"), "{}", help.stdout);
        assert!(help.stderr.is_empty(), "{}", help.stderr);
    }
}
