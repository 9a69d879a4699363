//! The ways in which a guest ends.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use testbed::Error;
use testbed::process::{Program, Stream};
use testbed::wait;

const SECONDS: Duration = Duration::from_secs(20);

fn script(text: &str) -> [&str; 2] {
    ["-c", text]
}

#[tokio::test]
async fn a_program_that_a_signal_ends() {
    let guest = crate::guest();
    // What it leaves running does not hold the guest up.
    let args = script("sleep 600 & echo last words; kill -9 $$");
    let finished = guest.run("sh", args).await.unwrap();
    assert_eq!(finished.status.signal(), Some(9));
    assert_eq!(finished.stdout, "last words\n");
    let error = finished.success().unwrap_err().to_string();
    assert!(
        error.contains("signal: 9") && error.contains("last words"),
        "{error}"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there() {
    let guest = crate::guest();
    let finished = guest.run("no-such-program", [""; 0]).await.unwrap();
    assert_eq!(finished.status.code(), Some(127));
    assert!(
        finished.stderr.contains("cannot run no-such-program"),
        "{finished:?}"
    );
    // A path is looked at before anything is booted.
    let error = guest.run("/no/such/program", [""; 0]).await.unwrap_err();
    assert!(matches!(&error, Error::Misuse(text) if text.contains("/no/such/program")));
}

#[tokio::test]
async fn a_kernel_that_panics() {
    let guest = crate::guest();
    let args = script("echo last words; sleep 0.2; echo c > /proc/sysrq-trigger; sleep 600");
    let error = guest.run("sh", args).await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::Ended { .. }), "{told}");
    assert!(
        told.contains("Kernel panic - not syncing: sysrq triggered crash"),
        "{told}"
    );
    assert!(told.contains("last words"), "{told}");
}

#[tokio::test]
async fn a_guest_that_cannot_be_set_up() {
    let guest = crate::guest().modules(["no-such-module"]);
    let error = guest.run("true", [""; 0]).await.unwrap_err().to_string();
    assert!(
        error.contains("no-such-module") && error.contains("was not set up"),
        "{error}"
    );
    let guest = crate::guest().memory_mib(8);
    let error = guest.run("true", [""; 0]).await.unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
}

#[tokio::test]
async fn a_program_that_takes_too_long() {
    let limit = Duration::from_millis(300);
    let guest = crate::guest().time_limit(limit);
    let args = script("echo begun; while :; do :; done");
    let error = guest.run("sh", args).await.unwrap_err().to_string();
    assert!(error.contains("waited 300ms"), "{error}");
    assert!(error.ends_with("it runs, and wrote:\nbegun"), "{error}");
}

#[tokio::test]
async fn a_program_that_floods() {
    let guest = crate::guest();
    let args = script("yes flood | head -c 20000000; echo; echo end; echo end >&2");
    let finished = guest.run("sh", args).await.unwrap();
    assert!(
        finished.stdout.starts_with("[1580"),
        "{:.60}",
        finished.stdout
    );
    assert!(finished.stdout.ends_with("\nend\n"));
    assert!(finished.stdout.len() < 5_000_000);
    assert_eq!(finished.stderr, "end\n");
}

/// Processes of guests that have this in their command line.
fn processes(directory: &str) -> usize {
    let entries = std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten();
    let has = |path: &Path| {
        std::fs::read(path.join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(directory))
    };
    entries.filter(|entry| has(&entry.path())).count()
}

#[tokio::test]
async fn a_guest_that_is_dropped() {
    let busy = script("sleep 600 & echo ready; while :; do :; done");
    let guest = crate::guest();
    let running = guest.start("sh", busy).await.unwrap();
    running.wait_for_output("ready", SECONDS).await.unwrap();
    let error = running.wait_for_output("never", Duration::from_millis(50));
    let error = error.await.unwrap_err().to_string();
    assert!(error.ends_with("last seen: ready"), "{error}");
    let directory = running.directory().to_owned();
    let name = directory.to_str().unwrap();
    assert!(processes(name) > 3);
    drop(running);
    assert!(!directory.exists());
    let gone = wait::until_true("all to be gone", SECONDS, || async { processes(name) == 0 });
    gone.await.unwrap();
}

#[tokio::test]
async fn a_guest_whose_caller_is_killed() {
    let busy = "sleep 600 & echo ready; while :; do :; done";
    if std::env::var_os("TESTBED_INNER").is_some() {
        let running = crate::guest().start("sh", script(busy)).await.unwrap();
        running.wait_for_output("ready", SECONDS).await.unwrap();
        println!("directory {}", running.directory().display());
        std::future::pending::<()>().await;
    }
    let program = Program::new(std::env::current_exe().unwrap());
    let test = "ends::a_guest_whose_caller_is_killed";
    let program = program
        .args(["--exact", "--nocapture", test])
        .env("TESTBED_INNER", "1");
    let mut caller = program.start().await.unwrap();
    let line = caller.wait_for_line(|line| line.contains("directory "), SECONDS);
    let line = line.await.unwrap().text;
    let (_, directory) = line.split_once("directory ").unwrap();
    assert!(processes(directory) > 3);
    caller.kill().await.unwrap();
    let gone = wait::until_true("all to be gone", SECONDS, || async {
        processes(directory) == 0 && !Path::new(directory).exists()
    });
    gone.await.unwrap();
    assert!(!caller.text(Stream::Stdout).is_empty());
}
