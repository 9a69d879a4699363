//! When a container counts as healthy.

use std::fmt;
use std::num::NonZeroU16;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

use super::forms::{Port, Time, Words};
use super::sparse::sparse;
use super::web::{Codes, Pattern, UrlPath};

/// How it is found out whether the container is healthy: by its name alone, or with what is
/// special about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = with_names)]
pub enum HealthCheck {
    /// It answers over HTTP as expected.
    #[serde(serialize_with = "sparse")]
    Http(HttpCheck),
    /// It takes connections.
    #[serde(serialize_with = "sparse")]
    Tcp(TcpCheck),
    /// It answers over HTTP with a JSON object whose `status` is `up`.
    #[serde(serialize_with = "sparse")]
    Up(UpCheck),
    /// A command in the container exits 0.
    #[serde(serialize_with = "sparse")]
    Exec(ExecCheck),
    /// The image's own HEALTHCHECK says so; what is given here is in place of what the image says.
    #[serde(serialize_with = "sparse")]
    Image(ImageCheck),
    /// It is not found out: a container that runs is healthy.
    None,
}

impl HealthCheck {
    /// Its key.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Up(_) => "up",
            Self::Exec(_) => "exec",
            Self::Image(_) => "image",
            Self::None => "none",
        }
    }
}

/// Most can be given by their names alone.
fn with_names(schema: &mut Schema) {
    let names = serde_json::json!({"enum": ["http", "tcp", "up", "image"]});
    if let Some(forms) = schema
        .get_mut("oneOf")
        .and_then(|forms| forms.as_array_mut())
    {
        forms.insert(0, names);
    }
}

/// When is probed, and how many like answers count. The same for every kind of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From one probe to the next.
    pub interval: Time,
    /// The same until the container is healthy for the first time.
    pub start_interval: Time,
    /// An answer that takes longer is none.
    pub timeout: Time,
    /// So many good answers in a row, and the container is healthy.
    pub rise: NonZeroU16,
    /// So many bad ones in a row, and it is not.
    pub fall: NonZeroU16,
    /// A container that is not healthy for so long after its start has failed.
    pub start_timeout: Time,
    /// So many bad answers in a row, and it counts as dead; never where there is none.
    pub liveness_fall: Option<NonZeroU16>,
}

const ONE: NonZeroU16 = NonZeroU16::MIN;
const THREE: NonZeroU16 = ONE.saturating_add(2);

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Time::seconds(1),
            start_interval: Time::seconds(1),
            timeout: Time::seconds(2),
            rise: ONE,
            fall: THREE,
            start_timeout: Time::seconds(300),
            liveness_fall: None,
        }
    }
}

/// A check that is probed from launcher: its own keys, and those of [`Timing`].
macro_rules! check {
    ($(#[$about:meta])* $name:ident { $($(#[$key_about:meta])* $key:ident: $type:ty = $default:expr,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$key_about])* pub $key: $type,)*
            /// From one probe to the next.
            pub interval: Time,
            /// The same until the container is healthy for the first time; `interval` by default.
            pub start_interval: Option<Time>,
            /// An answer that takes longer is none.
            pub timeout: Time,
            /// So many good answers in a row, and the container is healthy.
            pub rise: NonZeroU16,
            /// So many bad ones in a row, and it is not: it is published as not ready.
            pub fall: NonZeroU16,
            /// A container that is not healthy for so long after its start has failed.
            pub start_timeout: Time,
            /// So many bad ones in a row, and the unit fails, so that systemd starts it again.
            /// Never by default.
            pub liveness_fall: Option<NonZeroU16>,
        }

        impl Default for $name {
            fn default() -> Self {
                let timing = Timing::default();
                Self {
                    $($key: $default,)*
                    interval: timing.interval,
                    start_interval: None,
                    timeout: timing.timeout,
                    rise: timing.rise,
                    fall: timing.fall,
                    start_timeout: timing.start_timeout,
                    liveness_fall: timing.liveness_fall,
                }
            }
        }

        impl $name {
            /// When is probed, and how many like answers count.
            pub fn timing(&self) -> Timing {
                Timing {
                    interval: self.interval,
                    start_interval: self.start_interval.unwrap_or(self.interval),
                    timeout: self.timeout,
                    rise: self.rise,
                    fall: self.fall,
                    start_timeout: self.start_timeout,
                    liveness_fall: self.liveness_fall,
                }
            }
        }
    };
}

