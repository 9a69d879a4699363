//! What compose and the prior systems say in other words.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::num::NonZeroU16;

use serde::de::{Error, SeqAccess, Visitor};

use super::forms::{Time, Words, schema};
use super::health::{ExecCheck, ExecForm, HealthCheck, ImageCheck, Timing};

/// compose's `healthcheck`, with Docker's defaults: every 30 s, 30 s for an answer, 3 retries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Healthcheck {
    /// A command in the container: a text for its shell, or a list that begins with CMD,
    /// CMD-SHELL or NONE. The image's own where there is none.
    test: Option<Test>,
    /// From one probe to the next; 30s.
    interval: Option<Time>,
    /// An answer that takes longer is none; 30s.
    timeout: Option<Time>,
    /// So many bad answers in a row, and it is not healthy; 3.
    retries: Option<NonZeroU16>,
    /// How long bad answers do not count after the start; `start_timeout` is as much longer as the
    /// retries take.
    start_period: Option<Time>,
    /// From one probe to the next in that time; 5s.
    start_interval: Option<Time>,
    /// Whether there is none, not the image's either.
    disable: bool,
}

/// What compose calls a test.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
enum Test {
    None,
    Command(Vec<String>),
}

schema!(Test, "Test", {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
});

impl<'de> Deserialize<'de> for Test {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Test;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a command for a shell, or a list that begins with CMD, CMD-SHELL or NONE,",
                )
            }

            fn visit_str<E: Error>(self, command: &str) -> Result<Test, E> {
                Ok(shell(command))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Test, A::Error> {
                let mut words: Vec<String> = Vec::new();
                while let Some(word) = items.next_element()? {
                    words.push(word);
                }
                test(&words).ok_or_else(|| {
                    A::Error::custom(
                        "a test is [CMD, PROGRAM, ARGUMENTS…], [CMD-SHELL, COMMAND] or [NONE]",
                    )
                })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

fn shell(command: &str) -> Test {
    Test::Command(["/bin/sh", "-c", command].map(str::to_owned).into())
}

fn test(words: &[String]) -> Option<Test> {
    let (first, rest) = words.split_first()?;
    match (first.as_str(), rest) {
        ("NONE", []) => Some(Test::None),
        ("CMD", [_, ..]) => Some(Test::Command(rest.to_vec())),
        ("CMD-SHELL", [command]) => Some(shell(command)),
        _ => None,
    }
}

impl Healthcheck {
    /// The same in our own words.
    pub(super) fn health_check(self) -> HealthCheck {
        let start_timeout = self.start_timeout();
        match self.test {
            _ if self.disable => HealthCheck::None,
            Some(Test::None) => HealthCheck::None,
            None => HealthCheck::Image(ImageCheck {
                interval: self.interval,
                start_interval: self.start_interval,
                timeout: self.timeout,
                fall: self.retries,
                start_timeout,
            }),
            Some(Test::Command(command)) => HealthCheck::Exec(ExecCheck(ExecForm {
                command: Words(command),
                interval: self.interval.unwrap_or(SLOW),
                start_interval: Some(self.start_interval.unwrap_or(Time::seconds(5))),
                timeout: self.timeout.unwrap_or(SLOW),
                fall: self.retries.unwrap_or(Timing::default().fall),
                start_timeout,
                ..ExecForm::default()
            })),
        }
    }

    /// Docker gives a container up after its start period and as many retries.
    fn start_timeout(&self) -> Time {
        let retries = self.retries.unwrap_or(Timing::default().fall);
        match self.start_period {
            None => Timing::default().start_timeout,
            Some(Time(period)) => {
                let Time(interval) = self.interval.unwrap_or(SLOW);
                Time(period + interval * u32::from(retries.get()))
            }
        }
    }
}

const SLOW: Time = Time::seconds(30);
