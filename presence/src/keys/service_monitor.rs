//! Services, and leases for starting them: keys below [`ROOT`].

use std::fmt;
use std::str::FromStr;

use super::semaphore::{Semaphore, SemaphoreKey};
use super::{KeyError, segments};
use crate::model::{Label, ServiceId};

/// Where services and their leases are.
pub const ROOT: &str = "/service-monitor";

const EXPECTED: &str = "<label>/hosts/<service-id>, <label>/lease/slots or \
                        <label>/lease/queue/<service-id> below /service-monitor";

/// What a key below [`ROOT`] is about. Displayed and parsed as the whole key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceMonitorKey {
    /// One instance of a service, and how it is.
    Host(Label, ServiceId),
    /// The lease of the label.
    Lease(Label, SemaphoreKey),
}

/// What to list and to watch for the instances of a service.
pub fn hosts_prefix(label: &Label) -> String {
    format!("{ROOT}/{label}/hosts/")
}

/// One instance of a service.
pub fn host(label: &Label, service: &ServiceId) -> String {
    ServiceMonitorKey::Host(label.clone(), service.clone()).to_string()
}

/// The lease of a label.
pub fn lease(label: &Label) -> Semaphore {
    Semaphore::at(format!("{ROOT}/{label}/lease"))
}

impl fmt::Display for ServiceMonitorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(label, service) => write!(f, "{ROOT}/{label}/hosts/{service}"),
            Self::Lease(label, what) => f.write_str(&lease(label).key(what)),
        }
    }
}

impl FromStr for ServiceMonitorKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, KeyError> {
        let part = KeyError::part(key);
        match *segments(key, ROOT)?.as_slice() {
            [label, "hosts", service] => {
                let label = Label::in_key(label).map_err(&part)?;
                Ok(Self::Host(label, service.parse().map_err(&part)?))
            }
            [label, "lease", "slots"] | [label, "lease", "queue", _] => {
                let label = Label::in_key(label).map_err(&part)?;
                let what = lease(&label).parse(key)?;
                Ok(Self::Lease(label, what))
            }
            _ => Err(KeyError::form(key, EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: &str) -> String {
        key.parse::<ServiceMonitorKey>().unwrap_err().to_string()
    }

    #[test]
    fn keys_are_spelled_as_documented() {
        let label: Label = "MyService".parse().unwrap();
        let service: ServiceId = "Service-0x3241dc3:1".parse().unwrap();
        for (key, expected) in [
            (
                host(&label, &service),
                "/service-monitor/myservice/hosts/Service-0x3241dc3:1",
            ),
            (
                lease(&label).slots(),
                "/service-monitor/myservice/lease/slots",
            ),
            (
                lease(&label).entry(&service),
                "/service-monitor/myservice/lease/queue/Service-0x3241dc3:1",
            ),
        ] {
            assert_eq!(key, expected);
            assert_eq!(key.parse::<ServiceMonitorKey>().unwrap().to_string(), key);
        }
        assert_eq!(hosts_prefix(&label), "/service-monitor/myservice/hosts/");
        let lease = lease(&label);
        assert_eq!(lease.prefix(), "/service-monitor/myservice/lease/");
        assert_eq!(
            lease.queue_prefix(),
            "/service-monitor/myservice/lease/queue/"
        );
    }

    #[test]
    fn keys_of_another_form_are_refused_with_the_forms() {
        for key in [
            "/service-monitor/",
            "/service-monitor/web",
            "/service-monitor/web/hosts",
            "/service-monitor/web/hosts/a/b",
            "/service-monitor/web/lease",
            "/service-monitor/web/lease/slots/1",
            "/service-monitor/web/lease/queue",
            "/service-monitor/web/lease/queue/a/b",
        ] {
            assert_eq!(
                refused(key),
                format!(
                    "key {key:?} is not of the scheme; <label>/hosts/<service-id>, \
                     <label>/lease/slots or <label>/lease/queue/<service-id> below \
                     /service-monitor is expected"
                )
            );
        }
    }

    #[test]
    fn parts_that_are_not_valid_are_named() {
        for (key, message) in [
            (
                "/service-monitor/Web/hosts/a",
                "label \"Web\" is not valid: only the canonical spelling names it: write \"web\"",
            ),
            (
                "/service-monitor//lease/slots",
                "label \"\" is not valid: 1 to 128 of a-z 0-9 . _ - are expected",
            ),
            (
                "/service-monitor/web/hosts/a b",
                "service ID \"a b\" is not valid: 1 to 128 of A-Z a-z 0-9 . _ : - are expected",
            ),
            (
                "/service-monitor/web/lease/queue/",
                "service ID \"\" is not valid: 1 to 128 of A-Z a-z 0-9 . _ : - are expected",
            ),
        ] {
            assert_eq!(refused(key), format!("key {key:?}: {message}"));
        }
        assert_eq!(
            refused("/launcher/services/web"),
            "key \"/launcher/services/web\" is not below \"/service-monitor/\""
        );
    }
}
