//! Who is there: the instances of a service, and which of them are wanted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use presence::departure::{Change, Step};
use presence::keys::service_monitor::ServiceMonitorKey;
use presence::mirror::View;
use presence::model::{Revision, ServiceHost, ServiceId, ServiceState};
use presence::store::Entry;

/// The instances of one label.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<ServiceId, ServiceHost>);

/// Which of them are wanted, and how.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Also those that are down.
    pub all: bool,
    /// All of them at this port.
    pub port: Option<u16>,
    /// Those of this host not.
    pub except: Option<IpAddr>,
}

impl Selection {
    /// Those that are wanted, by address.
    pub fn of(&self, catalogue: &Catalogue) -> Vec<ServiceHost> {
        let hosts = catalogue.0.values();
        let wanted = hosts.filter(|host| self.takes(host)).cloned();
        let mut wanted: Vec<ServiceHost> = wanted
            .map(|host| ServiceHost {
                port: self.port.or(host.port),
                ..host
            })
            .collect();
        // By service ID as well: they come in that order, and this is stable.
        wanted.sort_by_key(|host| (host.host, host.port));
        wanted
    }

    fn takes(&self, host: &ServiceHost) -> bool {
        (self.all || host.state == ServiceState::Up) && self.except != Some(host.host)
    }
}

impl View for Catalogue {
    fn list(&mut self, key: &str, entry: &Entry) {
        let Some(service) = service(key) else {
            tracing::warn!("key {key:?} names no instance of a service; it is ignored");
            return;
        };
        match ServiceHost::parse(&service, &entry.value) {
            Ok(host) => {
                self.0.insert(service, host);
            }
            Err(error) => {
                tracing::warn!("{key} is ignored: {error}");
                self.0.remove(&service);
            }
        }
    }

    fn apply(&mut self, step: Step) {
        for change in step.changes {
            match change {
                Change::Put { key, entry } => self.list(&key, &entry),
                Change::Gone { key, .. } => {
                    if let Some(service) = service(&key) {
                        self.0.remove(&service);
                    }
                }
            }
        }
    }

    fn succeed(&mut self, _: &Self, _: Revision) {}
}

fn service(key: &str) -> Option<ServiceId> {
    match key.parse() {
        Ok(ServiceMonitorKey::Host(_, service)) => Some(service),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: String) -> Entry {
        Entry {
            value: value.into_bytes().into(),
            create_revision: Revision(1),
            mod_revision: Revision(1),
            lease: None,
        }
    }

    fn catalogue(hosts: &[(&str, &str, &str, &str)]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (id, host, port, state) in hosts {
            let value = format!(
                "{{\"host\":\"{host}\",\"port\":{port},\"service_id\":\"{id}\",\
                 \"state\":\"{state}\",\"since\":\"2026-11-20T12:00:00Z\"}}"
            );
            catalogue.list(&format!("/service-monitor/es/hosts/{id}"), &entry(value));
        }
        catalogue
    }

    fn addresses(selection: &Selection, catalogue: &Catalogue) -> Vec<String> {
        let selected = selection.of(catalogue);
        selected.iter().map(ServiceHost::address).collect()
    }

    #[test]
    fn they_are_sorted_by_number_and_not_by_letter() {
        let catalogue = catalogue(&[
            ("a", "fd00::1", "null", "up"),
            ("b", "10.0.0.10", "null", "up"),
            ("c", "10.0.0.9", "9300", "up"),
            ("d", "10.0.0.9", "1024", "up"),
            ("e", "9.0.0.1", "null", "down"),
        ]);
        let up = addresses(&Selection::default(), &catalogue);
        assert_eq!(
            up,
            ["10.0.0.9:1024", "10.0.0.9:9300", "10.0.0.10", "fd00::1"]
        );
        let all = Selection {
            all: true,
            port: Some(80),
            except: Some("10.0.0.9".parse().unwrap()),
        };
        let all = addresses(&all, &catalogue);
        assert_eq!(all, ["9.0.0.1:80", "10.0.0.10:80", "[fd00::1]:80"]);
    }

    #[test]
    fn what_is_no_instance_is_ignored_and_hides_what_it_was() {
        let mut catalogue = catalogue(&[("a", "10.0.0.1", "null", "up")]);
        let key = "/service-monitor/es/hosts/a";
        catalogue.list("/service-monitor/es/hosts/a/b", &entry("{}".to_owned()));
        assert_eq!(catalogue.0.len(), 1);
        catalogue.list(key, &entry("yes".to_owned()));
        assert_eq!(catalogue.0.len(), 0);
    }
}
