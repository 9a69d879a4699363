//! What can be published of this container, and what cannot.

use presence::keys::Tree;

use super::{Definition, KeyTemplate, MemberTarget, NetworkMode, Scope, Target, Variable};
use crate::document::{Finding, Path};

pub(super) fn check_publish(definition: &Definition) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, target) in definition.publish.iter().enumerate() {
        let path = Path::key("publish").then_index(index);
        let wrong = [
            repeated(definition, index, target),
            unknown_port(definition, target),
            unknown_address(definition, target),
            per_instance(definition, target),
            match target {
                Target::Member(member) => far_address(member),
                Target::Service(_) => None,
            },
        ];
        let finding = |(message, hint): (String, &str)| {
            let finding = Finding::new(path.clone(), message);
            if hint.is_empty() {
                finding
            } else {
                finding.hint(hint)
            }
        };
        findings.extend(wrong.into_iter().flatten().map(finding));
    }
    findings
}

/// Absolute keys that are not below the prefix of the tree that the definition is published in.
pub(super) fn outside(definition: &Definition, tree: &Tree) -> Vec<Finding> {
    let targets = definition.publish.iter().enumerate();
    let outside = targets.filter_map(|(index, target)| match target {
        Target::Member(member) if !member.key.is_within(tree) => Some((index, &member.key)),
        _ => None,
    });
    let finding = |(index, key): (usize, &KeyTemplate)| {
        let path = Path::key("publish").then_index(index);
        let message = format!(
            "invalid key {:?}: expected a key below {:?}",
            key.to_string(),
            tree.prefix()
        );
        let hint = format!("write it relative to the prefix: {}", key.member());
        Finding::new(path, message).hint(hint)
    };
    outside.map(finding).collect()
}

type Wrong = Option<(String, &'static str)>;

fn repeated(definition: &Definition, index: usize, target: &Target) -> Wrong {
    let same = |other: &Target| match (other, target) {
        // Relative or absolute: only one tree is published in.
        (Target::Member(one), Target::Member(other)) => one.key.member() == other.key.member(),
        (Target::Service(one), Target::Service(other)) => one.service == other.service,
        _ => false,
    };
    let before = definition.publish[..index].iter().position(same)?;
    Some((format!("publish[{before}] is the same already"), ""))
}

fn unknown_port(definition: &Definition, target: &Target) -> Wrong {
    let needs = [Variable::Port, Variable::HostPort];
    let needed = needs.into_iter().find(|variable| target.has(*variable))?;
    definition.service_port().is_none().then(|| {
        (
            format!("{needed} is not known"),
            "write port, the one that the service listens at",
        )
    })
}

/// Without a network of its own the container has no address and no port of the host.
fn unknown_address(definition: &Definition, target: &Target) -> Wrong {
    let mode = definition
        .network_mode
        .as_ref()
        .filter(|_| !definition.has_address())?;
    let needs = [Variable::ContainerIp, Variable::HostPort];
    let needed = needs.into_iter().find(|variable| target.has(*variable))?;
    let hint = match mode {
        NetworkMode::Host => "write $HOST_IP:$PORT: the container listens at the host's addresses",
        _ => "",
    };
    Some((
        format!("there is no {needed} with network_mode: {mode}"),
        hint,
    ))
}

/// What belongs to the service stays while instances come and go.
fn per_instance(definition: &Definition, target: &Target) -> Wrong {
    if target.scope() != Scope::Service {
        return None;
    }
    let port = definition.service_port();
    let is_fixed = definition
        .ports
        .0
        .iter()
        .any(|mapping| Some(mapping.target) == port && mapping.published.is_some());
    let changing = match (
        target.has(Variable::ContainerIp),
        target.has(Variable::HostPort),
    ) {
        (true, _) => Variable::ContainerIp,
        (_, true) if !is_fixed => Variable::HostPort,
        _ => return None,
    };
    Some((
        format!(
            "{changing} is another one for each instance, and scope: service is for all of them"
        ),
        "write $HOST_IP and a port of the host that is fixed in ports",
    ))
}

/// A container's address is known to nobody but its host, unless somebody says so.
fn far_address(member: &MemberTarget) -> Wrong {
    let is_far = member.key.member().has(Variable::ContainerIp)
        && !member.routed
        && !member.key.is_in_own_region();
    is_far.then(|| {
        (
            "$CONTAINER_IP is not reached from other hosts, and the region is not $HOSTNAME, the \
             host's own"
                .to_owned(),
            "write $HOST_IP:$HOST_PORT, or routed: true if its network is routed",
        )
    })
}
