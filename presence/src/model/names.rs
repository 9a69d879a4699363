//! Names that people give: of hosts, services, labels.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::InvalidName;

/// A name as one segment of a key: a newtype with value equality, and with
/// nothing inside but what [`FromStr`] lets through.
macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $parse:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The segment of the key.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let parse: fn(&str) -> Result<Self, InvalidName> = $parse;
                parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }
    };
}

name! {
    /// The name of a host, the same in all three binaries: 1 to 128 of
    /// `A-Z a-z 0-9 . _ -`. A host's own region of IPVS is named by it.
    HostId, |text| {
        let allowed = "1 to 128 of A-Z a-z 0-9 . _ - are expected";
        is_made_of(text, 128, b"._-")
            .then(|| Self(text.into()))
            .ok_or_else(|| InvalidName::new("host ID", text, allowed))
    }
}

name! {
    /// One instance of a service, or one holder of a lease: 1 to 128 of
    /// `A-Z a-z 0-9 . _ : -`. Every host ID is one.
    ServiceId, |text| {
        let allowed = "1 to 128 of A-Z a-z 0-9 . _ : - are expected";
        is_made_of(text, 128, b"._:-")
            .then(|| Self(text.into()))
            .ok_or_else(|| InvalidName::new("service ID", text, allowed))
    }
}

name! {
    /// The services, or the leases, that belong together: 1 to 128 of
    /// `a-z 0-9 . _ -`. What a person writes is lower-cased; a key must have
    /// it in lower case.
    Label, |text| {
        let lower = text.to_ascii_lowercase();
        let allowed = "1 to 128 of a-z 0-9 . _ - are expected";
        is_made_of(&lower, 128, b"._-")
            .then(|| Self(lower.into()))
            .ok_or_else(|| InvalidName::new("label", text, allowed))
    }
}

name! {
    /// The name of a service definition: 1 to 100 of `A-Z a-z 0-9 . _ -`,
    /// the first one no `. _ -`. So it fits into the names of containers and
    /// units, and with `deploy.` before it into a label.
    ServiceName, |text| {
        let allowed = "1 to 100 of A-Z a-z 0-9 . _ - are expected, the first a letter or digit";
        (is_made_of(text, 100, b"._-") && text.starts_with(|c: char| c.is_ascii_alphanumeric()))
            .then(|| Self(text.into()))
            .ok_or_else(|| InvalidName::new("service name", text, allowed))
    }
}

impl Label {
    /// The label of the budget of a service's rollout: `deploy.<name>`.
    pub fn rollout(service: &ServiceName) -> Self {
        let label = format!("deploy.{service}");
        Self(label.to_ascii_lowercase().into())
    }

    /// The label as it must stand in a key.
    pub(crate) fn in_key(segment: &str) -> Result<Self, InvalidName> {
        let label: Self = segment.parse()?;
        if label.as_str() == segment {
            Ok(label)
        } else {
            Err(InvalidName::spelling("label", segment, label.as_str()))
        }
    }
}

impl From<&HostId> for ServiceId {
    fn from(host: &HostId) -> Self {
        Self(Arc::clone(&host.0))
    }
}

/// Letters, digits and these others, from 1 up to `longest`.
fn is_made_of(text: &str, longest: usize, others: &[u8]) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: FromStr<Err = InvalidName> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_allowed_is_allowed_up_to_its_length() {
        let long = "x".repeat(128);
        for text in ["a", "lb-1.example_2", "LB", &long] {
            assert_eq!(text.parse::<HostId>().unwrap().as_str(), text);
            assert_eq!(text.parse::<ServiceId>().unwrap().as_str(), text);
            assert_eq!(text.parse::<Label>().unwrap().as_str(), text.to_lowercase());
        }
        assert_eq!("a:1".parse::<ServiceId>().unwrap().as_str(), "a:1");
        let longest = "x".repeat(100);
        assert!(longest.parse::<ServiceName>().is_ok());
        let name: ServiceName = longest.to_uppercase().parse().unwrap();
        assert_eq!(format!("deploy.{name}").parse(), Ok(Label::rollout(&name)));
    }

    #[test]
    fn what_is_not_is_refused_with_what_is() {
        let long = "x".repeat(129);
        for text in ["", "a/b", "a b", "ä", "a:1", "a\n", &long] {
            assert_eq!(
                refused::<HostId>(text),
                format!(
                    "host ID {text:?} is not valid: 1 to 128 of A-Z a-z 0-9 . _ - are expected"
                )
            );
            assert_eq!(
                refused::<Label>(text),
                format!("label {text:?} is not valid: 1 to 128 of a-z 0-9 . _ - are expected")
            );
        }
        for text in ["", "a/b", "a@b"] {
            assert_eq!(
                refused::<ServiceId>(text),
                format!(
                    "service ID {text:?} is not valid: 1 to 128 of A-Z a-z 0-9 . _ : - are expected"
                )
            );
        }
        for text in ["", "-a", ".a", "a:b", &long] {
            assert_eq!(
                refused::<ServiceName>(text),
                format!(
                    "service name {text:?} is not valid: 1 to 100 of A-Z a-z 0-9 . _ - are \
                     expected, the first a letter or digit"
                )
            );
        }
    }

    #[test]
    fn json_is_held_to_the_same_rules() {
        let host: HostId = serde_json::from_str("\"lb-1\"").unwrap();
        assert_eq!(serde_json::to_string(&host).unwrap(), "\"lb-1\"");
        assert!(serde_json::from_str::<HostId>("\"a/b\"").is_err());
    }

    #[test]
    fn a_key_has_a_label_in_lower_case() {
        assert_eq!(
            Label::in_key("MyService").unwrap_err().to_string(),
            "label \"MyService\" is not valid: \
             only the canonical spelling names it: write \"myservice\""
        );
    }
}
