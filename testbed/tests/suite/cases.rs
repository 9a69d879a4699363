//! What a test in a suite has, and what a suite tells of its tests.

use std::process::Command;
use std::time::Duration;

use testbed::netns::{Bridge, Namespace};
use testbed::process::{Program, Running, Stream};
use testbed::site::{Site, VIRTUAL};

use crate::under_test;

const SECONDS: Duration = Duration::from_secs(30);

/// What a program wrote that must have ended well.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub async fn each_test_has_a_network_of_its_own() {
    assert_eq!(output("ipvsadm", &["-Sn"]), "");
    output("ipvsadm", &["-A", "-t", "127.0.0.1:80", "-s", "mh"]);
    assert_eq!(output("ipvsadm", &["-Sn"]), "-A -t 127.0.0.1:80 -s mh\n");
    output("ip", &["netns", "add", "left-behind"]);
}

pub async fn and_so_has_the_next() {
    assert_eq!(output("ipvsadm", &["-Sn"]), "");
    assert_eq!(output("ip", &["netns", "list"]), "");
    assert!(output("ip", &["-br", "link"]).starts_with("lo "));
}

/// A host that answers every request with its name.
async fn server(host: &Namespace, port: u16) -> Running {
    let answer = format!("printf 'HTTP/1.0 200 OK\\r\\n\\r\\n{}'", host.name());
    let program = host.program("/usr/bin/perl").unwrap();
    let script = r#"
        use IO::Socket::INET;
        my $server = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 9, ReuseAddr => 1);
        print "ready\n"; STDOUT->flush;
        while (my $client = $server->accept) {
            $client->recv(my $request, 1000);
            print $client `$ARGV[1]`;
            close $client;
        }"#;
    let port = port.to_string();
    let program = program.args(["-e", script, &port, &answer]);
    let running = program.start().await.unwrap();
    let ready = running.wait_for_line(|line| line == "ready", SECONDS);
    ready.await.unwrap();
    running
}

pub async fn hosts_talk_through_a_virtual_service() {
    let lan = Bridge::create("lan", ["10.9.0.1/24", "fd09::1/64"]);
    let lan = lan.await.unwrap();
    let mut servers = Vec::new();
    for n in [11, 12] {
        let host = Namespace::builder(&format!("web-{n}")).address(format!("10.9.0.{n}/24"));
        let host = host.gateway("10.9.0.1").join(&lan).await.unwrap();
        servers.push((server(&host, 8080).await, host));
    }
    let world = Bridge::create("world", ["192.0.2.1/24"]).await.unwrap();
    let client = Namespace::builder("client").address("192.0.2.9/24");
    let client = client.gateway("192.0.2.1").join(&world).await.unwrap();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    output("ipvsadm", &["-A", "-t", "192.0.2.1:80", "-s", "rr"]);
    for n in [11, 12] {
        let real = format!("10.9.0.{n}:8080");
        output("ipvsadm", &["-a", "-t", "192.0.2.1:80", "-r", &real, "-m"]);
    }
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = client.run("curl", ["--silent", "--max-time", "9", "http://192.0.2.1"]);
        answers.push(answer.await.unwrap());
    }
    answers.sort();
    assert_eq!(answers, ["web-11", "web-11", "web-12", "web-12"]);
}

pub async fn hosts_are_gone_when_dropped() {
    let lan = Bridge::create("lan", ["fd09::1/64"]).await.unwrap();
    let host = Namespace::builder("host").address("fd09::2/64");
    let host = host.gateway("fd09::1").join(&lan).await.unwrap();
    host.sysctl("net.ipv6.conf.all.forwarding", "1")
        .await
        .unwrap();
    let routes = host.run("ip", ["-6", "route"]).await.unwrap();
    assert!(routes.contains("default via fd09::1"), "{routes}");
    // What runs there keeps it, yet it is off the bridge.
    let sleeper = host
        .program("sleep")
        .unwrap()
        .arg("600")
        .start()
        .await
        .unwrap();
    let same = Namespace::builder("host")
        .join(&lan)
        .await
        .unwrap_err()
        .to_string();
    assert!(same.contains("ip -batch - netns add host; "), "{same}");
    drop((host, sleeper, lan));
    assert_eq!(output("ip", &["netns", "list"]), "");
    assert!(!output("ip", &["-br", "link"]).contains("v-host"));
}

