//! What only the whole definition can tell.

use std::collections::BTreeSet;

use super::check_publish::check_publish;
use super::limits::ULIMITS;
use super::signal::is_signal;
use super::volumes::absolute;
use super::{Definition, Image, NetworkMode, Pairs, Port, Protocol};
use crate::document::{Finding, Path, nearest};

/// Docker's own least.
const LEAST_MEMORY: u64 = 6 << 20;

impl Definition {
    /// The port that the service listens at: `port`, or the only one in `ports`.
    pub fn service_port(&self) -> Option<Port> {
        let tcp = |protocol| protocol == Protocol::Tcp;
        self.port.or(match self.ports.0.as_slice() {
            [only] if tcp(only.protocol) => Some(only.target),
            _ => None,
        })
    }

    /// The port that `monitor` asks: that of the service, or 80, as the prior system has it.
    pub fn monitor_port(&self) -> Port {
        self.service_port().unwrap_or(Port(80))
    }

    /// Whether the container has an address of its own.
    pub fn has_address(&self) -> bool {
        matches!(self.network_mode, None | Some(NetworkMode::Bridge))
    }
}

/// Everything that is wrong with values that are each right by themselves.
pub(super) fn check(definition: &Definition) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    if definition.image == Image::NONE {
        findings.add("image", "is missing: write the image that is to run");
    }
    findings.labels(definition);
    findings.stop_signal(definition);
    findings.paths(definition);
    findings.values("sysctls", &definition.sysctls);
    findings.values("extra_hosts", &definition.extra_hosts);
    findings.namespaces(definition);
    findings.limits(definition);
    findings.network(definition);
    findings.mounts(definition);
    findings.times(definition);
    findings.health(definition);
    findings.monitor(definition);
    findings.0.extend(check_publish(definition));
    findings.0
}

