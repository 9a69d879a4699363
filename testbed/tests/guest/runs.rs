//! What a program in a guest has around it.

use std::os::unix::process::ExitStatusExt as _;

use testbed::Error;
use testbed::guest::{self, Guest, Kernel};

/// What a shell in a guest says.
async fn shell(guest: Guest, script: &str) -> String {
    let finished = guest.run("/bin/sh", ["-euc", script]).await;
    finished.and_then(guest::Finished::success).expect(script)
}

#[tokio::test]
async fn one_line_runs_a_program() {
    let table = guest::run("ipvsadm", ["-Ln"]).await.unwrap();
    assert!(table.starts_with("IP Virtual Server"), "{table}");
}

#[tokio::test]
async fn a_guest_has_what_a_machine_has() {
    let script = r"
        # Services with schedulers, and real servers at the guest's own addresses.
        for scheduler in rr wrr lc wlc fo ovf lblc lblcr dh sh mh sed nq; do
            port=$((${port:-80} + 1))
            ipvsadm -A -t 127.0.0.1:$port -s $scheduler
        done
        ipvsadm -a -t 127.0.0.1:81 -r 127.0.0.1:8080 -m
        ipvsadm -Sn | wc -l
        # Modules that load themselves, and one that was asked for.
        ip link add d0 type dummy
        ip link add b0 type bridge
        ip link add v0 type veth peer name v1
        grep -o ^fou /proc/modules
        # Files: all writable, nothing of it gets out.
        for folder in / /tmp /run /dev/shm /var/lib /etc; do echo > $folder/testbed-guest-file; done
        test -e /proc/self/status && test -d /sys/class/net/d0 && test -c /dev/pts/ptmx
        echo said > /dev/stdout
    ";
    let guest = crate::guest().modules(["fou"]);
    assert_eq!(shell(guest, script).await, "14\nfou\nsaid\n");
    for folder in ["/", "/tmp", "/run", "/dev/shm", "/var/lib", "/etc"] {
        let file = std::path::Path::new(folder).join("testbed-guest-file");
        assert!(!file.exists(), "{} is left", file.display());
    }
}

#[tokio::test]
async fn what_the_caller_hands_in_is_there() {
    let results = tempfile::tempdir().unwrap();
    let folder = results.path().join("with space");
    std::fs::create_dir(&folder).unwrap();
    let guest = crate::guest();
    let guest = guest.memory_mib(300).env("GREETING", "it's\na \"word\"");
    let guest = guest.folder(&folder).current_dir(&folder);
    let script = r#"
        pwd; echo "$GREETING"; echo oops >&2
        test -n "$CARGO_MANIFEST_DIR" && test -e "$CARGO_MANIFEST_DIR/Cargo.toml"
        echo written > result
        grep MemTotal: /proc/meminfo
        printf unfinished
        exit 3
    "#;
    let finished = guest.run("/bin/sh", ["-euc", script]).await.unwrap();
    assert_eq!(finished.status.code(), Some(3), "{finished:?}");
    assert_eq!(finished.stderr, "oops\n");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines[0], folder.to_str().unwrap());
    assert_eq!(lines[1..3], ["it's", "a \"word\""]);
    let memory: u32 = lines[3].split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((200_000..=300 * 1024).contains(&memory), "{memory} kB");
    assert_eq!(lines[4], "unfinished");
    let written = std::fs::read_to_string(folder.join("result")).unwrap();
    assert_eq!(written, "written\n");
}

#[tokio::test]
async fn any_user_may_have_one() {
    if !nix::unistd::geteuid().is_root() {
        // Then the other tests are this one.
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(65534), Some(65534)).unwrap();
    // This program again, as nobody.
    let program = std::env::current_exe().unwrap();
    let copy = directory.path().join("program");
    std::fs::copy(program, &copy).unwrap();
    let mut nobody = tokio::process::Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    nobody
        .arg(&copy)
        .args(["--exact", "runs::one_line_runs_a_program"]);
    nobody.current_dir("/").env("TMPDIR", directory.path());
    nobody.env("HOME", directory.path());
    let output = nobody.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
}

/// This machine's own kernel may lack ip_vs, a guest's does not: so this runs in one what asks for
/// the own kernel.
#[tokio::test]
async fn the_own_kernel_is_used_where_it_is_asked_for() {
    if std::env::var_os("TESTBED_INNER").is_some() {
        let guest = crate::guest().kernel(Kernel::Own);
        let script = "ipvsadm -Sn; ipvsadm -A -t 127.0.0.1:80; ip -br link; kill -11 $$";
        let finished = guest.run("/bin/sh", ["-c", script]).await.unwrap();
        assert_eq!(finished.status.signal(), Some(11), "{finished:?}");
        assert!(finished.stdout.starts_with("lo "), "{finished:?}");
        assert_eq!(finished.stdout.lines().count(), 1, "{finished:?}");
        assert_eq!(guest::run("ipvsadm", ["-Sn"]).await.unwrap(), "");
        return;
    }
    let guest = crate::guest();
    let guest = guest.env("TESTBED_INNER", "1").env("TESTBED_KERNEL", "own");
    let test = "runs::the_own_kernel_is_used_where_it_is_asked_for";
    let program = std::env::current_exe().unwrap();
    let finished = guest.run(program, ["--exact", test]).await.unwrap();
    assert!(finished.success().unwrap().contains("1 passed"));
}

#[tokio::test]
async fn an_own_kernel_without_ip_vs_is_told() {
    let has = std::path::Path::new("/proc/net/ip_vs").exists();
    if has {
        return;
    }
    let guest = crate::guest().kernel(Kernel::Own);
    match guest.run("true", [""; 0]).await {
        // Its module may be there.
        Ok(finished) => assert!(finished.status.success()),
        Err(error @ (Error::Ended { .. } | Error::Misuse(_))) => {
            assert!(error.to_string().contains("TESTBED_KERNEL=own"), "{error}");
        }
        Err(error) => panic!("{error}"),
    }
}