pub async fn requests_to_a_site_are_counted() {
    let site = Site::set_up(2).await.unwrap();
    // Nobody is there to answer.
    let load = site.load(3).await.unwrap();
    let told = load.end().await.unwrap();
    assert!(told.failed > 0 && told.answered == 0, "{told:?}");
    assert!(told.failures[0].contains("refused"), "{told:?}");
    output("ipvsadm", &["-A", "-t", VIRTUAL, "-s", "rr"]);
    for number in [1, 2] {
        let server = Site::server(number);
        output("ipvsadm", &["-a", "-t", VIRTUAL, "-r", &server, "-m"]);
    }
    let load = site.load(3).await.unwrap();
    load.let_go().unwrap();
    let told = load.end().await.unwrap();
    assert_eq!(told.failed, 0, "{told:?}");
    assert_eq!(told.by.values().sum::<u64>(), told.answered);
    assert!(
        told.answered > 1 && told.by.contains_key("web-1"),
        "{told:?}"
    );
}

/// This program again, as the suite under test. It runs in namespaces of this guest's kernel, which
/// is quick.
async fn suite(variables: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String) {
    let program = Program::new(std::env::current_exe().unwrap());
    let program = program
        .env_remove("TESTBED_CASE")
        .env("TESTBED_KERNEL", "own");
    let program = program
        .env(under_test::VARIABLE, "60")
        .envs(variables.iter().copied());
    // To find the lines of a program takes long in a guest, which has one processor.
    let program = program.env("RUST_BACKTRACE", "0");
    let program = program.env("RUST_TEST_THREADS", "1");
    let mut running = program.args(args).start().await.unwrap();
    let status = running.wait(SECONDS).await.unwrap();
    (status.code(), running.text(Stream::Stdout))
}

pub async fn failures_are_told_with_their_output() {
    let (status, told) = suite(&[], &["--skip", "kills", "--skip", "hangs"]).await;
    assert_eq!(status, Some(101), "{told}");
    for line in [
        "test passes       ... ok",
        "test still_passes ... ok",
        "2 passed; 2 failed; 1 ignored",
    ] {
        assert!(told.contains(line), "{line} is expected in: {told}");
    }
    let part = |name: &str| {
        let begin = told.find(&format!("---- {name} ----")).expect(name);
        let part = &told[begin + 4..];
        part[..part.find("\n----").unwrap_or(part.len())].to_owned()
    };
    let panicked = part("panics");
    assert!(
        panicked.contains("exit status: 101") && panicked.contains("on purpose"),
        "{told}"
    );
    assert!(panicked.contains("half a line"), "{told}");
    assert!(part("crashes").contains("signal: 6 (SIGABRT)"), "{told}");
}

pub async fn a_test_that_hangs_is_ended() {
    let limit = [(under_test::VARIABLE, "1")];
    let (status, told) = suite(&limit, &["hangs"]).await;
    assert_eq!(status, Some(101), "{told}");
    assert!(told.contains("took longer than 1s"), "{told}");
}

pub async fn a_filter_is_passed_on() {
    let (status, told) = suite(&[], &["--exact", "passes", "--nocapture"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("1 passed; 0 failed; 0 ignored") && told.contains("live"),
        "{told}"
    );
    let (status, told) = suite(&[], &["--ignored", "soaks"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("1 passed; 0 failed"), "{told}");
    let rounds = [("SOAK_ROUNDS", "3")];
    let (status, told) = suite(&rounds, &["--ignored", "soaks", "--nocapture"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(told.matches("a round\n").count(), 3, "{told}");
    // For this nothing is booted.
    let nothing = [("TESTBED_KERNEL", "guest"), ("PATH", "/nowhere")];
    let (status, told) = suite(&nothing, &["--list"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("passes: test\n") && told.contains("soaks: test\n"),
        "{told}"
    );
}

pub async fn what_did_not_run_has_failed() {
    let (status, told) = suite(&[], &["kills"]).await;
    assert_eq!(status, Some(101), "{told}");
    assert!(told.contains("0 passed; 2 failed"), "{told}");
    assert!(
        told.contains("while it ran: ") && told.contains("not run: "),
        "{told}"
    );
}

pub async fn what_is_missing_is_named() {
    let nothing = [("TESTBED_KERNEL", "guest"), ("PATH", "/nowhere")];
    let (status, told) = suite(&nothing, &["passes"]).await;
    assert_eq!(status, Some(101), "{told}");
    let install = "linux.uml is not installed: apt-get install user-mode-linux";
    assert!(told.matches(install).count() == 2, "{told}");
}
