//! Where a healthy container is published.

use std::collections::BTreeMap;
use std::fmt;

use presence::model::{InvalidName, Kind, Label, MemberOptions, VirtualService};
use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::document::nearest;

use super::forms::schema;
use super::key_template::KeyTemplate;
use super::variables::{Template, Variable};

/// Whose target it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Each instance publishes it while it is ready.
    #[default]
    Instance,
    /// The manager publishes it while at least one instance on the host is ready.
    Service,
}

/// A load balancer that the container is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberTarget {
    /// The key of the member.
    pub key: KeyTemplate,
    /// Its options; readiness is launcher's own to say.
    pub options: MemberOptions,
    /// Whose it is.
    pub scope: Scope,
    /// The container's address is reached from elsewhere as well.
    pub routed: bool,
}

/// A label of service-monitor that lists the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTarget {
    /// The label.
    pub service: Label,
    /// What is told of it beside its address.
    pub info: BTreeMap<String, Template>,
    /// Whose it is.
    pub scope: Scope,
}

/// One place where a healthy container is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A load balancer.
    Member(MemberTarget),
    /// A label of service-monitor.
    Service(ServiceTarget),
}

schema!(Target, "Target", {
    "description": "A key of a load balancer's member, or a label of service-monitor",
    "anyOf": [
        {"type": "string", "pattern": "^(/.+/)?(elb|elbv2|route53|ipvs)/"},
        {
            "type": "object",
            "properties": {
                "key": {"type": "string", "pattern": "^(/.+/)?(elb|elbv2|route53|ipvs)/", "description": "TYPE/REGION/NAME/CLASS/MEMBER, with variables: relative to the prefix, or below it"},
                "options": {
                    "type": "object",
                    "description": "Options of the member",
                    "properties": {
                        "weight": {"type": "integer", "minimum": 0, "maximum": 65535},
                        "forward": {"enum": ["masq", "direct", "tunnel"]},
                        "upper_threshold": {"type": "integer", "minimum": 0},
                        "lower_threshold": {"type": "integer", "minimum": 0}
                    },
                    "additionalProperties": false
                },
                "scope": {"enum": ["instance", "service"], "description": "service: the manager publishes it while an instance on the host is ready"},
                "routed": {"type": "boolean", "description": "The container's address is reached from elsewhere as well"}
            },
            "required": ["key"],
            "additionalProperties": false
        },
        {
            "type": "object",
            "properties": {
                "service": {"type": "string", "description": "A label of service-monitor"},
                "info": {"type": "object", "additionalProperties": {"type": ["string", "number"]}, "description": "What is told beside the address, with variables"},
                "scope": {"enum": ["instance", "service"]}
            },
            "required": ["service"],
            "additionalProperties": false
        }
    ]
});

impl Target {
    /// What `launcher run NAME INSTANCE SERVICE_ADDRESS` is short for: a virtual service of this
    /// host, in front of the container.
    pub fn of_service_address(address: &str) -> Result<Self, InvalidName> {
        let service: VirtualService = address.parse()?;
        let key = format!("ipvs/$HOSTNAME/{service}/multiple/$CONTAINER_IP:$PORT");
        let key = key.parse().expect("a virtual service makes a key");
        Ok(Self::Member(MemberTarget::new(key)))
    }

    /// Whose it is.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Member(target) => target.scope,
            Self::Service(target) => target.scope,
        }
    }

    /// Whether this variable is in it.
    pub fn has(&self, variable: Variable) -> bool {
        match self {
            Self::Member(target) => target.key.member().has(variable),
            Self::Service(target) => target.info.values().any(|value| value.has(variable)),
        }
    }
}

impl MemberTarget {
    fn new(key: KeyTemplate) -> Self {
        Self {
            key,
            options: MemberOptions::default(),
            scope: Scope::Instance,
            routed: false,
        }
    }
}

/// The form of a mapping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    key: Option<KeyTemplate>,
    service: Option<Label>,
    options: Option<Map<String, Value>>,
    info: Option<BTreeMap<String, Template>>,
    #[serde(default)]
    scope: Scope,
    routed: Option<bool>,
}

impl Keys {
    fn target(self) -> Result<Target, String> {
        let only = |what: &str, of: &str| Err(format!("{what} is for a target with {of}"));
        match (self.key, self.service) {
            (Some(_), None) if self.info.is_some() => only("info", "service"),
            (Some(key), None) => Ok(Target::Member(MemberTarget {
                options: options(&key, self.options.unwrap_or_default())?,
                key,
                scope: self.scope,
                routed: self.routed.unwrap_or(false),
            })),
            (None, Some(_)) if self.options.is_some() => only("options", "key"),
            (None, Some(_)) if self.routed.is_some() => only("routed", "key"),
            (None, Some(service)) => Ok(Target::Service(ServiceTarget {
                service,
                info: self.info.unwrap_or_default(),
                scope: self.scope,
            })),
            _ => Err("exactly one of key, service is expected".to_owned()),
        }
    }
}

const OPTIONS: [&str; 4] = ["weight", "forward", "upper_threshold", "lower_threshold"];

fn options(key: &KeyTemplate, fields: Map<String, Value>) -> Result<MemberOptions, String> {
    for name in fields.keys() {
        match name.as_str() {
            "ready" | "since" => return Err(format!("options.{name} is launcher's own to write")),
            "drain" => return Err("options.drain is an operator's: lbmanager drain".to_owned()),
            "weight" => {}
            other if !OPTIONS.contains(&other) => {
                let meant =
                    nearest(other, OPTIONS).map(|meant| format!(", did you mean {meant:?}?"));
                return Err(format!(
                    "options.{other} is no option of a member{}; known are {}",
                    meant.unwrap_or_default(),
                    OPTIONS.join(", ")
                ));
            }
            other if key.kind() != Kind::Ipvs => {
                return Err(format!(
                    "options.{other} is for ipvs; a member of {} has no such option",
                    key.kind()
                ));
            }
            _ => {}
        }
    }
    let value = Value::Object(fields).to_string();
    let parsed = MemberOptions::parse(value.as_bytes());
    parsed
        .map(|parsed| parsed.options)
        .map_err(|error| format!("options.{error}"))
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key such as elb/us-east-1/web/multiple/$INSTANCE_ID, or a mapping with key or service,")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
                let key = text.parse().map_err(E::custom)?;
                Ok(Target::Member(MemberTarget::new(key)))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Target, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(entries))?;
                keys.target().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Member(target) if *target == MemberTarget::new(target.key.clone()) => {
                target.key.serialize(serializer)
            }
            Self::Member(target) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("key", &target.key)?;
                if target.options != MemberOptions::default() {
                    map.serialize_entry("options", &target.options)?;
                }
                if target.routed {
                    map.serialize_entry("routed", &true)?;
                }
                scope(&mut map, target.scope)?;
                map.end()
            }
            Self::Service(target) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("service", &target.service)?;
                if !target.info.is_empty() {
                    map.serialize_entry("info", &target.info)?;
                }
                scope(&mut map, target.scope)?;
                map.end()
            }
        }
    }
}

fn scope<M: SerializeMap>(map: &mut M, scope: Scope) -> Result<(), M::Error> {
    match scope {
        Scope::Instance => Ok(()),
        Scope::Service => map.serialize_entry("scope", &scope),
    }
}
