//! The units of systemd/ that run launcher: systemd has nothing to say against them, they are
//! confined, and what they start is something that it understands.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::process::{Command, Output};

use testbed::units::{self, UnitHost};

const PROGRAM: &str = "/usr/bin/launcher";
const NEWEST: &str = "launcher@.service";
const REVISION: &str = "examples/web@.service";
const UNITS: [&str; 2] = [NEWEST, REVISION];

/// In tenths, as `systemd-analyze security` sees it.
const EXPOSURE: u32 = 21;

fn host(unit: &str) -> UnitHost {
    let host = UnitHost::new(&[PROGRAM]).unwrap();
    host.install_own(unit).unwrap();
    host
}

/// The settings of a unit: what is left without its comments.
fn settings(unit: &str) -> Vec<String> {
    let text = units::read(unit).unwrap();
    let lines = text.lines().filter(|line| line.contains('='));
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn systemd_has_nothing_to_say_against_them() {
    for unit in UNITS {
        host(unit).verify(unit).unwrap();
        let text = units::read(unit).unwrap();
        assert!(text.contains("\n[X-Fleet]\n"), "{unit}");
    }
    let wrong = units::read(NEWEST)
        .unwrap()
        .replace("KillMode=mixed", "KillMode=mxied");
    let host = UnitHost::new(&[PROGRAM]).unwrap();
    host.install(NEWEST, &wrong).unwrap();
    assert!(host.verify(NEWEST).is_err(), "KillMode=mxied went unseen");
}

#[test]
fn they_are_confined() {
    for unit in UNITS {
        host(unit).is_confined(unit, EXPOSURE).unwrap();
    }
}

/// The comments of the one are the other's, too.
#[test]
fn they_differ_in_what_they_run_alone() {
    let without = |unit| -> Vec<String> {
        let own = ["ExecStart=", "Description="];
        let is_own = |line: &String| own.iter().any(|own| line.starts_with(own));
        let all = settings(unit).into_iter();
        all.filter(|line| !is_own(line)).collect()
    };
    assert_eq!(without(NEWEST), without(REVISION));
}

/// With live-restore a container outlives a restart of Docker; its unit must, too.
#[test]
fn a_restart_of_docker_stops_none() {
    let ties = ["Requires=", "BindsTo=", "Requisite=", "PartOf="];
    for unit in UNITS {
        for line in settings(unit) {
            assert!(!ties.iter().any(|tie| line.starts_with(tie)), "{line}");
        }
    }
}

#[test]
fn what_they_start_is_understood() {
    let ask = |args: &[String]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
        command.args(args).arg("--help").output().unwrap()
    };
    let expected = [&["run", "1"][..], &["run", "web", "1", "172.18.0.1:7001"]];
    for (unit, expected) in UNITS.into_iter().zip(expected) {
        let started = units::started(&units::read(unit).unwrap(), PROGRAM);
        assert_eq!(started, [expected]);
        let output = ask(&started[0]);
        assert!(output.status.success(), "{started:?}: {output:?}");
    }
    for wrong in [&["run", "web", "--no-publsh"][..], &["run", "we b"]] {
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(ask(&wrong).status.code(), Some(64), "{wrong:?} went unseen");
    }
}