/// What is wrong so far.
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, key: &str, message: impl Into<String>) {
        self.0.push(Finding::new(Path::key(key), message));
    }

    fn labels(&mut self, definition: &Definition) {
        for label in definition.labels.0.keys() {
            if label.starts_with("launcher.") {
                let path = Path::key("labels").then_key(label);
                let message = "labels that begin with launcher. are launcher's own";
                self.0.push(Finding::new(path, message));
            }
        }
    }

    fn stop_signal(&mut self, definition: &Definition) {
        let signal = definition.stop_signal.as_deref().unwrap_or("SIGTERM");
        if !is_signal(signal) {
            let message = format!(
                "{signal:?} is no signal: SIGTERM, 15 or SIGRTMIN+3, for example, is expected"
            );
            self.add("stop_signal", message);
        }
    }

    fn paths(&mut self, definition: &Definition) {
        let working_dir = definition.working_dir.as_deref().unwrap_or("/");
        if !working_dir.starts_with('/') {
            self.add(
                "working_dir",
                format!("{working_dir:?} is no absolute path"),
            );
        }
        for (index, path) in definition.env_file.0.0.iter().enumerate() {
            self.host_path(Path::key("env_file").then_index(index), path);
        }
        let Some(build) = &definition.build else {
            return;
        };
        self.host_path(Path::key("build").then_key("context"), &build.context);
        let file = build.dockerfile.as_deref().unwrap_or_default();
        if file.starts_with('/') || file.split('/').any(|part| part == "..") {
            let path = Path::key("build").then_key("dockerfile");
            self.0.push(Finding::new(
                path,
                format!("{file:?} is no path within context"),
            ));
        }
    }

    /// Unlike a variable, these are not taken from anywhere else.
    fn values(&mut self, key: &str, pairs: &Pairs) {
        for (name, _) in pairs.0.iter().filter(|(_, value)| value.is_none()) {
            let path = Path::key(key).then_key(name);
            self.0.push(Finding::new(path, "it has no value"));
        }
    }

    /// Whose namespaces it may share, in Docker's words.
    fn namespaces(&mut self, definition: &Definition) {
        let ipc = ["host", "none", "private", "shareable"];
        let host = ["host"];
        for (key, value, known, of_container) in [
            ("pid", &definition.pid, &host[..], true),
            ("ipc", &definition.ipc, &ipc[..], true),
            ("uts", &definition.uts, &host[..], false),
            ("userns_mode", &definition.userns_mode, &host[..], false),
        ] {
            let Some(value) = value else { continue };
            let is_container = of_container
                && value
                    .strip_prefix("container:")
                    .is_some_and(|name| !name.is_empty());
            if !is_container && !known.contains(&value.as_str()) {
                let container = if of_container { ", container:NAME" } else { "" };
                let known = known.join(", ");
                self.add(key, format!("{value:?} is none of {known}{container}"));
            }
        }
    }

    /// The two things that make a path of the host ambiguous.
    pub(super) fn host_path(&mut self, path: Path, text: &str) {
        if let Err(why) = absolute("path", text) {
            self.0.push(Finding::new(path, why));
        }
    }

    fn limits(&mut self, definition: &Definition) {
        for name in definition.ulimits.keys() {
            if !ULIMITS.contains(&name.as_str()) {
                let known = match nearest(name, ULIMITS) {
                    Some(nearest) => format!("did you mean {nearest:?}?"),
                    None => format!("known are {}", ULIMITS.join(", ")),
                };
                let path = Path::key("ulimits").then_key(name);
                self.0
                    .push(Finding::new(path, "there is no such limit").hint(known));
            }
        }
        if let Some(cpus) = definition.cpus.filter(|cpus| *cpus < 0.01) {
            self.add(
                "cpus",
                format!("{cpus} is below 0.01, the least that Docker takes"),
            );
        }
        if !(-1000..=1000).contains(&definition.oom_score_adj) {
            let found = definition.oom_score_adj;
            self.add(
                "oom_score_adj",
                format!("{found} is not from -1000 to 1000"),
            );
        }
        if let Some(limit) = definition
            .pids_limit
            .filter(|limit| *limit < -1 || *limit == 0)
        {
            self.add(
                "pids_limit",
                format!("{limit} is not above 0, and not -1 for no limit"),
            );
        }
        let Some(limit) = definition.mem_limit else {
            return;
        };
        if limit.0 < LEAST_MEMORY {
            self.add(
                "mem_limit",
                format!("{limit} bytes are below 6m, the least that Docker takes"),
            );
        }
        if definition
            .mem_reservation
            .is_some_and(|reserved| reserved > limit)
        {
            self.add("mem_reservation", "it is above mem_limit");
        }
        if definition.memswap_limit.is_some_and(|both| both < limit) {
            self.add("memswap_limit", "it is below mem_limit, which it includes");
        }
    }

    fn network(&mut self, definition: &Definition) {
        let Some(mode) = &definition.network_mode else {
            return;
        };
        if !definition.networks.0.is_empty() {
            self.add(
                "network_mode",
                "networks is given as well; write one of both",
            );
        }
        if *mode != NetworkMode::Bridge && !definition.ports.0.is_empty() {
            let message = format!("no port is mapped with network_mode: {mode}; leave them out");
            self.add("ports", message);
        }
    }

    fn mounts(&mut self, definition: &Definition) {
        let mut targets = BTreeSet::new();
        for (index, volume) in definition.volumes.iter().enumerate() {
            if !targets.insert(&volume.target) {
                let path = Path::key("volumes").then_index(index);
                let message = format!("something is mounted at {:?} already", volume.target);
                self.0.push(Finding::new(path, message));
            }
        }
        for (index, tmpfs) in definition.tmpfs.0.iter().enumerate() {
            let target = tmpfs.split(':').next().unwrap_or_default();
            self.host_path(Path::key("tmpfs").then_index(index), target);
        }
        for (index, device) in definition.devices.iter().enumerate() {
            let source = device.split(':').next().unwrap_or_default();
            self.host_path(Path::key("devices").then_index(index), source);
        }
    }

    fn times(&mut self, definition: &Definition) {
        let update = &definition.update;
        for (path, time) in [
            (Path::key("drain"), definition.drain),
            (Path::key("stop_grace_period"), definition.stop_grace_period),
            (
                Path::key("update").then_key("min_healthy_time"),
                update.min_healthy_time,
            ),
            (
                Path::key("update").then_key("healthy_deadline"),
                update.healthy_deadline,
            ),
        ] {
            self.at_most_a_day(path, time);
        }
        if update.healthy_deadline <= update.min_healthy_time {
            let path = Path::key("update").then_key("healthy_deadline");
            let message = format!(
                "{} is not above min_healthy_time, {}",
                update.healthy_deadline, update.min_healthy_time
            );
            self.0.push(Finding::new(path, message));
        }
    }
}
