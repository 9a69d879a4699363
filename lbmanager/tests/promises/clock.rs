//! The wall clock is stepped between two runs of a manager.

use std::collections::BTreeMap;

use testbed::aws::{Effect, Fault};
use testbed::process::{Stream, installed};

use crate::real::{A, B, C, D, E, REGION, Rig, SOON, set, withheld};
use crate::world::{LONG, apply_a_delete, deregistrations, put_leased};

/// The environment in which a program sees another wall clock.
async fn stepped(by: &str) -> BTreeMap<String, String> {
    let program = installed("faketime", "apt-get install faketime").unwrap();
    let mut running = program.args(["-f", by, "env"]).start().await.unwrap();
    assert!(running.wait(SOON).await.unwrap().success());
    let lines = running.text(Stream::Stdout);
    let variables = lines.lines().filter_map(|line| line.split_once('='));
    let mut variables: BTreeMap<String, String> = variables
        .filter(|(name, _)| *name == "LD_PRELOAD" || *name == "FAKETIME")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // Only the wall clock is stepped on a real machine.
    variables.insert("DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned());
    variables
}

async fn set_clock(rig: &mut Rig, by: &str) {
    let clock = stepped(by).await;
    rig.set(|launch| {
        clock
            .into_iter()
            .fold(launch, |launch, (name, value)| launch.env(&name, value))
    });
}

/// Two of four are held, and nothing reports their health: `--hold` ends the
/// hold then.
async fn step(first: &str, second: &str) {
    let mut rig = Rig::idle().await;
    rig.aws.create(REGION, "web");
    set_clock(&mut rig, first).await;
    rig.run().await;
    let lease = rig.etcd.lease_grant(LONG).await.unwrap();
    put_leased(&rig, "web", &[A, B, C, D], lease).await;
    rig.until_serving("web", &[A, B, C, D]).await;
    let denied = Fault::new(Effect::AccessDenied).operation("DescribeInstanceHealth");
    rig.aws.faults().add(denied);
    rig.etcd.lease_revoke(lease).await.unwrap();
    let held = |status: &serde_json::Value| withheld(status) == set(&[C, D]);
    rig.until_status("web", "C and D are held", held).await;
    rig.until_registered("web", &[C, D]).await;

    rig.stop().await;
    set_clock(&mut rig, second).await;
    rig.run().await;
    rig.put("web", &[E]).await;
    rig.until_registered("web", &[C, D, E]).await;
    rig.del("web", E).await;
    rig.until_registered("web", &[C, D]).await;
    rig.until_status("web", "C and D are held", held).await;
    assert_eq!(deregistrations(&rig, "web"), 3);
    rig.aws.faults().clear();
    apply_a_delete(&rig, "web", &[C, D]).await;
    rig.assert_kept("web", &[C, D]);
}

#[tokio::test]
async fn a_clock_that_was_two_hours_behind_ends_no_hold() {
    step("-2h", "+0").await;
}

#[tokio::test]
async fn a_clock_that_was_two_hours_ahead_ends_no_hold() {
    step("+2h", "+0").await;
}

#[tokio::test]
async fn a_clock_stepped_forward_by_two_hours_ends_no_hold() {
    step("+0", "+2h").await;
}
