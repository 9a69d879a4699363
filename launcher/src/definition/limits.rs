use std::fmt;

use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

use super::forms::schema;

/// A limit as `setrlimit(2)` has it. -1 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// What is in force.
    pub soft: i64,
    /// As far as a process may raise that.
    pub hard: i64,
}

schema!(Ulimit, "Ulimit", {
    "description": "A number for both limits, or soft and hard; -1 is unlimited",
    "anyOf": [
        {"type": "integer", "minimum": -1},
        {
            "type": "object",
            "properties": {
                "soft": {"type": "integer", "minimum": -1},
                "hard": {"type": "integer", "minimum": -1}
            },
            "required": ["soft", "hard"],
            "additionalProperties": false
        }
    ]
});

/// Those that Docker knows.
pub(super) const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl Ulimit {
    fn new(soft: i64, hard: i64) -> Result<Self, String> {
        let least = if hard == -1 { i64::MAX } else { hard };
        let is_within = soft <= least && (soft != -1 || hard == -1);
        if soft < -1 || hard < -1 || !is_within {
            return Err(format!(
                "soft {soft} and hard {hard} are no limits: numbers from 0 are expected, or -1 for \
                 none, and soft not above hard"
            ));
        }
        Ok(Self { soft, hard })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    soft: i64,
    hard: i64,
}

impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Ulimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a mapping with soft and hard,")
            }

            fn visit_u64<E: Error>(self, limit: u64) -> Result<Ulimit, E> {
                let limit = i64::try_from(limit).map_err(E::custom)?;
                self.visit_i64(limit)
            }

            fn visit_i64<E: Error>(self, limit: i64) -> Result<Ulimit, E> {
                Ulimit::new(limit, limit).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Ulimit, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(entries))?;
                Ulimit::new(keys.soft, keys.hard).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_is_not_above_hard() {
        for (soft, hard) in [(1, 1), (1, 2), (5, -1), (-1, -1), (0, 0)] {
            assert_eq!(Ulimit::new(soft, hard), Ok(Ulimit { soft, hard }));
        }
        for (soft, hard) in [(2, 1), (-1, 5), (-2, -1), (0, -2)] {
            assert!(Ulimit::new(soft, hard).is_err(), "{soft} {hard}");
        }
    }
}
