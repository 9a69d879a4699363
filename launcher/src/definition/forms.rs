//! What can be written in more than one way: a text or a list, a list or a mapping.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use presence::process::duration;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The JSON Schema of a type, written by hand where it has more than one form.
macro_rules! schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(super) use schema;

/// Reads a type from its text, for types that have no other form.
macro_rules! from_text {
    ($type:ty, $expecting:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": ["string", "number"], "description": $expecting})
            }
        }
    };
}
pub(super) use from_text;

/// A time span: `1m30s`, `500ms`, or bare seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(#[serde(with = "duration")] pub Duration);

schema!(Time, "Time", {
    "description": "A time span: 1m30s, 500ms, or bare seconds",
    "type": ["string", "number"],
    "examples": ["1m30s", 90]
});

impl Time {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

/// As [`duration`] writes it.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        duration::serialize(&self.0, f)
    }
}

/// One text, or a list of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Texts(pub Vec<String>);

schema!(Texts, "Texts", {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "number"]}}]
});

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_or_many(deserializer, "a text, or a list of texts", |text| {
            Ok(vec![text.to_owned()])
        })
        .map(Self)
    }
}

/// A command as a list of words, or as one text that is split as a shell would, without expanding
/// anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Words(pub Vec<String>);

schema!(Words, "Words", {
    "description": "A list of words, or one text that is split into words as a shell would",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "number"]}}]
});

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_or_many(
            deserializer,
            "a command as a text, or as a list of words",
            |text| {
                shlex::split(text).ok_or_else(|| {
                    format!("{text:?} cannot be split into words: a quote or a backslash is open")
                })
            },
        )
        .map(Self)
    }
}

/// Reads a list of texts, or makes one of a single text.
fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
    expecting: &'static str,
    one: fn(&str) -> Result<Vec<String>, String>,
) -> Result<Vec<String>, D::Error> {
    struct OneOrMany(&'static str, fn(&str) -> Result<Vec<String>, String>);

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
            (self.1)(text).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = items.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_any(OneOrMany(expecting, one))
}

/// Names with values: a mapping, or a list of `NAME=VALUE`. `None` where a name has no value.
/// Numbers and truth values are kept as they are spelled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pairs(pub BTreeMap<String, Option<String>>);

schema!(Pairs, "Pairs", {
    "description": "A mapping of names to values, or a list of NAME=VALUE",
    "anyOf": [
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]}
        },
        {"type": "array", "items": {"type": "string"}}
    ]
});

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor).map(Self)
    }
}

struct PairsVisitor;

impl PairsVisitor {
    fn insert<E: Error>(
        pairs: &mut BTreeMap<String, Option<String>>,
        name: String,
        value: Option<String>,
    ) -> Result<(), E> {
        if name.is_empty() || name.contains('=') || name.contains('\0') {
            return Err(E::custom(format!(
                "{name:?} is no name: it is not empty, and holds no = and no NUL"
            )));
        }
        if pairs.contains_key(&name) {
            return Err(E::custom(format!("{name:?} is here twice")));
        }
        pairs.insert(name, value);
        Ok(())
    }
}

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = BTreeMap<String, Option<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names to values, or a list of NAME=VALUE,")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry()? {
            Self::insert(&mut pairs, name, value)?;
        }
        Ok(pairs)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some(text) = items.next_element::<String>()? {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (text, None),
            };
            Self::insert(&mut pairs, name, value)?;
        }
        Ok(pairs)
    }
}

/// An amount of memory: a number of bytes, or one with a unit: `512m`, `1.5g`. Units are powers
/// of 1024, as Docker has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

from_text!(Bytes, "A number of bytes, or with a unit: 512m, 1.5g");

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        bytes(text).map(Self).ok_or_else(|| {
            format!("{text:?} is no amount of memory: write bytes, or 512k, 64m, 1.5g")
        })
    }
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    let scale = 1024_u64.pow(power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let fraction: f64 = number.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let bytes = (fraction * scale as f64).floor();
    // As much as a float holds exactly, and far more than any host has.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked"
    )]
    (0.0..=9e15).contains(&bytes).then_some(bytes as u64)
}

/// A port: a number from 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Port(pub u16);

schema!(Port, "Port", {
    "description": "A port",
    "type": ["integer", "string"], "minimum": 1, "maximum": 65535
});

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl Port {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        let port = text.parse().ok().filter(|port| *port != 0 && is_number);
        port.map(Self)
            .ok_or_else(|| format!("{text:?} is no port: a number from 1 to 65535 is expected"))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_powers_of_1024() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("512k", Some(512 << 10)),
            ("64MB", Some(64 << 20)),
            ("1.5g", Some(3 << 29)),
            ("2 GiB", Some(2 << 30)),
            ("", None),
            ("-1", None),
            ("1x", None),
            ("1.2.3g", None),
            ("99999999999t", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn a_port_is_above_zero() {
        assert_eq!(Port::parse("65535"), Ok(Port(65535)));
        for text in ["", "0", "65536", "+1", "x", "1.5"] {
            assert!(Port::parse(text).is_err(), "{text}");
        }
    }
}
