use std::net::TcpListener;

use crate::real::{A, REGION, Rig, launch::Launch};

const USAGE: i32 = 64;
const CONFIGURATION: i32 = 78;

#[tokio::test]
async fn flags_that_are_wrong_are_told_with_what_is_allowed() {
    for (args, words) in [
        (&["run", "--settle=soon"][..], &["--settle", "soon"][..]),
        (&["run", "--resync=0s"], &["--resync", "1s"]),
        (&["run", "--setle=1s"], &["--setle", "--settle"]),
        (
            &["run", "--backends=elc"],
            &["elc", "elb, elbv2, route53, ipvs"],
        ),
        (
            &["run", "--backends=elbv2"],
            &["elbv2", "it has: elb, ipvs"],
        ),
        (&["run", "--host-id=a/b"], &["a/b", "1 to 128"]),
        (&["run", "--listen=9180"], &["--listen", "9180"]),
        (&["run", "--prefix=lbManager"], &["--prefix", "/lbManager"]),
        (
            &["run", "--prefix=/lbManager-status"],
            &["/lbManager-status"],
        ),
        (&["run", "--log-format=xml"], &["xml", "json"]),
        (&["walk"], &["walk", "--help"]),
    ] {
        let ended = Launch::bare(args).env("HOME", "/nonexistent").ended().await;
        ended.said(USAGE, words);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[tokio::test]
async fn a_password_in_an_argument_is_refused_and_not_repeated() {
    let ended = Launch::bare(&["run", "--user", "root:hunter2"])
        .ended()
        .await;
    ended.said(
        USAGE,
        &[
            "--user holds a colon",
            "ETCDCTL_PASSWORD",
            "--password-file",
        ],
    );
    assert!(!format!("{ended:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (state, file) = (directory.path().join("state"), file.display().to_string());
    let good = Launch::new("127.0.0.1:1", "http://127.0.0.1:1", &state);
    let below_a_file = format!("{file}/state");
    for (launch, words) in [
        (
            good.clone().env("ETCDCTL_ENDPOINTS", "etcd1"),
            &["endpoint \"etcd1\" has no port", "etcd1:2379"][..],
        ),
        (
            good.clone().env("ETCDCTL_ENDPOINTS", "ftp://etcd1:2379"),
            &["ftp", "https://"],
        ),
        (
            good.clone().env("ETCDCTL_USER", "root"),
            &["\"root\"", "ETCDCTL_PASSWORD"],
        ),
        (
            good.clone().env("ETCDCTL_CACERT", "/nonexistent.pem"),
            &["--cacert /nonexistent.pem", "No such file"],
        ),
        (
            good.clone().env("ETCDCTL_CERT", &file),
            &["--cert comes without --key"],
        ),
        (
            good.clone()
                .env("ETCDCTL_CERT", &file)
                .env("ETCDCTL_KEY", &file),
            &[&file, "holds no"],
        ),
        (
            good.clone()
                .arg(format!("--password-file={file}"))
                .env("ETCDCTL_USER", "root"),
            &["--password-file", &file, "is empty"],
        ),
        (
            good.clone().arg(format!("--state-dir={below_a_file}")),
            &[
                &below_a_file,
                "cannot be used",
                "--state-dir",
                "Not a directory",
            ],
        ),
        (
            good.clone().env("RUST_LOG", "presence=loud"),
            &["RUST_LOG", "presence=loud"],
        ),
        (
            good.clone().env("NOTIFY_SOCKET", "nowhere"),
            &["NOTIFY_SOCKET", "nowhere"],
        ),
        (
            good.clone().env("WATCHDOG_USEC", "often"),
            &["WATCHDOG_USEC", "often"],
        ),
    ] {
        let ended = launch.ended().await;
        ended.said(CONFIGURATION, words);
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("lbmanager: "), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    rig.put("web", &[A]).await;
    rig.set(|launch| launch.arg(format!("--listen={address}")));
    let ended = rig.launch.ended().await;
    ended.said(CONFIGURATION, &[&address, "--listen", "in use"]);
    assert!(rig.aws.calls().is_empty());
}

#[tokio::test]
async fn a_state_directory_on_a_full_or_strange_file_system_is_told() {
    // Nobody may make files there, not even root.
    let state = "/proc/self/state";
    let launch = Launch::new(
        "127.0.0.1:1",
        "http://127.0.0.1:1",
        std::path::Path::new(state),
    );
    launch
        .ended()
        .await
        .said(CONFIGURATION, &[state, "--state-dir"]);
}
