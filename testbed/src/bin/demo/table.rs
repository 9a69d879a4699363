//! The small table after each step: tree, load balancer, how soon, and the calls it took.

use std::collections::BTreeSet;
use std::time::Duration;

use testbed::Result;
use testbed::aws::{Change, Event};
use tokio::time::Instant;

use crate::balancers::Scene;
use crate::screen::Look;
use crate::stage::Balancer;

const OPERATIONS: [(&str, &str); 4] = [
    ("describe", "DescribeLoadBalancers"),
    ("health", "DescribeInstanceHealth"),
    ("register", "RegisterInstancesWithLoadBalancer"),
    ("deregister", "DeregisterInstancesFromLoadBalancer"),
];

pub async fn members(scene: &Scene<'_>, balancer: &Balancer) -> Result<()> {
    let keys = scene.stage.etcd.get_prefix(&balancer.prefix()).await?;
    let registered = balancer.handle.registered();
    let in_service = balancer.handle.in_service();
    let class = format!("/{}/", balancer.class);
    let listed = keys
        .keys()
        .filter_map(|key| Some(key.split_once(&class)?.1));
    let asked = scene.asked.iter().map(|(member, _)| member.as_str());
    let there = registered.iter().map(String::as_str);
    let shown: BTreeSet<&str> = listed.chain(asked).chain(there).collect();
    let head = format!(
        "   {:<12} {:<14} {:<14} {}",
        "member", "key in etcd", "load balancer", "after the command"
    );
    scene.screen.line(&scene.screen.paint(Look::Dim, &head));
    for member in shown {
        let key = if keys.contains_key(&balancer.key(member)) {
            balancer.class
        } else {
            "-"
        };
        let state = match (registered.contains(member), in_service.contains(member)) {
            (_, true) => "in service",
            (true, false) => "starting",
            (false, false) => "-",
        };
        let line = format!(
            "   {member:<12} {key:<14} {state:<14} {}",
            soon(scene, balancer, member)
        );
        scene.screen.line(line.trim_end());
    }
    Ok(())
}

/// What lbmanager did to a member, and how long after the command that was.
fn soon(scene: &Scene<'_>, balancer: &Balancer, member: &str) -> String {
    let timeline = balancer.handle.timeline();
    let done = timeline.of(member).filter(|event| event.call.is_some());
    let words = done.filter_map(|event| {
        let after = event
            .at
            .saturating_duration_since(cause(scene, member, event.at)?);
        Some(format!("{} {}", verb(event)?, time(after)))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The last command about this member, or else about another one, before that time.
fn cause(scene: &Scene<'_>, member: &str, at: Instant) -> Option<Instant> {
    let before = || scene.asked.iter().rev().filter(|(_, asked)| *asked <= at);
    let own = before().find(|(asked, _)| asked == member);
    own.or_else(|| before().next()).map(|(_, asked)| *asked)
}

fn verb(event: &Event) -> Option<&'static str> {
    match event.change {
        Change::Registered | Change::Revived => Some("registered"),
        Change::Deregistered => Some("out"),
        Change::Drained | Change::HealthSet => None,
    }
}

fn time(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f32()),
    }
}

pub fn calls(scene: &Scene<'_>) {
    let made = scene.calls();
    let counts = OPERATIONS.map(|(name, operation)| {
        let count = made.iter().filter(|call| call.operation == operation);
        format!("{} {name}", count.count())
    });
    let text = format!("   calls to AWS: {}", counts.join(", "));
    scene.screen.line(&scene.screen.paint(Look::Dim, &text));
    scene.screen.line("");
}