/// Over which protocol is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP.
    #[default]
    Http,
    /// HTTPS.
    Https,
}

check! {
    /// It answers over HTTP as expected.
    HttpCheck {
        /// What is asked for.
        path: UrlPath = UrlPath::default(),
        /// Which port of the container; `port` of the definition by default.
        port: Option<Port> = None,
        /// Where the container is, if that cannot be known: a name or an address.
        address: Option<String> = None,
        /// http or https.
        scheme: Scheme = Scheme::Http,
        /// Which status codes are good.
        status: Codes = Codes::default(),
        /// What the body must hold.
        body: Option<Pattern> = None,
        /// Whether redirects are followed to where the answer is.
        follow_redirects: bool = false,
    }
}

check! {
    /// It answers over HTTP with a JSON object whose `status` is `up`.
    UpCheck {
        /// What is asked for.
        path: UrlPath = UrlPath::default(),
        /// Which port of the container; `port` of the definition by default.
        port: Option<Port> = None,
        /// Where the container is, if that cannot be known: a name or an address.
        address: Option<String> = None,
        /// http or https.
        scheme: Scheme = Scheme::Http,
    }
}

check! {
    /// It takes connections.
    TcpCheck {
        /// Which port of the container; `port` of the definition by default.
        port: Option<Port> = None,
        /// Where the container is, if that cannot be known: a name or an address.
        address: Option<String> = None,
    }
}

check! {
    /// A command in the container exits 0.
    ExecForm {
        /// The command.
        command: Words = Words::default(),
    }
}

/// A command in the container exits 0: the command alone, or with its timing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ExecCheck(pub ExecForm);

impl JsonSchema for ExecCheck {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExecCheck".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let words = generator.subschema_for::<Words>();
        let form = generator.subschema_for::<ExecForm>();
        json_schema!({"anyOf": [words, form]})
    }
}

impl<'de> Deserialize<'de> for ExecCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        fn alone<E: Error>(command: Words) -> Result<ExecCheck, E> {
            if command.0.is_empty() {
                return Err(E::custom("a command is expected: it has no word"));
            }
            Ok(ExecCheck(ExecForm {
                command,
                ..ExecForm::default()
            }))
        }

        impl<'de> Visitor<'de> for Either {
            type Value = ExecCheck;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command as a list of words or a text, or a mapping with command,")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ExecCheck, E> {
                let text = serde::de::value::StrDeserializer::<E>::new(text);
                alone(Words::deserialize(text)?)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<ExecCheck, A::Error> {
                alone(Words::deserialize(SeqAccessDeserializer::new(items))?)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<ExecCheck, A::Error> {
                let form = ExecForm::deserialize(MapAccessDeserializer::new(entries))?;
                alone::<A::Error>(form.command.clone())?;
                Ok(ExecCheck(form))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// The image's own HEALTHCHECK, which Docker carries out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImageCheck {
    /// In place of the image's.
    pub interval: Option<Time>,
    /// In place of the image's, until the container is healthy for the first time.
    pub start_interval: Option<Time>,
    /// In place of the image's.
    pub timeout: Option<Time>,
    /// So many bad answers in a row, and it is not healthy; in place of the image's `retries`.
    pub fall: Option<NonZeroU16>,
    /// A container that is not healthy for so long after its start has failed.
    pub start_timeout: Time,
}

impl Default for ImageCheck {
    fn default() -> Self {
        Self {
            interval: None,
            start_interval: None,
            timeout: None,
            fall: None,
            start_timeout: Timing::default().start_timeout,
        }
    }
}
