use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::linux::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use presence::process::{COMMIT, VERSION};

fn plumbing(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).env_clear().env(super::PROGRAM, "1");
    command.stdin(Stdio::null());
    command
}

fn ends(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = plumbing(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    seen(&output)
}

fn seen(output: &Output) -> (i32, String, String) {
    (
        output.status.code().expect("killed by a signal"),
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

pub fn a_wrong_command_line_exits_64_and_help_0() {
    let (code, stdout, stderr) = ends(&["run", "--nonsense"], &[]);
    assert_eq!((code, stdout.as_str()), (64, ""));
    assert!(stderr.contains("--nonsense"), "{stderr}");
    assert_eq!(ends(&[], &[]).0, 64);
    assert_eq!(ends(&["run", "--listen", "nowhere"], &[]).0, 64);
    let (code, stdout, stderr) = ends(&["--help"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("Shows the plumbing at work"), "{stdout}");
}

pub fn the_version_has_the_commit() {
    let (code, stdout, _) = ends(&["--version"], &[]);
    assert_eq!((code, stdout), (0, format!("plumbing {VERSION}\n")));
    assert!(VERSION.ends_with(&format!("({COMMIT})")), "{VERSION}");
    let hexadecimal = COMMIT.len() == 12 && COMMIT.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(hexadecimal || COMMIT == "unknown", "{COMMIT}");
}

pub fn a_panic_is_our_own_fault() {
    let (code, _, stderr) = ends(&["panic"], &[]);
    assert_eq!(code, 70);
    assert!(stderr.contains("on purpose"), "{stderr}");
}

pub fn etcd_is_reached_by_the_variables_of_etcdctl() {
    let variables = [
        ("ETCDCTL_ENDPOINTS", "https://a:2379,https://b:2379"),
        ("ETCDCTL_CACERT", "/ca.pem"),
        ("ETCDCTL_CERT", ""),
        ("ETCDCTL_USER", "root:hunter2"),
        ("ETCDCTL_DIAL_TIMEOUT", "7s"),
    ];
    let (code, stdout, _) = ends(&["etcd"], &variables);
    assert_eq!(code, 0);
    for expected in [
        "https://a:2379",
        "https://b:2379",
        "/ca.pem",
        "\"root\"",
        "7s",
    ] {
        assert!(stdout.contains(expected), "{expected}: {stdout}");
    }
    assert!(stdout.contains("cert: None"), "{stdout}");
    for (_, stdout, stderr) in [ends(&["etcd"], &variables), ends(&["--help"], &variables)] {
        assert!(!stdout.contains("hunter2") && !stderr.contains("hunter2"));
    }
}

pub fn no_argument_holds_a_password() {
    let (code, stdout, stderr) = ends(&["--user=root:hunter2", "etcd"], &[]);
    assert_eq!((code, stdout.as_str()), (64, ""));
    assert!(
        stderr.starts_with("plumbing: --user holds a colon: "),
        "{stderr}"
    );
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

pub fn what_cannot_be_set_up_exits_78_and_says_why() {
    let root = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let state = root.path().to_str().unwrap();
    let listen = ["run", "--state-dir", state, "--listen", &taken];
    let message = format!("plumbing: cannot listen on {taken} (--listen): Address already in use");
    let (code, _, stderr) = ends(&listen, &[]);
    assert_eq!(code, 78);
    assert!(stderr.starts_with(&message), "{stderr}");

    let (code, _, stderr) = ends(&["run"], &[("STATE_DIRECTORY", "/proc/nowhere")]);
    assert_eq!(code, 78);
    let message = "plumbing: the state directory /proc/nowhere cannot be used; ";
    assert!(stderr.starts_with(message), "{stderr}");

    let (code, _, stderr) = ends(&["etcd"], &[("RUST_LOG", "plumbing=loud")]);
    assert_eq!(code, 78);
    let message = "plumbing: RUST_LOG is \"plumbing=loud\", which is no filter; ";
    assert!(stderr.starts_with(message), "{stderr}");
}

pub fn the_life_of_a_service_is_told_to_systemd() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let next = || {
        let mut buffer = [0; 256];
        let length = systemd.recv(&mut buffer).expect("nothing was sent");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    for start in 1..=2 {
        let mut child = plumbing(&["run"])
            .env("STATE_DIRECTORY", root.path().join("state"))
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "3600000000")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut heard = [next(), next(), next()];
        heard.sort();
        assert_eq!(
            heard,
            ["READY=1", &format!("STATUS=start {start}"), "WATCHDOG=1"]
        );
        signal(&child, Signal::SIGTERM);
        assert_eq!(next(), "STOPPING=1");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

pub fn a_second_signal_ends_also_what_is_stuck() {
    for (second, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let mut child = plumbing(&["--log-format=json", "stuck"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut wait_for = |words: &str| {
            let line = lines.next().expect("it ended").unwrap();
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(event["message"].as_str().unwrap().contains(words), "{line}");
        };
        wait_for("stuck");
        signal(&child, Signal::SIGTERM);
        wait_for("SIGTERM: shutting down");
        signal(&child, second);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

pub fn the_journal_is_told_that_last_words_are_an_error() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("stderr");
    let stderr = File::create(&path).unwrap();
    let metadata = stderr.metadata().unwrap();
    let stream = format!("{}:{}", metadata.st_dev(), metadata.st_ino());
    let status = plumbing(&["--log-format=text", "--user=a:b", "etcd"])
        .env("JOURNAL_STREAM", stream)
        .stderr(stderr)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(64));
    let stderr = fs::read_to_string(&path).unwrap();
    assert!(stderr.starts_with("<3>plumbing: --user"), "{stderr}");
}

pub fn completions_and_pages_are_written() {
    let (code, stdout, _) = ends(&["completions", "bash"], &[]);
    assert_eq!(code, 0);
    assert!(stdout.contains("complete -F _plumbing"), "{stdout}");
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().to_str().unwrap();
    assert_eq!(ends(&["man", directory], &[]).0, 0);
    let page = fs::read_to_string(root.path().join("plumbing-run.1")).unwrap();
    assert!(page.contains("Runs until it is told to stop"), "{page}");
}
