use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::forms::{Port, schema};

/// A protocol that a port is of.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A port of the container that is reached through one of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortMapping {
    /// The port in the container.
    pub target: Port,
    /// The port of the host; one that is free where there is none.
    pub published: Option<Port>,
    /// The address of the host; every one where there is none.
    pub host_ip: Option<IpAddr>,
    /// Of which protocol.
    pub protocol: Protocol,
}

impl PortMapping {
    /// The port in the container as Docker calls it: `80/tcp`.
    pub fn inside(&self) -> String {
        format!("{}/{}", self.target, self.protocol.as_str())
    }
}

/// `[HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL]`.
impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            None => {}
        }
        match self.published {
            Some(port) => write!(f, "{port}:")?,
            None if self.host_ip.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}", self.target)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            other => write!(f, "/{}", other.as_str()),
        }
    }
}

/// What one element of `ports` stands for: several where it is a range.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PortSpec(Vec<PortMapping>);

schema!(PortSpec, "PortMapping", {
    "description": "[HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL], each port a number or a range such as 8000-8009",
    "anyOf": [
        {"type": ["string", "integer"]},
        {
            "type": "object",
            "properties": {
                "target": {"type": ["integer", "string"], "description": "The port in the container"},
                "published": {"type": ["integer", "string"], "description": "The port of the host; a free one by default"},
                "host_ip": {"type": "string", "description": "The address of the host; every one by default"},
                "protocol": {"enum": ["tcp", "udp", "sctp"]}
            },
            "required": ["target"],
            "additionalProperties": false
        }
    ]
});

/// The ports of the container that are reached through the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
pub struct Ports(#[schemars(with = "Vec<PortSpec>")] pub Vec<PortMapping>);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let specs = Vec::<PortSpec>::deserialize(deserializer)?;
        Ok(Self(specs.into_iter().flat_map(|spec| spec.0).collect()))
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

const EXPECTED: &str = "[HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL] is expected, such as 8080:80";

impl FromStr for PortSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let because = |why: String| format!("{text:?} maps no port: {why}");
        let (ports, protocol) = match text.rsplit_once('/') {
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((ports, "sctp")) => (ports, Protocol::Sctp),
            Some((_, other)) => {
                return Err(because(format!("{other:?} is none of tcp, udp, sctp")));
            }
            None => (text, Protocol::Tcp),
        };
        let (rest, target) = match ports.rsplit_once(':') {
            Some((rest, target)) => (Some(rest), target),
            None => (None, ports),
        };
        let (host_ip, published) = match rest {
            Some(rest) => host_side(rest).map_err(because)?,
            None => (None, None),
        };
        let target = range(target).map_err(because)?;
        let published = published.map(range).transpose().map_err(because)?;
        pair(target, published, host_ip, protocol).map_err(because)
    }
}

/// The address and the port of the host: `IP:PORT`, `IP:`, or `PORT`.
fn host_side(text: &str) -> Result<(Option<IpAddr>, Option<&str>), String> {
    let Some((address, port)) = text.rsplit_once(':') else {
        return match text.parse() {
            Ok(address) => Ok((Some(address), None)),
            Err(_) => Ok((None, Some(text))),
        };
    };
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let address = bare
        .parse()
        .map_err(|_| format!("{bare:?} is no address of a host; {EXPECTED}"))?;
    Ok((Some(address), Some(port).filter(|port| !port.is_empty())))
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let wrong =
        |_| format!("{text:?} is no port and no range of ports from 1 to 65535; {EXPECTED}");
    let (first, last) = (
        Port::parse(first).map_err(wrong)?.0,
        Port::parse(last).map_err(wrong)?.0,
    );
    if first > last {
        return Err(format!("the range {text} ends before it begins"));
    }
    Ok((first, last))
}

fn pair(
    target: (u16, u16),
    published: Option<(u16, u16)>,
    host_ip: Option<IpAddr>,
    protocol: Protocol,
) -> Result<PortSpec, String> {
    let length = |(first, last): (u16, u16)| last - first;
    if let Some(published) = published.filter(|published| length(*published) != length(target)) {
        return Err(format!(
            "{} ports of the host cannot be mapped to {} of the container",
            length(published) + 1,
            length(target) + 1
        ));
    }
    let mappings = (0..=length(target)).map(|offset| PortMapping {
        target: Port(target.0 + offset),
        published: published.map(|(first, _)| Port(first + offset)),
        host_ip,
        protocol,
    });
    Ok(PortSpec(mappings.collect()))
}

/// The form of a mapping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    target: Port,
    published: Option<Port>,
    host_ip: Option<IpAddr>,
    #[serde(default)]
    protocol: Protocol,
}

impl<'de> Deserialize<'de> for PortSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = PortSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, a text such as 8080:80, or a mapping with target")
            }

            fn visit_u64<E: Error>(self, port: u64) -> Result<PortSpec, E> {
                self.visit_str(&port.to_string())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PortSpec, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<PortSpec, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(entries))?;
                Ok(PortSpec(vec![PortMapping {
                    target: keys.target,
                    published: keys.published,
                    host_ip: keys.host_ip,
                    protocol: keys.protocol,
                }]))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let PortSpec(mappings) = text.parse()?;
        let words: Vec<String> = mappings.iter().map(ToString::to_string).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn ports_are_mapped_as_docker_maps_them() {
        for (text, expected) in [
            ("80", "80"),
            ("8080:80", "8080:80"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80"),
            ("127.0.0.1::80", "127.0.0.1::80"),
            ("127.0.0.1:80", "127.0.0.1::80"),
            ("[::1]:8080:80", "[::1]:8080:80"),
            ("::1:8080:80", "[::1]:8080:80"),
            ("53:53/udp", "53:53/udp"),
            ("80/tcp", "80"),
            ("8000-8001:80-81", "8000:80 8001:81"),
            ("80-81", "80 81"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_maps_no_port_is_refused() {
        for (text, because) in [
            ("", "\"\" is no port and no range"),
            ("x:80", "\"x\" is no port and no range"),
            ("0:80", "\"0\" is no port and no range"),
            ("80:65536", "\"65536\" is no port and no range"),
            ("80/ip", "\"ip\" is none of tcp, udp, sctp"),
            ("a.b:1:80", "\"a.b\" is no address of a host"),
            ("81-80", "the range 81-80 ends before it begins"),
            (
                "1-3:1-2",
                "3 ports of the host cannot be mapped to 2 of the container",
            ),
        ] {
            let error = read(text).unwrap_err();
            let expected = format!("{text:?} maps no port: {because}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
