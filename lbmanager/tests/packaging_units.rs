//! The units of systemd/: systemd has nothing to say against them, they are
//! confined, and what they start is something that this lbmanager understands.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use testbed::process::workspace_binary;

/// Units that ours refer to; of the machine's own nothing is taken.
const OTHERS: [&str; 7] = [
    "basic.target",
    "docker.service",
    "etcd.service",
    "multi-user.target",
    "network-online.target",
    "shutdown.target",
    "sysinit.target",
];

/// Programs that ours start.
const PROGRAMS: [&str; 5] = [
    "/bin/sh",
    "/sbin/modprobe",
    "/usr/bin/docker",
    "/usr/bin/etcdctl",
    "/usr/bin/lbmanager",
];

/// Each unit, and the exposure level that it must not be above, in tenths, as
/// `systemd-analyze security` sees it. An example is not confined.
const UNITS: [(&str, Option<&str>); 3] = [
    ("lbmanager.service", Some("13")),
    ("lbmanager-ipvs.service", Some("20")),
    ("examples/webserver@.service", None),
];

#[test]
fn systemd_has_nothing_to_say_against_them() {
    for (unit, _) in UNITS {
        let host = Host::new();
        host.install(unit, &read(unit));
        host.verify(unit).unwrap();
    }
}

#[test]
fn a_typing_error_would_be_seen() {
    for (right, wrong) in [
        ("Restart=always", "Restrat=always"),
        ("Type=notify", "Type=notice"),
        ("/usr/bin/lbmanager run", "/usr/bin/lbmanger run"),
        (
            "SystemCallFilter=@system-service",
            "SystemCallFilter=@system-servcie",
        ),
    ] {
        let unit = "lbmanager.service";
        let text = read(unit);
        assert!(text.contains(right), "{right} is not in {unit}");
        let host = Host::new();
        host.install(unit, &text.replace(right, wrong));
        assert!(host.verify(unit).is_err(), "{wrong} went unseen");
    }
}

#[test]
fn they_are_confined() {
    for (unit, limit) in UNITS {
        let Some(limit) = limit else { continue };
        let host = Host::new();
        host.install(unit, &read(unit));
        let threshold = format!("--threshold={limit}");
        let output = host.analyze(&["security", "--offline=true", &threshold], unit);
        assert!(output.status.success(), "{unit}: {}", words(&output));
    }
}

#[test]
fn what_they_start_is_understood() {
    let lbmanager = workspace_binary("lbmanager").unwrap();
    for (unit, _) in UNITS {
        for line in read(unit).lines() {
            let Some(arguments) = line.strip_prefix("ExecStart=/usr/bin/lbmanager ") else {
                continue;
            };
            let output = Command::new(&lbmanager)
                .args(arguments.split(' '))
                .arg("--help")
                .output()
                .unwrap();
            assert!(output.status.success(), "{line}: {}", words(&output));
        }
    }
    let wrong = Command::new(&lbmanager)
        .args(["run", "--lissten", "127.0.0.1:9180", "--help"])
        .output()
        .unwrap();
    assert!(!wrong.status.success(), "--lissten went unseen");
}

/// The directory tree of a host that has the programs and the other units.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for unit in OTHERS {
            let service = unit.ends_with(".service");
            let text = if service {
                "[Service]\nExecStart=/bin/sh\n"
            } else {
                "[Unit]\n"
            };
            host.install(unit, text);
        }
        for program in PROGRAMS {
            let path = host.path(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy("/bin/true", path).unwrap();
        }
        host
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.0.path().join(absolute.trim_start_matches('/'))
    }

    fn install(&self, unit: &str, text: &str) {
        let units = self.path("/etc/systemd/system");
        fs::create_dir_all(&units).unwrap();
        fs::write(units.join(file_name(unit)), text).unwrap();
    }

    fn analyze(&self, args: &[&str], unit: &str) -> Output {
        // A template is looked at by way of one of its instances.
        let unit = file_name(unit).replace("@.", "@1.");
        Command::new("systemd-analyze")
            .arg(format!("--root={}", self.0.path().display()))
            .args(args)
            .arg(unit)
            .output()
            .expect("systemd-analyze runs: apt-get install systemd, or make test-tools")
    }

    /// Whether `systemd-analyze verify` is content and says nothing; what it
    /// says otherwise.
    fn verify(&self, unit: &str) -> Result<(), String> {
        let output = self.analyze(&["verify"], unit);
        match words(&output) {
            said if said.is_empty() && output.status.success() => Ok(()),
            said => Err(format!("{unit}: {}: {said}", output.status)),
        }
    }
}

fn file_name(unit: &str) -> &str {
    unit.rsplit('/').next().unwrap_or(unit)
}

fn read(unit: &str) -> String {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    fs::read_to_string(units.join(unit)).unwrap()
}

fn words(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}
