//! Running programs under test.

use std::time::Duration;

use testbed::process::{Program, Running, Signal, Stream, installed, workspace_binary};

const SECONDS: Duration = Duration::from_secs(10);

async fn shell(script: &str) -> Running {
    Program::new("/bin/sh")
        .args(["-c", script])
        .env("GREETING", "hello")
        .start()
        .await
        .expect("a shell starts")
}

#[tokio::test]
async fn output_and_exit_status_are_captured() {
    let mut program = shell("echo $GREETING; echo oops >&2; printf unfinished; exit 3").await;
    let status = program.wait(SECONDS).await.unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(program.text(Stream::Stdout), "hello\nunfinished\n");
    assert_eq!(program.text(Stream::Stderr), "oops\n");
    assert!(program.has_ended());
}

#[tokio::test]
async fn a_line_is_waited_for_and_a_signal_answered() {
    let mut program =
        shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done").await;
    let line = program
        .wait_for_line(|line| line == "ready", SECONDS)
        .await
        .unwrap();
    assert_eq!(line.stream, Stream::Stdout);
    let error = program
        .wait_for_line(|line| line == "never", Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with("last seen: ready"), "{error}");
    let error = program.wait(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.to_string().contains("ready"), "{error}");
    program.signal(Signal::SIGTERM).unwrap();
    assert!(program.wait(SECONDS).await.unwrap().success());
    assert_eq!(program.lines().last().unwrap().text, "bye");
    assert!(program.signal(Signal::SIGTERM).is_err());
}

#[tokio::test]
async fn cpu_and_memory_are_measured() {
    let mut program =
        shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; sleep 600; :").await;
    program
        .wait_for_line(|line| line == "done", Duration::from_mins(1))
        .await
        .unwrap();
    let cpu = program.cpu_time().unwrap();
    assert!(
        cpu > Duration::from_millis(10) && cpu < Duration::from_mins(1),
        "{cpu:?}"
    );
    let memory = program.memory().unwrap();
    assert!(
        memory.private > 10_000 && memory.private < memory.rss && memory.rss <= memory.peak,
        "{memory:?}"
    );
    program.kill().await.unwrap();
    assert!(program.cpu_time().is_err());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let error = Program::new("/no/such/program").start().await.unwrap_err();
    assert!(error.to_string().contains("/no/such/program"));
    let error = workspace_binary("no-such-binary").unwrap_err();
    assert!(error.to_string().contains("cargo build -p no-such-binary"));
    let error = installed("no-such-program", "apt-get install it").unwrap_err();
    assert!(error.to_string().contains("apt-get install it"));
    let mut shell = installed("true", "apt-get install coreutils")
        .unwrap()
        .start()
        .await
        .unwrap();
    assert!(shell.wait(SECONDS).await.unwrap().success());
}
