//! Service definitions and their instances: keys below [`ROOT`].

use std::fmt;
use std::str::FromStr;

use super::semaphore::Semaphore;
use super::{KeyError, segments, service_monitor};
use crate::model::{DefinitionRevision, HostId, InvalidName, Label, ServiceName};

/// Where definitions and instances are.
pub const ROOT: &str = "/launcher";

const EXPECTED: &str = "services/<name>, history/<name>/<revision>, \
                        instances/<name>/<host-id>/<revision> or \
                        bad/<name>/<revision>/<host-id> below /launcher";

/// What a key below [`ROOT`] is about. Displayed and parsed as the whole key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LauncherKey {
    /// The definition of a service as it is now.
    Service(ServiceName),
    /// A definition as it once was in force.
    History(ServiceName, DefinitionRevision),
    /// The state of the instance of this revision on this host.
    Instance(ServiceName, HostId, DefinitionRevision),
    /// Why this revision is not to be started again on this host.
    Bad(ServiceName, DefinitionRevision, HostId),
}

/// What to list and to watch for all definitions.
pub fn services_prefix() -> String {
    format!("{ROOT}/services/")
}

/// What to list for the definitions that were ever in force.
pub fn history_prefix(service: &ServiceName) -> String {
    format!("{ROOT}/history/{service}/")
}

/// What to list and to watch for all instances.
pub fn all_instances_prefix() -> String {
    format!("{ROOT}/instances/")
}

/// What to list and to watch for the instances of a service on all hosts.
pub fn instances_prefix(service: &ServiceName) -> String {
    format!("{ROOT}/instances/{service}/")
}

/// What to list and to watch for the revisions that are not to be started.
pub fn bad_prefix(service: &ServiceName) -> String {
    format!("{ROOT}/bad/{service}/")
}

/// The budget of a service's rollout: the lease of the label `deploy.<name>`.
/// Names that differ in case only share it.
pub fn rollout(service: &ServiceName) -> Semaphore {
    service_monitor::lease(&Label::rollout(service))
}

impl fmt::Display for LauncherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "{ROOT}/services/{name}"),
            Self::History(name, revision) => write!(f, "{ROOT}/history/{name}/{revision}"),
            Self::Instance(name, host, revision) => {
                write!(f, "{ROOT}/instances/{name}/{host}/{revision}")
            }
            Self::Bad(name, revision, host) => write!(f, "{ROOT}/bad/{name}/{revision}/{host}"),
        }
    }
}

impl FromStr for LauncherKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, KeyError> {
        let segments = segments(key, ROOT)?;
        parse(&segments)
            .map_err(KeyError::part(key))?
            .ok_or_else(|| KeyError::form(key, EXPECTED))
    }
}

fn parse(segments: &[&str]) -> Result<Option<LauncherKey>, InvalidName> {
    Ok(Some(match *segments {
        ["services", name] => LauncherKey::Service(name.parse()?),
        ["history", name, revision] => LauncherKey::History(name.parse()?, revision.parse()?),
        ["instances", name, host, revision] => {
            LauncherKey::Instance(name.parse()?, host.parse()?, revision.parse()?)
        }
        ["bad", name, revision, host] => {
            LauncherKey::Bad(name.parse()?, revision.parse()?, host.parse()?)
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: &str) -> String {
        key.parse::<LauncherKey>().unwrap_err().to_string()
    }

    #[test]
    fn keys_are_spelled_as_documented() {
        let name: ServiceName = "nginx".parse().unwrap();
        let host: HostId = "host-1".parse().unwrap();
        let revision: DefinitionRevision = "42-0a1b2c3d".parse().unwrap();
        for (key, expected) in [
            (
                LauncherKey::Service(name.clone()),
                "/launcher/services/nginx",
            ),
            (
                LauncherKey::History(name.clone(), revision),
                "/launcher/history/nginx/42-0a1b2c3d",
            ),
            (
                LauncherKey::Instance(name.clone(), host.clone(), revision),
                "/launcher/instances/nginx/host-1/42-0a1b2c3d",
            ),
            (
                LauncherKey::Bad(name.clone(), revision, host),
                "/launcher/bad/nginx/42-0a1b2c3d/host-1",
            ),
        ] {
            assert_eq!(key.to_string(), expected);
            assert_eq!(expected.parse(), Ok(key));
        }
        assert_eq!(services_prefix(), "/launcher/services/");
        assert_eq!(history_prefix(&name), "/launcher/history/nginx/");
        assert_eq!(all_instances_prefix(), "/launcher/instances/");
        assert_eq!(instances_prefix(&name), "/launcher/instances/nginx/");
        assert_eq!(bad_prefix(&name), "/launcher/bad/nginx/");
        assert_eq!(
            rollout(&name).slots(),
            "/service-monitor/deploy.nginx/lease/slots"
        );
    }

    #[test]
    fn keys_of_another_form_are_refused_with_the_forms() {
        for key in [
            "/launcher/",
            "/launcher/services",
            "/launcher/services/a/b",
            "/launcher/history/a",
            "/launcher/instances/a/h",
            "/launcher/bad/a/1-00000000",
            "/launcher/bad/a/1-00000000/h/x",
            "/launcher/other/a",
        ] {
            assert_eq!(
                refused(key),
                format!(
                    "key {key:?} is not of the scheme; services/<name>, \
                     history/<name>/<revision>, instances/<name>/<host-id>/<revision> or \
                     bad/<name>/<revision>/<host-id> below /launcher is expected"
                )
            );
        }
    }

    #[test]
    fn parts_that_are_not_valid_are_named() {
        let number = "a number above 0, a hyphen and 8 hexadecimal digits are expected, \
                      such as 42-0a1b2c3d";
        for (key, message) in [
            (
                "/launcher/services/",
                "service name \"\" is not valid: 1 to 100 of A-Z a-z 0-9 . _ - are expected, \
                 the first a letter or digit"
                    .to_owned(),
            ),
            (
                "/launcher/history/a/7",
                format!("revision \"7\" is not valid: {number}"),
            ),
            (
                "/launcher/instances/a/h/0x2a-0a1b2c3d",
                format!("revision \"0x2a-0a1b2c3d\" is not valid: {number}"),
            ),
            (
                "/launcher/bad/a/42-0A1B2C3D/h",
                "revision \"42-0A1B2C3D\" is not valid: \
                 only the canonical spelling names it: write \"42-0a1b2c3d\""
                    .to_owned(),
            ),
            (
                "/launcher/bad/a/42-0a1b2c3d/h:1",
                "host ID \"h:1\" is not valid: 1 to 128 of A-Z a-z 0-9 . _ - are expected"
                    .to_owned(),
            ),
        ] {
            assert_eq!(refused(key), format!("key {key:?}: {message}"));
        }
    }
}
