//! What Docker's API says, in our own types.

use std::net::{IpAddr, SocketAddr};

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, CreateImageInfo,
    Health, HealthConfig, HealthStatusEnum, ImageInspect, NetworkSettings, PortBinding,
};

use crate::runtime::{Container, Exit, Image, ImageHealth, PullProgress, State};

pub(super) fn image(found: ImageInspect) -> Image {
    let check = found.config.and_then(|config| config.healthcheck);
    Image {
        id: found.id.unwrap_or_default(),
        has_healthcheck: check.is_some_and(|check| is_carried_out(&check)),
    }
}

fn is_carried_out(check: &HealthConfig) -> bool {
    let kind = check.test.as_ref().and_then(|test| test.first());
    kind.is_some_and(|kind| kind != "NONE")
}

pub(super) fn report(progress: &mut PullProgress, report: &CreateImageInfo) {
    let (Some(layer), Some(status)) = (&report.id, &report.status) else {
        return;
    };
    let detail = report.progress_detail.as_ref();
    let bytes = detail.and_then(|detail| {
        let bytes = u64::try_from(detail.current?).ok()?;
        Some((bytes, u64::try_from(detail.total?).ok()?))
    });
    progress.report(layer, status, bytes);
}

pub(super) fn container(found: ContainerInspectResponse) -> Container {
    let docker_state = found.state.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let settings = found.network_settings.unwrap_or_default();
    let host_config = found.host_config.unwrap_or_default();
    let name = found.name.unwrap_or_default();
    Container {
        id: found.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        pid: docker_state
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0),
        // Of a container that was never started it is the year 1.
        started: docker_state
            .started_at
            .as_deref()
            .filter(|time| !time.starts_with("0001-"))
            .and_then(|time| time.parse().ok()),
        health: docker_state.health.as_ref().and_then(health),
        has_healthcheck: config.healthcheck.as_ref().is_some_and(is_carried_out),
        stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
        network_mode: host_config.network_mode.unwrap_or_default(),
        addresses: addresses(&settings),
        ports: ports(settings),
        ..Container::new(state(docker_state))
    }
}

fn state(found: ContainerState) -> State {
    match found.status.unwrap_or(Status::EMPTY) {
        Status::CREATED => State::Created,
        Status::PAUSED => State::Paused,
        Status::EXITED | Status::DEAD => State::Exited(Exit {
            code: found
                .exit_code
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(u8::MAX),
            out_of_memory: found.oom_killed.unwrap_or_default(),
            words: found.error.unwrap_or_default(),
        }),
        Status::REMOVING => State::Removing,
        Status::EMPTY | Status::RUNNING | Status::RESTARTING | Status::STOPPING => State::Running,
    }
}

fn health(found: &Health) -> Option<ImageHealth> {
    let healthy = match found.status? {
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => return None,
        HealthStatusEnum::STARTING => None,
        HealthStatusEnum::HEALTHY => Some(true),
        HealthStatusEnum::UNHEALTHY => Some(false),
    };
    let last = found.log.as_ref().and_then(|log| log.last());
    let output = last.and_then(|check| check.output.clone());
    Some(ImageHealth {
        healthy,
        output: output.unwrap_or_default().trim().to_owned(),
    })
}

fn addresses(settings: &NetworkSettings) -> std::collections::BTreeMap<String, IpAddr> {
    let networks = settings.networks.iter().flatten();
    networks
        .filter_map(|(network, endpoint)| {
            let v4 = endpoint.ip_address.as_ref();
            let v6 = endpoint.global_ipv6_address.as_ref();
            let known = v4.into_iter().chain(v6).find_map(|text| text.parse().ok());
            Some((network.clone(), known?))
        })
        .collect()
}

fn ports(settings: NetworkSettings) -> std::collections::BTreeMap<String, Vec<SocketAddr>> {
    let address = |binding: PortBinding| {
        let ip: IpAddr = binding.host_ip?.parse().ok()?;
        Some(SocketAddr::new(ip, binding.host_port?.parse().ok()?))
    };
    let ports = settings.ports.unwrap_or_default().into_iter();
    ports
        .filter_map(|(port, bindings)| Some((port, bindings?)))
        .map(|(port, bindings)| (port, bindings.into_iter().filter_map(address).collect()))
        .collect()
}
