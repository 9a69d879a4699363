use std::fmt;
use std::str::FromStr;

use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::forms::schema;

/// Where what is mounted comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A path of the host.
    Path(String),
    /// A volume of Docker by its name.
    Volume(String),
    /// A volume of its own, gone with the container.
    Anonymous,
}

/// Something that is mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// What.
    pub source: Source,
    /// Where in the container: an absolute path.
    pub target: String,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Docker's other options, such as `z` or `rshared`, in order.
    pub options: Vec<String>,
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Path(source) | Source::Volume(source) => write!(f, "{source}:")?,
            Source::Anonymous => {}
        }
        f.write_str(&self.target)?;
        let read_only = self.read_only.then_some("ro");
        let options: Vec<&str> = read_only
            .into_iter()
            .chain(self.options.iter().map(String::as_str))
            .collect();
        if options.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", options.join(","))
    }
}

schema!(Volume, "Volume", {
    "description": "[SOURCE:]TARGET[:OPTIONS]; a source that begins with / is a path of the host",
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "type": {"enum": ["bind", "volume"]},
                "source": {"type": "string", "description": "A path of the host, or the name of a volume"},
                "target": {"type": "string", "description": "An absolute path in the container"},
                "read_only": {"type": "boolean"}
            },
            "required": ["target"],
            "additionalProperties": false
        }
    ]
});

/// Docker's options of a bind, beside `ro` and `rw`.
const OPTIONS: [&str; 11] = [
    "z",
    "Z",
    "nocopy",
    "consistent",
    "cached",
    "delegated",
    "private",
    "rprivate",
    "rshared",
    "rslave",
    "shared",
];

impl FromStr for Volume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let because = |why: String| format!("{text:?} is no volume: {why}");
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match *parts.as_slice() {
            [target] => (None, target, ""),
            [source, target] if target.starts_with('/') => (Some(source), target, ""),
            [target, options] if target.starts_with('/') => (None, target, options),
            [source, target] => (Some(source), target, ""),
            [source, target, options] => (Some(source), target, options),
            _ => return Err(because("[SOURCE:]TARGET[:OPTIONS] is expected".to_owned())),
        };
        let mut volume = Self::new(source, target).map_err(because)?;
        volume.add_options(options).map_err(because)?;
        Ok(volume)
    }
}

impl Volume {
    fn new(source: Option<&str>, target: &str) -> Result<Self, String> {
        Ok(Self {
            source: source.map_or(Ok(Source::Anonymous), parse_source)?,
            target: absolute("target", target)?,
            read_only: false,
            options: Vec::new(),
        })
    }

    fn add_options(&mut self, options: &str) -> Result<(), String> {
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => self.read_only = true,
                "rw" => {}
                option if OPTIONS.contains(&option) => self.options.push(option.to_owned()),
                _ => {
                    let known = OPTIONS.join(", ");
                    return Err(format!("{option:?} is none of ro, rw, {known}"));
                }
            }
        }
        self.options.sort();
        self.options.dedup();
        Ok(())
    }
}

fn parse_source(source: &str) -> Result<Source, String> {
    if source.starts_with('/') {
        return absolute("source", source).map(Source::Path);
    }
    let mut bytes = source.bytes();
    let is_name = source.len() > 1
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if is_name {
        return Ok(Source::Volume(source.to_owned()));
    }
    Err(format!(
        "its source {source:?} is no absolute path of the host, and no name of a volume: letters, \
         digits and . _ - after the first"
    ))
}

/// An absolute path without what makes two spellings of one: `.`, `..`, double slashes.
pub(crate) fn absolute(what: &str, path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("its {what} {path:?} is no absolute path"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(format!("its {what} {path:?} goes up with .."));
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    Ok(format!("/{}", parts.join("/")))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Bind,
    Volume,
}

/// The form of a mapping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    r#type: Option<Type>,
    source: Option<String>,
    target: String,
    #[serde(default)]
    read_only: bool,
}

impl Keys {
    fn volume(&self) -> Result<Volume, String> {
        let volume = Volume::new(self.source.as_deref(), &self.target)?;
        match (&self.r#type, &volume.source) {
            (Some(Type::Bind), Source::Volume(_) | Source::Anonymous) => {
                Err("type: bind needs a source that is an absolute path of the host".to_owned())
            }
            (Some(Type::Volume), Source::Path(_)) => {
                Err("type: volume needs the name of a volume, or no source".to_owned())
            }
            _ => Ok(Volume {
                read_only: self.read_only,
                ..volume
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Volume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Volume;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text such as /data:/data:ro, or a mapping with target")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Volume, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Volume, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(entries))?;
                keys.volume().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Volume {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<Volume>().map(|volume| volume.to_string())
    }

    #[test]
    fn volumes_are_written_as_docker_writes_them() {
        for (text, expected) in [
            ("/data", "/data"),
            ("/a:/b", "/a:/b"),
            ("/a/:/b//c/.", "/a:/b/c"),
            ("/some-mount:/some-mount:ro", "/some-mount:/some-mount:ro"),
            ("data:/data:rw", "data:/data"),
            ("data:/data:z,ro,nocopy", "data:/data:ro,nocopy,z"),
            ("/data:ro", "/data:ro"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_volume_is_refused() {
        for (text, because) in [
            ("", "its target \"\" is no absolute path"),
            ("data:there", "its target \"there\" is no absolute path"),
            (
                "./data:/data",
                "its source \"./data\" is no absolute path of the host",
            ),
            ("/a/../etc:/etc", "its source \"/a/../etc\" goes up with .."),
            ("/a:/b:rx", "\"rx\" is none of ro, rw, z, Z"),
            ("/a:/b:ro:z", "[SOURCE:]TARGET[:OPTIONS] is expected"),
        ] {
            let error = read(text).unwrap_err();
            let expected = format!("{text:?} is no volume: {because}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
