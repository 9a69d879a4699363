//! The units of systemd/: systemd has nothing to say against them, they are
//! confined, and what they start is something that this lbmanager understands.

use std::process::{Command, Output};

use testbed::process::workspace_binary;
use testbed::units::{self, UnitHost};

const PROGRAM: &str = "/usr/bin/lbmanager";

/// Each unit, and the exposure level that it must not be above, in tenths, as
/// `systemd-analyze security` sees it. An example is not confined.
const UNITS: [(&str, Option<u32>); 3] = [
    ("lbmanager.service", Some(13)),
    ("lbmanager-ipvs.service", Some(20)),
    ("examples/nginx-member.service", None),
];

#[test]
fn systemd_has_nothing_to_say_against_them() {
    for (unit, _) in UNITS {
        let host = UnitHost::new(&[PROGRAM]).unwrap();
        host.install_own(unit).unwrap();
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
        let text = units::read(unit).unwrap();
        assert!(text.contains(right), "{right} is not in {unit}");
        let host = UnitHost::new(&[PROGRAM]).unwrap();
        host.install(unit, &text.replace(right, wrong)).unwrap();
        assert!(host.verify(unit).is_err(), "{wrong} went unseen");
    }
}

#[test]
fn they_are_confined() {
    for (unit, limit) in UNITS {
        let Some(limit) = limit else { continue };
        let host = UnitHost::new(&[PROGRAM]).unwrap();
        host.install_own(unit).unwrap();
        host.is_confined(unit, limit).unwrap();
    }
}

#[test]
fn what_they_start_is_understood() {
    let lbmanager = workspace_binary("lbmanager").unwrap();
    let ask = |args: &[String]| -> Output {
        let mut command = Command::new(&lbmanager);
        command.args(args).arg("--help").output().unwrap()
    };
    for (unit, _) in UNITS {
        for args in units::started(&units::read(unit).unwrap(), PROGRAM) {
            let output = ask(&args);
            assert!(output.status.success(), "{args:?}: {output:?}");
        }
    }
    let wrong = ask(&["run", "--lissten", "127.0.0.1:9180"].map(str::to_owned));
    assert!(!wrong.status.success(), "--lissten went unseen");
}
