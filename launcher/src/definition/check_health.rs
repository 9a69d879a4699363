//! Times that are no times, and probes that lead nowhere.

use std::time::Duration;

use super::check::Findings;
use super::{Definition, HealthCheck, ImageCheck, NetworkMode, Port, Time, Timing};
use crate::document::{Finding, Path};

/// A loop must not be hot, whatever somebody writes.
const SHORTEST: Duration = Duration::from_millis(100);
/// More than a day is a slip of the hand: nobody waits so long.
const LONGEST: Duration = Duration::from_hours(24);
impl Findings {
    pub(super) fn at_most_a_day(&mut self, path: Path, time: Time) {
        if time.0 > LONGEST {
            let message = format!("{time} is above 1day, the longest that is allowed");
            self.0.push(Finding::new(path, message));
        }
    }

    pub(super) fn at_least_a_moment(&mut self, path: Path, time: Time) {
        if time.0 < SHORTEST {
            let message = format!("{time} is below 100ms, the shortest that is allowed");
            self.0.push(Finding::new(path.clone(), message));
        }
        self.at_most_a_day(path, time);
    }

    pub(super) fn health(&mut self, definition: &Definition) {
        let Some(check) = &definition.health_check else {
            return;
        };
        // Compose's words were put in the place of ours.
        let here = |kind: &str| Path::key("health_check").then_key(kind);
        match check {
            HealthCheck::Http(check) => {
                self.timing(&here("http"), &check.timing());
                self.reachable(
                    definition,
                    &here("http"),
                    check.port,
                    check.address.as_deref(),
                );
            }
            HealthCheck::Up(check) => {
                self.timing(&here("up"), &check.timing());
                self.reachable(
                    definition,
                    &here("up"),
                    check.port,
                    check.address.as_deref(),
                );
            }
            HealthCheck::Tcp(check) => {
                self.timing(&here("tcp"), &check.timing());
                self.reachable(
                    definition,
                    &here("tcp"),
                    check.port,
                    check.address.as_deref(),
                );
            }
            HealthCheck::Exec(check) => self.timing(&here("exec"), &check.0.timing()),
            HealthCheck::Image(check) => self.image_timing(&here("image"), check),
            HealthCheck::None => {}
        }
    }

    fn timing(&mut self, path: &Path, timing: &Timing) {
        let start_interval = (timing.start_interval != timing.interval)
            .then_some(("start_interval", timing.start_interval));
        let times = [
            ("interval", timing.interval),
            ("timeout", timing.timeout),
            ("start_timeout", timing.start_timeout),
        ];
        for (key, time) in times.into_iter().chain(start_interval) {
            self.at_least_a_moment(path.clone().then_key(key), time);
        }
    }

    fn image_timing(&mut self, path: &Path, check: &ImageCheck) {
        for (key, time) in [
            ("interval", check.interval),
            ("start_interval", check.start_interval),
            ("timeout", check.timeout),
            ("start_timeout", Some(check.start_timeout)),
        ] {
            if let Some(time) = time {
                self.at_least_a_moment(path.clone().then_key(key), time);
            }
        }
    }

    /// A probe goes to an address and a port.
    fn reachable(
        &mut self,
        definition: &Definition,
        path: &Path,
        port: Option<Port>,
        address: Option<&str>,
    ) {
        if port.or(definition.service_port()).is_none() {
            let message = "there is no port to ask: write port, here or for the whole service";
            self.0.push(Finding::new(path.clone(), message));
        }
        if definition.network_mode == Some(NetworkMode::None) && address.is_none() {
            let message = "without a network nothing can be asked: write exec, image or none";
            self.0.push(Finding::new(path.clone(), message));
        }
    }

    pub(super) fn monitor(&mut self, definition: &Definition) {
        for (index, page) in definition.monitor.check_http.iter().enumerate() {
            let path = Path::key("monitor")
                .then_key("check_http")
                .then_index(index);
            self.at_least_a_moment(path.clone().then_key("frequency"), page.frequency);
            if definition.network_mode == Some(NetworkMode::None) {
                let message = "without a network no page can be asked for; leave it out";
                self.0.push(Finding::new(path.clone(), message));
            }
            let expected = path.then_key("expected");
            if page.expected.body.is_some() && page.expected.body_file.is_some() {
                let message = "body and body_file are given; write one of both";
                self.0.push(Finding::new(expected.clone(), message));
            }
            if let Some(file) = &page.expected.body_file {
                self.host_path(expected.then_key("body_file"), file);
            }
        }
    }
}
