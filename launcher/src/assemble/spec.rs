//! What the container is to be.

use std::collections::BTreeMap;

use presence::model::DefinitionRevision;

use super::{AssembleError, HostEnvironment, device};
use crate::definition::{
    Bytes, Definition, HealthCheck, ImageCheck, NetworkMode as Asked, Pairs, PortMapping, Protocol,
    Variable,
};
use crate::runtime::spec::{
    Files, HealthTiming, Limits, Network, NetworkMode, OwnCheck, Process, Security,
};
use crate::runtime::{ContainerSpec, Identity};

/// What the container of this instance is to be: everything in the definition that Docker is to do.
pub fn spec(
    definition: &Definition,
    identity: Identity,
    revision: DefinitionRevision,
    environment: &HostEnvironment,
) -> Result<ContainerSpec, AssembleError> {
    Ok(ContainerSpec {
        platform: definition.platform.clone(),
        build: definition.build.clone(),
        labels: pairs(&definition.labels),
        process: process(definition, environment)?,
        network: network(definition),
        files: files(definition)?,
        limits: limits(definition),
        security: security(definition),
        health: own_check(definition),
        ..ContainerSpec::new(identity, revision, definition.image.as_str())
    })
}

fn process(
    definition: &Definition,
    environment: &HostEnvironment,
) -> Result<Process, AssembleError> {
    let words = |words: &Option<crate::definition::Words>| words.clone().map(|words| words.0);
    Ok(Process {
        entrypoint: words(&definition.entrypoint),
        command: words(&definition.command),
        environment: environment.of(definition)?,
        working_dir: definition.working_dir.clone(),
        user: definition.user.clone(),
        groups: definition.group_add.clone(),
        init: definition.init,
        tty: definition.tty,
        stdin_open: definition.stdin_open,
        stop_signal: definition.stop_signal.clone(),
    })
}

fn network(definition: &Definition) -> Network {
    let networks = &definition.networks.0;
    Network {
        mode: match &definition.network_mode {
            None if !networks.is_empty() => NetworkMode::Named(networks.clone()),
            None | Some(Asked::Bridge) => NetworkMode::Bridge,
            Some(Asked::Host) => NetworkMode::Host,
            Some(Asked::None) => NetworkMode::None,
            Some(Asked::Container(name)) => NetworkMode::Container(name.clone()),
        },
        ports: ports(definition),
        hostname: definition.hostname.clone(),
        dns: definition.dns.0.clone(),
        dns_options: definition.dns_opt.clone(),
        dns_search: definition.dns_search.0.clone(),
        extra_hosts: pairs(&definition.extra_hosts),
    }
}

/// What is in `ports`; and `port`, if `$HOST_PORT` is published and nothing there leads to it.
fn ports(definition: &Definition) -> Vec<PortMapping> {
    let mut ports = definition.ports.0.clone();
    let is_published = |target: &crate::definition::Target| target.has(Variable::HostPort);
    let wanted = definition.service_port();
    let wanted = wanted.filter(|_| definition.publish.iter().any(is_published));
    let leads_to =
        |mapping: &PortMapping| mapping.protocol == Protocol::Tcp && Some(mapping.target) == wanted;
    if let Some(target) = wanted.filter(|_| !ports.iter().any(leads_to)) {
        ports.push(PortMapping {
            target,
            published: None,
            host_ip: None,
            protocol: Protocol::Tcp,
        });
    }
    ports
}

fn files(definition: &Definition) -> Result<Files, AssembleError> {
    let tmpfs = definition.tmpfs.0.iter().map(|tmpfs| {
        let (target, options) = tmpfs.split_once(':').unwrap_or((tmpfs, ""));
        (target.to_owned(), options.to_owned())
    });
    let devices = definition.devices.iter().enumerate();
    let devices = devices.map(|(index, device)| device::parse(index, device));
    Ok(Files {
        mounts: definition.volumes.clone(),
        tmpfs: tmpfs.collect(),
        read_only: definition.read_only,
        devices: devices.collect::<Result<_, _>>()?,
    })
}

fn limits(definition: &Definition) -> Limits {
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
    Limits {
        memory: bytes(definition.mem_limit),
        memory_reservation: bytes(definition.mem_reservation),
        memory_and_swap: bytes(definition.memswap_limit),
        shm_size: bytes(definition.shm_size),
        nano_cpus: definition.cpus.map(nano),
        cpu_shares: definition.cpu_shares,
        cpuset: definition.cpuset.clone(),
        pids: definition.pids_limit,
        ulimits: definition.ulimits.clone(),
        oom_score_adj: definition.oom_score_adj,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the definition's checks let through only what is above 0, and more processors than \
              that are all of them"
)]
fn nano(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}

fn security(definition: &Definition) -> Security {
    Security {
        cap_add: definition.cap_add.clone(),
        cap_drop: definition.cap_drop.clone(),
        privileged: definition.privileged,
        options: definition.security_opt.clone(),
        sysctls: pairs(&definition.sysctls),
        pid: definition.pid.clone(),
        ipc: definition.ipc.clone(),
        uts: definition.uts.clone(),
        userns: definition.userns_mode.clone(),
        cgroup_parent: definition.cgroup_parent.clone(),
        runtime: definition.runtime.clone(),
    }
}

/// The image's own check costs a process in the container each time: none is started for nobody.
fn own_check(definition: &Definition) -> OwnCheck {
    match &definition.health_check {
        None => OwnCheck::AsIs,
        Some(HealthCheck::Image(check)) => timed(check),
        Some(_) => OwnCheck::Off,
    }
}

