//! Every way in which the kernel refuses, and what it would not.

use std::process::Command as Process;

use ipvs::{
    Command, CommandError, DestinationConfig, Error, Family, Forward, Ipvs, Outcome, Refusal,
    Scheduler, ServiceConfig,
};
use nix::sched::{CloneFlags, unshare};

use crate::world::{MASQ, World, add, add_to, add_with, tcp, to};

fn refused(refusal: Refusal) -> Outcome {
    Err(CommandError::Refused(refusal))
}

pub async fn refusals_are_told_apart() {
    let mut world = World::new();
    let (there, gone) = (tcp("10.0.0.1:80"), tcp("10.0.0.2:80"));
    let delete = |service, text| Command::DeleteDestination {
        service,
        destination: to(text),
    };
    let edit = |service, text| Command::EditDestination {
        service,
        destination: to(text),
        config: MASQ,
    };
    let config = ServiceConfig::new(Family::V4, "nosuch".parse().unwrap());
    let engine = ServiceConfig {
        engine: Some("nosuch".parse().unwrap()),
        persistence: Some(std::time::Duration::from_mins(1)),
        ..ServiceConfig::new(Family::V4, Scheduler::RR)
    };
    let service = there;
    for (command, outcome) in [
        (add(there), Ok(())),
        (add(there), refused(Refusal::Exists)),
        (add_to(there, "10.0.1.7:80"), Ok(())),
        (add_to(there, "10.0.1.7:80"), refused(Refusal::Exists)),
        (add_to(gone, "10.0.1.7:80"), refused(Refusal::NoSuchService)),
        (edit(gone, "10.0.1.7:80"), refused(Refusal::NoSuchService)),
        (delete(gone, "10.0.1.7:80"), refused(Refusal::NoSuchService)),
        (
            edit(there, "10.0.1.8:80"),
            refused(Refusal::NoSuchDestination),
        ),
        (
            delete(there, "10.0.1.8:80"),
            refused(Refusal::NoSuchDestination),
        ),
        (
            Command::DeleteService { service: gone },
            refused(Refusal::NoSuchService),
        ),
        (
            Command::ResetCounters { service: gone },
            refused(Refusal::NoSuchService),
        ),
        (
            Command::EditService { service, config },
            refused(Refusal::NoSuchScheduler),
        ),
        (
            Command::EditService {
                service,
                config: engine,
            },
            refused(Refusal::NoSuchScheduler),
        ),
    ] {
        assert_eq!(world.ipvs.execute(&[command]), [outcome], "{command}");
    }
}

pub async fn destinations_are_invalid_where_lo_was_never_up() {
    // One whose `lo` is down is not the same: it was up once.
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let mut world = World::new();
    let service = tcp("10.0.0.1:80");
    let outcomes = world
        .ipvs
        .execute(&[add(service), add_to(service, "10.0.1.9:80")]);
    assert_eq!(outcomes, [Ok(()), refused(Refusal::InvalidArgument)]);
}

pub async fn one_that_fails_among_a_thousand() {
    let mut world = World::new();
    let service = tcp("10.0.0.1:80");
    world.execute(&[add(service), add_to(service, "10.1.0.0:80")]);
    let text = |n: usize| format!("10.1.{}.{}:80", n / 250, n % 250);
    let adds: Vec<_> = (0..1000).map(|n| add_to(service, &text(999 - n))).collect();
    let outcomes = world.ipvs.execute(&adds);
    assert_eq!(outcomes[999], refused(Refusal::Exists));
    assert!(outcomes[..999].iter().all(Result::is_ok));
    assert_eq!(world.destinations(service).len(), 1000);
}

pub async fn those_that_are_invalid_are_not_sent() {
    let mut world = World::new();
    let service = tcp("10.0.0.1:80");
    let heavy = DestinationConfig::new(Forward::Masq, 100_000);
    let commands = [
        add(service),
        add_with(service, "10.0.1.7:80", heavy),
        add_to(service, "10.0.1.8:0"),
        add_to(service, "10.0.1.9:80"),
    ];
    let outcomes = world.ipvs.execute(&commands);
    let invalid = |n: usize| {
        Err(CommandError::Invalid(Box::new(
            commands[n].validate().unwrap_err(),
        )))
    };
    assert_eq!(outcomes, [Ok(()), invalid(1), invalid(2), Ok(())]);
    assert_eq!(world.destinations(service).len(), 1);
}

/// Set where this program is run by itself, with less power.
pub const WEAK: &str = "IPVS_TEST_WEAK";

/// What it does then.
pub fn weak() {
    assert_eq!(Ipvs::open().unwrap_err(), Error::NotPermitted);
}

pub async fn who_may_not_is_told_so() {
    let own = std::env::current_exe().unwrap();
    for (program, arguments) in [
        ("unshare", "--user --map-root-user --net"),
        ("setpriv", "--bounding-set -net_admin"),
    ] {
        let mut weak = Process::new(program);
        weak.args(arguments.split(' ')).arg(&own).env(WEAK, "1");
        let output = weak.output();
        let output = output.unwrap_or_else(|error| panic!("needs {program}: {error}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {text}");
    }
}
