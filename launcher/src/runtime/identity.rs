//! Whose a container is.

use std::collections::BTreeMap;
use std::fmt;

use presence::model::{DefinitionRevision, HostId, ServiceName};

use super::Container;
use crate::instance::InstanceName;

const SERVICE: &str = "launcher.service";
const INSTANCE: &str = "launcher.instance";
const HOST_ID: &str = "launcher.host-id";
const REVISION: &str = "launcher.revision";
/// One instance of a service on one host: what a unit runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The service.
    pub service: ServiceName,
    /// Which revision its unit names.
    pub instance: InstanceName,
    /// The host.
    pub host_id: HostId,
}

/// A container of ours: the only handle by which one is changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ours {
    id: String,
    name: String,
}

impl Identity {
    /// The name of the container that runs this revision, which is the same for every unit that
    /// would: Docker sees to it that there is one.
    pub fn name(&self, revision: DefinitionRevision) -> String {
        format!("{}.{revision}", self.service)
    }

    /// The labels that all containers of this instance have.
    pub fn labels(&self) -> BTreeMap<String, String> {
        [
            (SERVICE, self.service.to_string()),
            (INSTANCE, self.instance.to_string()),
            (HOST_ID, self.host_id.to_string()),
        ]
        .map(|(label, value)| (label.to_owned(), value))
        .into()
    }

    /// The labels of the container that runs this revision.
    pub fn labels_of(&self, revision: DefinitionRevision) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(REVISION.to_owned(), revision.to_string());
        labels
    }

    /// The container as ours, if it is: it has all our labels and exactly the name that goes with
    /// them. Docker lets nobody change either but by renaming, and then it is not ours any more.
    pub(super) fn claim(&self, container: &Container) -> Option<Ours> {
        let has = |(label, value): (String, String)| container.labels.get(&label) == Some(&value);
        let is_ours = self.labels().into_iter().all(has)
            && container.name == self.name(container.revision()?);
        is_ours.then(|| Ours::new(&container.id, &container.name))
    }
}

impl Container {
    /// The revision that it runs, by its label.
    pub fn revision(&self) -> Option<DefinitionRevision> {
        self.labels.get(REVISION)?.parse().ok()
    }
}

impl Ours {
    /// For one that was made just now, or was claimed.
    pub(super) fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Docker's ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The name, and enough of the ID to find it: `web.42-0a1b2c3d (3f2a91c04d1e)`.
impl fmt::Display for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.id.get(..12).unwrap_or(&self.id);
        write!(f, "{} ({short})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::State;
    use super::*;

    fn identity(service: &str, instance: Option<&str>, host_id: &str) -> Identity {
        Identity {
            service: service.parse().unwrap(),
            instance: instance.map_or(InstanceName::Newest, |instance| instance.parse().unwrap()),
            host_id: host_id.parse().unwrap(),
        }
    }

    fn container(identity: &Identity, revision: &str) -> Container {
        let revision = revision.parse().unwrap();
        Container {
            id: "3f2a91c04d1e77".to_owned(),
            name: identity.name(revision),
            labels: identity.labels_of(revision),
            ..Container::new(State::Running)
        }
    }

    const REVISIONS: [&str; 2] = ["42-0a1b2c3d", "420-0a1b2c3d"];

    #[test]
    fn it_claims_its_own_of_any_revision() {
        for instance in [None, Some(REVISIONS[0])] {
            let own = identity("web", instance, "a");
            for revision in REVISIONS {
                let ours = own.claim(&container(&own, revision)).unwrap();
                assert_eq!(ours.to_string(), format!("web.{revision} (3f2a91c04d1e)"));
            }
        }
    }

    #[test]
    fn a_name_without_the_labels_is_anothers_and_so_are_labels_without_the_name() {
        let own = identity("web", None, "a");
        let mut named = container(&own, REVISIONS[0]);
        for label in [SERVICE, INSTANCE, HOST_ID, REVISION] {
            let mut less = named.clone();
            less.labels.remove(label);
            assert_eq!(own.claim(&less), None, "{label}");
        }
        named.name = "web".to_owned();
        assert_eq!(own.claim(&named), None);
    }

    proptest! {
        /// Names of few letters, so that one is often a part of another.
        #[test]
        fn nobody_claims_a_neighbour(
            services in ["[ab][ab.-]{0,3}", "[ab][ab.-]{0,3}"],
            instances in [0_usize..3, 0..3],
            hosts in ["[ab]{1,2}", "[ab]{1,2}"],
            revision in 0_usize..2,
        ) {
            let instances = instances.map(|index| REVISIONS.get(index).copied());
            let [one, other] = [0, 1].map(|n| identity(&services[n], instances[n], &hosts[n]));
            let claimed = one.claim(&container(&other, REVISIONS[revision]));
            prop_assert_eq!(claimed.is_some(), one == other);
        }
    }
}
