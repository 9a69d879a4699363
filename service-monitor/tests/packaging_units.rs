//! The units of systemd/ that run service-monitor: systemd has nothing to say
//! against them, and what they start is something that it understands.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::process::{Command, Output};

use presence::process::duration;
use testbed::units::{self, UnitHost};

const PROGRAM: &str = "/usr/bin/service-monitor";
const NODE: &str = "examples/elasticsearch@.service";
const SIDECAR: &str = "examples/elasticsearch-watch@.service";

/// In tenths, as `systemd-analyze security` sees it.
const EXPOSURE: u32 = 13;

fn host() -> UnitHost {
    let host = UnitHost::new(&[PROGRAM]).unwrap();
    // Each refers to the other.
    host.install_own(NODE).unwrap();
    host.install_own(SIDECAR).unwrap();
    host
}

#[test]
fn systemd_has_nothing_to_say_against_them() {
    for unit in [NODE, SIDECAR] {
        host().verify(unit).unwrap();
        assert!(
            units::read(unit).unwrap().contains("\n[X-Fleet]\n"),
            "{unit}"
        );
    }
}

#[test]
fn the_sidecar_is_confined() {
    host().is_confined(SIDECAR, EXPOSURE).unwrap();
}

#[test]
fn what_the_sidecar_starts_is_understood() {
    let ask = |args: &[String]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_service-monitor"));
        command.args(args).arg("--help").output().unwrap()
    };
    let started = units::started(&units::read(SIDECAR).unwrap(), PROGRAM);
    assert_eq!(started.len(), 1);
    let output = ask(&started[0]);
    assert!(output.status.success(), "{started:?}: {output:?}");
    let wrong = ask(&["watch", "--lable", "es"].map(str::to_owned));
    assert!(!wrong.status.success(), "--lable went unseen");
}

#[test]
fn systemd_waits_longer_than_a_node_for_its_turn() {
    let text = units::read(NODE).unwrap().replace("\\\n", " ");
    let behind = |name: &str| {
        let (_, rest) = text.split_once(name).unwrap();
        let value = rest.split_whitespace().next().unwrap();
        duration::parse(value).unwrap()
    };
    assert!(behind("TimeoutStartSec=") > behind("--acquire-timeout "));
}
