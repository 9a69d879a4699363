//! A spec in the words of Docker's API.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountType, NetworkingConfig, PortBinding, ResourcesUlimits,
};

use crate::runtime::spec::{
    ContainerSpec, HealthTiming, Joined, Limits, Network, NetworkMode, OwnCheck, PortMapping,
    Source, Ulimit, Volume,
};

/// Keeps what was written until it is read, in little space.
const LOG_DRIVER: &str = "local";
/// So that no disk is filled, whatever the daemon's own defaults are: 150 MB, of which the oldest go
/// first, and all but the newest file are compressed. So much may come while nobody takes it. Files
/// are large because who follows may not fall behind by more than one.
const LOG_LIMITS: [(&str, &str); 2] = [("max-size", "50m"), ("max-file", "3")];

pub(super) fn of(spec: &ContainerSpec) -> ContainerCreateBody {
    let process = &spec.process;
    let ports = &spec.network.ports;
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        labels: Some(map(&spec.all_labels())),
        entrypoint: process.entrypoint.clone(),
        cmd: process.command.clone(),
        env: some(pairs(&process.environment, '=')),
        working_dir: process.working_dir.clone(),
        user: process.user.clone(),
        tty: Some(process.tty),
        open_stdin: Some(process.stdin_open),
        stop_signal: process.stop_signal.clone(),
        hostname: spec.network.hostname.clone(),
        exposed_ports: some(ports.iter().map(PortMapping::inside).collect()),
        healthcheck: health(spec.health),
        networking_config: first_network(&spec.network.mode),
        host_config: Some(host_config(spec)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let (files, network, security) = (&spec.files, &spec.network, &spec.security);
    // Only the older form takes all options; it makes a path that is missing.
    let (plain, special): (Vec<&Volume>, _) =
        files.mounts.iter().partition(|one| one.options.is_empty());
    HostConfig {
        log_config: Some(HostConfigLogConfig {
            typ: Some(LOG_DRIVER.to_owned()),
            config: Some(LOG_LIMITS.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        }),
        init: Some(spec.process.init),
        group_add: some(spec.process.groups.clone()),
        network_mode: Some(network.mode.to_string()),
        port_bindings: Some(port_bindings(network)),
        dns: some(network.dns.clone()),
        dns_options: some(network.dns_options.clone()),
        dns_search: some(network.dns_search.clone()),
        extra_hosts: some(pairs(&network.extra_hosts, ':')),
        mounts: some(plain.into_iter().map(mount).collect()),
        binds: some(special.into_iter().map(ToString::to_string).collect()),
        tmpfs: Some(map(&files.tmpfs)),
        readonly_rootfs: Some(files.read_only),
        devices: some(files.devices.iter().map(device).collect()),
        sysctls: Some(map(&security.sysctls)),
        cap_add: some(security.cap_add.clone()),
        cap_drop: some(security.cap_drop.clone()),
        privileged: Some(security.privileged),
        security_opt: some(security.options.clone()),
        pid_mode: security.pid.clone(),
        ipc_mode: security.ipc.clone(),
        uts_mode: security.uts.clone(),
        userns_mode: security.userns.clone(),
        cgroup_parent: security.cgroup_parent.clone(),
        runtime: security.runtime.clone(),
        ..limits(&spec.limits)
    }
}

fn limits(limits: &Limits) -> HostConfig {
    let ulimit = |(name, limit): (&String, &Ulimit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    HostConfig {
        memory: limits.memory.map(signed),
        memory_reservation: limits.memory_reservation.map(signed),
        memory_swap: limits.memory_and_swap.map(signed),
        shm_size: limits.shm_size.map(signed),
        nano_cpus: limits.nano_cpus.map(signed),
        cpu_shares: limits.cpu_shares.map(i64::from),
        cpuset_cpus: limits.cpuset.clone(),
        pids_limit: limits.pids,
        ulimits: some(limits.ulimits.iter().map(ulimit).collect()),
        oom_score_adj: Some(limits.oom_score_adj.into()),
        ..HostConfig::default()
    }
}

fn first_network(mode: &NetworkMode) -> Option<NetworkingConfig> {
    let NetworkMode::Named(networks) = mode else {
        return None;
    };
    let endpoint = |joined: &Joined| HashMap::from([(joined.name.clone(), settings(joined))]);
    Some(NetworkingConfig {
        endpoints_config: networks.first().map(endpoint),
    })
}

/// How it is known on this network.
pub(super) fn settings(joined: &Joined) -> EndpointSettings {
    EndpointSettings {
        aliases: Some(joined.aliases.clone()),
        ..EndpointSettings::default()
    }
}

fn port_bindings(network: &Network) -> HashMap<String, Option<Vec<PortBinding>>> {
    let binding = |port: &PortMapping| PortBinding {
        host_ip: port.host_ip.map(|address| address.to_string()),
        host_port: port.published.map(|port| port.to_string()),
    };
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &network.ports {
        let of_port = bindings.entry(port.inside()).or_default();
        of_port.get_or_insert_default().push(binding(port));
    }
    bindings
}

fn mount(volume: &Volume) -> Mount {
    let (typ, source) = match &volume.source {
        Source::Path(path) => (MountType::BIND, Some(path.clone())),
        Source::Volume(name) => (MountType::VOLUME, Some(name.clone())),
        Source::Anonymous => (MountType::VOLUME, None),
    };
    Mount {
        typ: Some(typ),
        source,
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
        ..Mount::default()
    }
}

fn device((host, inside, permissions): &(String, String, String)) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(host.clone()),
        path_in_container: Some(inside.clone()),
        cgroup_permissions: Some(permissions.clone()),
    }
}

/// What is not given stays as the image has it.
fn health(check: OwnCheck) -> Option<HealthConfig> {
    match check {
        OwnCheck::AsIs => None,
        OwnCheck::Off => Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        OwnCheck::Timed(timing) => Some(timed(timing)),
    }
}

fn timed(timing: HealthTiming) -> HealthConfig {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        test: None,
        interval: timing.interval.map(nanos),
        timeout: timing.timeout.map(nanos),
        retries: timing.retries.map(i64::from),
        start_period: timing.start_period.map(nanos),
        start_interval: timing.start_interval.map(nanos),
    }
}

fn map(values: &BTreeMap<String, String>) -> HashMap<String, String> {
    values.clone().into_iter().collect()
}

fn pairs(values: &BTreeMap<String, String>, between: char) -> Vec<String> {
    let pair = |(name, value): (&String, &String)| format!("{name}{between}{value}");
    values.iter().map(pair).collect()
}

/// An empty list would be in place of the image's.
fn some<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
