//! `run-locked`.

use std::path::Path;
use std::time::{Duration, Instant};

use testbed::notify::NotifySocket;
use testbed::process::{Program, Running, Signal};
use testbed::wait;

use crate::acquire::{leases, until_waiting};
use crate::rig::{Rig, SOON, finish};

fn locked(rig: &Rig, more: &[&str], command: &[&str]) -> Program {
    let program = rig.program(&["run-locked", "--label=web", "--host-id=one"]);
    let path = std::env::var("PATH").unwrap();
    program.args(more).arg("--").args(command).env("PATH", path)
}

fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

/// Waits until the file is there.
async fn until_there(path: &Path) {
    let there = || async { path.exists() };
    let what = path.display().to_string();
    wait::until_true(&what, SOON, there).await.unwrap();
}

/// A command that writes `began`, and at its end `ended`.
async fn running(rig: &Rig, more: &[&str], root: &Path, script: &str) -> Running {
    let script = format!("cd {}; echo $$ >pid; : >began; {script}", root.display());
    let running = locked(rig, more, &sh(&script)).start().await.unwrap();
    until_there(&root.join("began")).await;
    running
}

/// Whether the command still runs.
fn lives(root: &Path) -> bool {
    let pid = std::fs::read_to_string(root.join("pid")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until_dead(root: &Path, limit: Duration) {
    let dead = || async { !lives(root) };
    wait::until_true("the end of the command", limit, dead)
        .await
        .unwrap();
}

async fn nothing_is_left(rig: &Rig) {
    assert_eq!(rig.etcd.count("/service-monitor/").await.unwrap(), 0);
    assert_eq!(rig.etcd.leases().await.unwrap(), Vec::<i64>::new());
}

#[tokio::test]
async fn it_exits_as_the_command_does_and_leaves_nothing() {
    let rig = Rig::start().await;
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["/nowhere/at-all"], 127),
        (&["/"], 126),
    ] {
        let answer = finish(locked(&rig, &[], command)).await;
        assert_eq!(answer.code, Some(code), "{command:?}: {answer:?}");
        nothing_is_left(&rig).await;
    }
    let answer = finish(locked(&rig, &[], &["/nowhere/at-all"])).await;
    assert!(
        answer
            .stderr
            .contains("cannot run /nowhere/at-all: No such file"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_command_has_the_token_and_not_the_ear_of_systemd() {
    let rig = Rig::start().await;
    let socket = NotifySocket::bind().unwrap();
    let (name, path) = socket.env();
    let show = "echo $SERVICE_MONITOR_FENCING_TOKEN; echo ${NOTIFY_SOCKET-none}";
    let mut before = 0;
    for _ in 0..2 {
        let program = locked(&rig, &[], &sh(show)).env(name, &path);
        let answer = finish(program).await;
        let (token, ear) = answer.stdout.trim().split_once('\n').unwrap();
        assert_eq!(ear, "none");
        let token: i64 = token.parse().unwrap();
        assert!(token > before, "{token} after {before}");
        before = token;
    }
    socket
        .wait_for(|said| said == "READY=1", SOON)
        .await
        .unwrap();
}

#[tokio::test]
async fn one_runs_at_a_time_and_for_longer_than_the_lease() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let script = "mkdir inside || exit 9; sleep 4; rmdir inside";
    let script = format!("cd {}; {script}", root.path().display());
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(
            locked(&rig, &["--ttl=2s"], &sh(&script))
                .start()
                .await
                .unwrap(),
        );
    }
    for one in &mut all {
        let status = one.wait(SOON).await.unwrap();
        assert!(status.success(), "{status}: {}", one.last_words());
    }
    nothing_is_left(&rig).await;
}

#[tokio::test]
async fn signals_reach_all_of_the_group() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let script = "trap ': >got' USR1; trap ': >term; exit 5' TERM
        sh -c 'trap \": >below; exit\" TERM; trap : USR1; : >ready; while :; do sleep 0.1; done' &
        while :; do sleep 0.1; done";
    let mut one = running(&rig, &[], root.path(), script).await;
    until_there(&root.path().join("ready")).await;
    one.signal(Signal::SIGUSR1).unwrap();
    until_there(&root.path().join("got")).await;
    one.signal(Signal::SIGTERM).unwrap();
    assert_eq!(one.wait(SOON).await.unwrap().code(), Some(5));
    until_there(&root.path().join("term")).await;
    until_there(&root.path().join("below")).await;
    nothing_is_left(&rig).await;
}