fn timed(check: &ImageCheck) -> OwnCheck {
    let timing = HealthTiming {
        interval: check.interval.map(|time| time.0),
        timeout: check.timeout.map(|time| time.0),
        retries: check.fall.map(std::num::NonZero::get),
        // Docker asks more often only in a start period.
        start_period: check.start_interval.map(|_| check.start_timeout.0),
        start_interval: check.start_interval.map(|time| time.0),
    };
    if timing == HealthTiming::default() {
        return OwnCheck::AsIs;
    }
    OwnCheck::Timed(timing)
}

/// One without a value has an empty one.
fn pairs(pairs: &Pairs) -> BTreeMap<String, String> {
    let pairs = pairs.0.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::instance::InstanceName;

    pub fn definition(document: &str) -> Definition {
        let parsed = crate::definition::parse(document);
        parsed.unwrap().definition
    }

    fn made(keys: &str) -> Result<ContainerSpec, String> {
        let identity = Identity {
            service: "web".parse().unwrap(),
            instance: InstanceName::Newest,
            host_id: "host-1".parse().unwrap(),
        };
        let definition = definition(&format!("{{image: web, {keys}}}"));
        let revision = "42-0a1b2c3d".parse().unwrap();
        let made = spec(&definition, identity, revision, &HostEnvironment::default());
        made.map_err(|error| error.to_string())
    }

    #[test]
    fn what_nobody_says_is_docker_s() {
        let found = made("pull_policy: never").unwrap();
        let plain = ContainerSpec::new(found.identity.clone(), found.revision, "web");
        assert_eq!(found, plain);
    }

    #[test]
    fn networks() {
        let named = |names: &[(&str, &[&str])]| {
            let named = names
                .iter()
                .map(|(name, aliases)| crate::definition::Network {
                    name: (*name).to_owned(),
                    aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
                });
            NetworkMode::Named(named.collect())
        };
        for (keys, expected) in [
            ("port: 80", NetworkMode::Bridge),
            ("network_mode: bridge", NetworkMode::Bridge),
            ("network_mode: host", NetworkMode::Host),
            ("network_mode: none", NetworkMode::None),
            (
                "network_mode: 'container:x'",
                NetworkMode::Container("x".to_owned()),
            ),
            ("networks: [b, a]", named(&[("b", &[]), ("a", &[])])),
            (
                "networks: {b: , a: {aliases: [x]}}",
                named(&[("a", &["x"]), ("b", &[])]),
            ),
        ] {
            assert_eq!(made(keys).unwrap().network.mode, expected, "{keys}");
        }
    }

    #[test]
    fn a_port_of_the_host_that_is_published_is_opened() {
        let key = "publish: ['/lbManager/elb/us-east-1/n/multiple/$INSTANCE_ID', \
                   {service: web, info: {at: '$HOST_IP:$HOST_PORT'}}]";
        let without = "publish: [{service: web, info: {at: '$HOST_IP:$PORT'}}]";
        for (ports, publish, expected) in [
            ("port: 80", key, &["80"][..]),
            ("port: 80", without, &[]),
            ("port: 80, ports: [8080:80]", key, &["8080:80"]),
            (
                "port: 80, ports: ['127.0.0.1::80']",
                key,
                &["127.0.0.1::80"],
            ),
            ("port: 80, ports: [80/udp]", key, &["80/udp", "80"]),
            ("port: 80, ports: [81, 82]", key, &["81", "82", "80"]),
            ("ports: [81]", key, &["81"]),
        ] {
            let found = made(&format!("{ports}, {publish}")).unwrap().network.ports;
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{ports}");
        }
    }

    #[test]
    fn the_image_s_own_check() {
        let timed = |timing| OwnCheck::Timed(timing);
        let second = std::time::Duration::from_secs(1);
        for (check, expected) in [
            ("port: 80", OwnCheck::AsIs),
            ("health_check: image", OwnCheck::AsIs),
            ("health_check: none", OwnCheck::Off),
            ("health_check: tcp, port: 80", OwnCheck::Off),
            ("healthcheck: {disable: true}", OwnCheck::Off),
            (
                "health_check: {image: {interval: 1s, fall: 2}}",
                timed(HealthTiming {
                    interval: Some(second),
                    retries: Some(2),
                    ..HealthTiming::default()
                }),
            ),
            (
                "health_check: {image: {timeout: 1s, start_interval: 1s, start_timeout: 9s}}",
                timed(HealthTiming {
                    timeout: Some(second),
                    start_interval: Some(second),
                    start_period: Some(second * 9),
                    ..HealthTiming::default()
                }),
            ),
        ] {
            assert_eq!(made(check).unwrap().health, expected, "{check}");
        }
    }

    #[test]
    fn what_docker_would_not_take_is_named() {
        let error = made("devices: [/dev/null, '/dev/zero:/dev/zero:q']").unwrap_err();
        let expected = "devices[1]: \"/dev/zero:/dev/zero:q\" is not of the form \
                        PATH[:PATH_INSIDE[:rwm]]";
        assert_eq!(error, expected);
    }

    #[test]
    fn processors_are_counted_exactly() {
        for (cpus, expected) in [
            ("0.01", 10_000_000),
            ("1.1", 1_100_000_000),
            ("3", 3_000_000_000),
        ] {
            let found = made(&format!("cpus: {cpus}")).unwrap().limits.nano_cpus;
            assert_eq!(found, Some(expected));
        }
    }
}
