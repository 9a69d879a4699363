//! What an instance publishes, and where. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use presence::keys::{Tree, TreeKey, service_monitor};
use presence::model::{
    InvalidName, Label, MemberKey, MemberOptions, ServiceHost, ServiceId, ServiceState,
};
use presence::publisher::{Content, Wanted, WantedKey};
use serde_json::{Map, Value};

use super::Instance;
use crate::definition::{Scope, ServiceTarget, Target, TargetError, Unset, Values, Variable};

/// A target that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A load balancer's member.
    #[error("publish: {target}: {source}")]
    Member {
        /// The key as it is written in the definition.
        target: String,
        /// What is wrong.
        source: Box<TargetError>,
    },
    /// An instance of a label.
    #[error("publish: service {label}: {source}")]
    Service {
        /// The label.
        label: Label,
        /// What is not known.
        source: Unset,
    },
    /// Host and service together are no ID of an instance.
    #[error("publish: the host ID and the name of the service together are too long: {0}")]
    Id(InvalidName),
}

/// Where an instance is published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Places {
    members: BTreeMap<MemberKey, MemberOptions>,
    services: Vec<(Label, Place)>,
}

/// What a label says of the instance.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    id: ServiceId,
    host: IpAddr,
    port: Option<u16>,
    info: BTreeMap<String, String>,
}

impl Places {
    /// All targets of this instance, with values in place of the variables.
    pub fn resolve(
        targets: &[Target],
        instance: &Instance,
        values: &Values,
    ) -> Result<Self, PlaceError> {
        let mut places = Self::default();
        for target in targets {
            match target {
                _ if target.scope() == Scope::Service => {}
                Target::Member(target) => {
                    let error = |source| PlaceError::Member {
                        target: target.key.to_string(),
                        source: Box::new(source),
                    };
                    let member = target.key.resolve(values).map_err(error)?;
                    places.members.insert(member, target.options.clone());
                }
                Target::Service(target) => {
                    let place = place(target, instance, values)?;
                    places.services.push((target.service.clone(), place));
                }
            }
        }
        Ok(places)
    }

    /// How many keys that are.
    pub fn count(&self) -> usize {
        self.members.len() + self.services.len()
    }

    /// The keys of the members in this tree.
    pub fn members(&self, tree: &Tree, ready: bool) -> Wanted {
        let keys = self.members.iter().map(|(member, options)| {
            let options = MemberOptions {
                ready,
                ..options.clone()
            };
            let key = tree.key(&TreeKey::Member(member.clone()));
            (key, WantedKey::new(Content::Member(object(&options))))
        });
        Wanted {
            keys: keys.collect(),
            ..Wanted::default()
        }
    }

    /// The keys of the labels; `since`: when it became ready, or not.
    pub fn services(&self, ready: bool, since: Timestamp) -> Wanted {
        let keys = self.services.iter().map(|(label, place)| {
            let host = ServiceHost {
                host: place.host,
                port: place.port,
                service_id: place.id.clone(),
                state: if ready {
                    ServiceState::Up
                } else {
                    ServiceState::Down
                },
                info: place.info.clone(),
                since,
            };
            let key = service_monitor::host(label, &place.id);
            let wanted = WantedKey {
                delete_if_no_space: !ready,
                ..WantedKey::new(Content::Plain(host.encode()))
            };
            (key, wanted)
        });
        Wanted {
            keys: keys.collect(),
            ..Wanted::default()
        }
    }
}

fn place(
    target: &ServiceTarget,
    instance: &Instance,
    values: &Values,
) -> Result<Place, PlaceError> {
    let unset = |source| PlaceError::Service {
        label: target.service.clone(),
        source,
    };
    let id = format!("{}.{}", instance.host, instance.service);
    let (host, port) = address(values).map_err(unset)?;
    let info = target.info.iter();
    let info = info.map(|(name, value)| Ok((name.clone(), value.substitute(values)?)));
    Ok(Place {
        id: id.parse().map_err(PlaceError::Id)?,
        host,
        port,
        info: info.collect::<Result<_, Unset>>().map_err(unset)?,
    })
}

/// Where others reach the container, as far as that is known.
fn address(values: &Values) -> Result<(IpAddr, Option<u16>), Unset> {
    let of_host = || values.host_ip.ok_or(Unset(Variable::HostIp));
    match (values.host_port, values.container_ip) {
        (Some(port), _) => Ok((of_host()?, Some(port))),
        (None, Some(own)) => Ok((own, values.port)),
        (None, None) => Ok((of_host()?, values.port)),
    }
}

fn object(options: &MemberOptions) -> Map<String, Value> {
    match serde_json::to_value(options) {
        Ok(Value::Object(options)) => options,
        _ => Map::new(),
    }
}