#[tokio::test]
async fn who_waits_too_long_or_is_told_to_end_leaves_the_queue() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let mut first = running(
        &rig,
        &[],
        root.path(),
        "while [ ! -e end ]; do sleep 0.1; done",
    )
    .await;
    let begin = Instant::now();
    let late = finish(locked(&rig, &["--acquire-timeout=1s"], &["true"])).await;
    assert_eq!(late.code, Some(75), "{late:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        late.stderr
            .contains("does not hold the lease of web after 1s"),
        "{late:?}"
    );
    let mut second = locked(&rig, &[], &["true"]).start().await.unwrap();
    until_waiting(&rig, 1).await;
    second.signal(Signal::SIGTERM).unwrap();
    assert_eq!(second.wait(SOON).await.unwrap().code(), Some(143));
    until_waiting(&rig, 0).await;
    std::fs::write(root.path().join("end"), "").unwrap();
    assert!(first.wait(SOON).await.unwrap().success());
    nothing_is_left(&rig).await;
}

async fn revoke(rig: &Rig) {
    let leases = rig.etcd.leases().await.unwrap();
    for lease in leases {
        rig.etcd.lease_revoke(lease).await.unwrap();
    }
}

#[tokio::test]
async fn a_command_ends_when_its_lease_is_revoked() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let mut one = running(&rig, &[], root.path(), "exec sleep 60").await;
    revoke(&rig).await;
    let begin = Instant::now();
    assert_eq!(one.wait(SOON).await.unwrap().code(), Some(75));
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
    let said = one.last_words();
    assert!(
        said.contains("the lease of web was lost: the entry"),
        "{said}"
    );
    assert!(!lives(root.path()));
}

#[tokio::test]
async fn a_command_that_does_not_listen_is_killed_after_the_grace_with_all_its_group() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; sh -c 'echo $$ >pid; : >deaf; while :; do sleep 0.1; done'";
    let mut one = running(&rig, &["--ttl=5s"], root.path(), script).await;
    until_there(&root.path().join("deaf")).await;
    revoke(&rig).await;
    let begin = Instant::now();
    assert_eq!(one.wait(SOON).await.unwrap().code(), Some(75));
    // A second, and the grace of a fifth of the time.
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    until_dead(root.path(), Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_command_has_ended_when_a_silent_etcd_may_let_somebody_else_hold() {
    let mut rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let mut one = running(
        &rig,
        &["--ttl=10s"],
        root.path(),
        "trap '' TERM; while :; do sleep 0.1; done",
    )
    .await;
    rig.etcd.pause().unwrap();
    let begin = Instant::now();
    until_dead(root.path(), Duration::from_secs(10)).await;
    let lived = begin.elapsed();
    assert!(
        lived > Duration::from_secs(5),
        "not ended for nothing: {lived:?}"
    );
    tokio::time::sleep(Duration::from_secs(15).saturating_sub(lived)).await;
    rig.etcd.resume().unwrap();
    assert_eq!(one.wait(SOON).await.unwrap().code(), Some(75));
    assert!(finish(locked(&rig, &[], &["true"])).await.code == Some(0));
}

#[tokio::test]
async fn who_is_stopped_for_fifteen_seconds_ends_the_command_when_it_goes_on() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let mut one = running(&rig, &[], root.path(), "exec sleep 60").await;
    let old = leases(&rig).await["holders"][0]["token"].as_i64().unwrap();
    one.signal(Signal::SIGSTOP).unwrap();
    let show = "echo $SERVICE_MONITOR_FENCING_TOKEN";
    let next = finish(locked(&rig, &[], &sh(show))).await;
    let token: i64 = next.stdout.trim().parse().unwrap();
    assert!(token > old, "what refuses {old} now is safe");
    one.signal(Signal::SIGCONT).unwrap();
    let begin = Instant::now();
    assert_eq!(one.wait(SOON).await.unwrap().code(), Some(75));
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
    assert!(!lives(root.path()));
}

#[tokio::test]
async fn a_command_does_not_outlive_who_holds_for_it() {
    let rig = Rig::start().await;
    let root = tempfile::tempdir().unwrap();
    let mut one = running(&rig, &["--ttl=2s"], root.path(), "exec sleep 60").await;
    assert!(lives(root.path()));
    one.kill().await.unwrap();
    until_dead(root.path(), Duration::from_secs(1)).await;
    let next = finish(locked(&rig, &["--acquire-timeout=10s"], &["true"])).await;
    assert_eq!(next.code, Some(0), "{next:?}");
}
