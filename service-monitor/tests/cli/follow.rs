//! `hosts --wait` and `hosts --watch`.

use testbed::process::{Running, Signal, Stream};
use testbed::wait;

use crate::rig::{Rig, SOON, key, terminate};

/// Waits until it has written this, and nothing else.
async fn until_written(running: &Running, expected: &str) {
    wait::until(&format!("{expected:?}"), SOON, || async {
        let said = running.text(Stream::Stdout);
        if said == expected { Ok(()) } else { Err(said) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn it_waits_until_there_are_enough() {
    let rig = Rig::start().await;
    rig.put("a", "10.0.0.1", "up").await;
    assert_eq!(
        rig.ok(&["hosts", "--label=web", "--wait"]).await,
        "10.0.0.1\n"
    );
    let program = rig.program(&["hosts", "--label=web", "--wait=3", "--timeout=1m"]);
    let mut waiting = program.start().await.unwrap();
    rig.put("b", "10.0.0.2", "up").await;
    rig.put("c", "10.0.0.3", "down").await;
    rig.put("d", "10.0.0.4", "up").await;
    let status = waiting.wait(SOON).await.unwrap();
    assert!(status.success(), "{status}");
    let expected = "10.0.0.1,10.0.0.2,10.0.0.4\n";
    assert_eq!(waiting.text(Stream::Stdout), expected);
}

#[tokio::test]
async fn it_waits_no_longer_than_it_is_told() {
    let rig = Rig::start().await;
    rig.put("a", "10.0.0.1", "up").await;
    let args = ["hosts", "--label=web", "--wait=2", "--timeout=500ms"];
    let stderr = rig.fails(1, &args).await;
    let words = "1 of 2 instances of web are there after 500ms: 10.0.0.1";
    assert!(stderr.contains(words), "{stderr}");
    let mut waiting = rig.program(&args[..3]).start().await.unwrap();
    // Only then is it known to listen.
    let looks = rig.etcd.endpoint();
    until_connected(&looks, waiting.pid()).await;
    waiting.signal(Signal::SIGTERM).unwrap();
    let status = waiting.wait(SOON).await.unwrap();
    assert_eq!(status.code(), Some(143), "{}", waiting.last_words());
}

/// Waits until the process has a connection to etcd: what it does about
/// signals is settled before.
async fn until_connected(endpoint: &str, pid: u32) {
    let port: u16 = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let port = format!(":{port:04X}");
    wait::until_true("a connection to etcd", SOON, || async {
        let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
        let own = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        let own: Vec<String> = own
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .map(|link| link.display().to_string())
            .collect();
        sockets.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(2).is_some_and(|remote| remote.ends_with(&port))
                && fields
                    .get(9)
                    .is_some_and(|inode| own.contains(&format!("socket:[{inode}]")))
        })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn each_change_is_shown_also_after_an_outage() {
    let mut rig = Rig::start().await;
    let program = rig.program(&["hosts", "--label=web", "--watch"]);
    let mut watching = program.start().await.unwrap();
    until_written(&watching, "\n").await;
    rig.put("b", "10.0.0.2", "up").await;
    until_written(&watching, "\n10.0.0.2\n").await;
    rig.put("a", "10.0.0.1", "down").await;
    rig.put("a", "10.0.0.1", "up").await;
    let expected = "\n10.0.0.2\n10.0.0.1,10.0.0.2\n";
    until_written(&watching, expected).await;
    rig.etcd.kill().await.unwrap();
    let away = |line: &str| line.contains("cannot be followed");
    watching.wait_for_line(away, SOON).await.unwrap();
    rig.etcd.restart().await.unwrap();
    rig.etcd.del(&key("b")).await.unwrap();
    let expected = format!("{expected}10.0.0.1\n");
    until_written(&watching, &expected).await;
    terminate(&mut watching).await;
    assert_eq!(
        watching.text(Stream::Stdout),
        expected,
        "an outage is no change"
    );
}

#[tokio::test]
async fn a_file_follows_and_the_command_is_run_for_each_change() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let (list, told) = (root.path().join("list"), root.path().join("told"));
    let output = format!("--output={}", list.display());
    let exec = format!("--exec=cat {} >>{}; exit 1", list.display(), told.display());
    let args = ["hosts", "--label=web", "--watch", &output, &exec];
    let mut watching = rig.program(&args).start().await.unwrap();
    let until_told = async |expected: &str| {
        wait::until(&format!("{expected:?} to be told"), SOON, || async {
            let said = std::fs::read_to_string(&told).unwrap_or_default();
            if said == expected { Ok(()) } else { Err(said) }
        })
        .await
        .unwrap();
    };
    rig.put("a", "10.0.0.1", "up").await;
    until_told("10.0.0.1\n").await;
    rig.put("b", "10.0.0.2", "up").await;
    until_told("10.0.0.1\n10.0.0.1,10.0.0.2\n").await;
    // That it fails is said, and hinders nobody.
    let failed = |line: &str| line.contains("(--exec) failed: exit status: 1");
    watching.wait_for_line(failed, SOON).await.unwrap();
    terminate(&mut watching).await;
    assert_eq!(watching.text(Stream::Stdout), "");
}

#[tokio::test]
async fn it_ends_when_nobody_reads_any_more() {
    let rig = Rig::start().await;
    let binary = env!("CARGO_BIN_EXE_service-monitor");
    let script = format!("{binary} hosts --label=web --watch | head -n 1; echo over");
    let mut shell = testbed::process::Program::new("/bin/sh")
        .args(["-c", &script])
        .env("ETCDCTL_ENDPOINTS", rig.etcd.endpoint())
        .start()
        .await
        .unwrap();
    shell.wait_for_line(str::is_empty, SOON).await.unwrap();
    rig.put("a", "10.0.0.1", "up").await;
    let status = shell.wait(SOON).await.unwrap();
    assert!(status.success());
    assert_eq!(shell.text(Stream::Stdout), "\nover\n");
}
