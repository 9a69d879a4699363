use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::forms::{from_text, schema};

/// Whose network the container is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// A network of its own on Docker's bridge.
    Bridge,
    /// The host's.
    Host,
    /// None.
    None,
    /// That of another container, by its name or ID.
    Container(String),
}

from_text!(NetworkMode, "bridge, host, none, or container:NAME");

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge => f.write_str("bridge"),
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Container(name) => write!(f, "container:{name}"),
        }
    }
}

impl FromStr for NetworkMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "bridge" => Ok(Self::Bridge),
            None if text == "host" => Ok(Self::Host),
            None if text == "none" => Ok(Self::None),
            Some(("container", name)) if !name.is_empty() => Ok(Self::Container(name.to_owned())),
            _ => Err(format!(
                "{text:?} is none of bridge, host, none, container:NAME; networks of a name go \
                 below networks"
            )),
        }
    }
}

/// A network of Docker that the container is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Further names of the container there.
    pub aliases: Vec<String>,
}

/// Networks of Docker; probes go to the container's address in the first one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

schema!(Networks, "Networks", {
    "description": "A list of networks, or a mapping of their names to what is special there",
    "anyOf": [
        {"type": "array", "items": {"type": "string"}},
        {
            "type": "object",
            "additionalProperties": {
                "type": ["object", "null"],
                "properties": {"aliases": {"type": "array", "items": {"type": "string"}}},
                "additionalProperties": false
            }
        }
    ]
});

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    aliases: Vec<String>,
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Networks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of networks, or a mapping of their names,")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Networks, A::Error> {
                let mut networks = Vec::new();
                while let Some(name) = items.next_element()? {
                    networks.push(Network {
                        name,
                        aliases: Vec::new(),
                    });
                }
                Ok(Networks(networks))
            }

            /// The order of keys means nothing, so the order of names decides.
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Networks, A::Error> {
                let mut networks = BTreeMap::new();
                while let Some((name, keys)) = entries.next_entry::<String, Option<Keys>>()? {
                    networks.insert(name, keys.unwrap_or_default().aliases);
                }
                let networks = networks.into_iter();
                Ok(Networks(
                    networks
                        .map(|(name, aliases)| Network { name, aliases })
                        .collect(),
                ))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// As a list where that says it all: its order is kept.
impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.iter().all(|network| network.aliases.is_empty()) {
            return serializer.collect_seq(self.0.iter().map(|network| &network.name));
        }
        let entry = |network: &Network| {
            let aliases = BTreeMap::from([("aliases", network.aliases.clone())]);
            (network.name.clone(), aliases)
        };
        serializer.collect_map(self.0.iter().map(entry))
    }
}
