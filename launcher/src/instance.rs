//! One instance of a service on one host: what its unit calls it, and what its key in etcd says.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use presence::model::{DefinitionRevision, InvalidName, Revision, excerpt};
use serde::{Deserialize, Serialize};

/// How the newest revision is called, whichever that is.
const NEWEST: &str = "newest";

/// Which revision a unit runs, as its name says (`%i`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceName {
    /// The newest, whichever that is.
    #[default]
    Newest,
    /// The one that was written at this revision of etcd: `42`.
    Number(Revision),
    /// This one: `42-0a1b2c3d`.
    Revision(DefinitionRevision),
}

impl InstanceName {
    /// Whether a unit of this name runs that revision; of the newest it cannot be told.
    pub fn names(self, revision: DefinitionRevision) -> bool {
        match self {
            Self::Newest => true,
            Self::Number(number) => revision.mod_revision() == number,
            Self::Revision(named) => named == revision,
        }
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str(NEWEST),
            Self::Number(number) => number.fmt(f),
            Self::Revision(revision) => revision.fmt(f),
        }
    }
}

impl FromStr for InstanceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let number = text.parse().ok().filter(|number| *number > 0);
        match number {
            // A number may have a sign, or zeros before it.
            Some(number) if Revision(number).to_string() == text => {
                Ok(Self::Number(Revision(number)))
            }
            _ => text.parse().map(Self::Revision),
        }
    }
}

/// An instance as its launcher reports it: the value of
/// `/launcher/instances/<name>/<host-id>/<revision>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceState {
    /// How it is.
    pub state: State,
    /// Since when it has been so.
    pub since: Timestamp,
    /// The ID of its container, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The image that it runs.
    pub image: String,
    /// Where the container is reached, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The members of load balancers that it publishes, where it runs: another revision that leaves
    /// may leave them to it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keys: BTreeSet<String>,
    /// Why it is so, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It never served yet: from the image to the first good probe and the load balancers.
    Starting,
    /// It serves.
    Running,
    /// It runs, and does not answer its probes.
    Unhealthy,
    /// It was taken out, and its connections come to an end.
    Draining,
    /// Its container is stopped and removed.
    Stopping,
}

/// A value that tells of no instance.
#[derive(Debug, thiserror::Error)]
#[error("{value:?} is no state of an instance")]
pub struct InstanceStateError {
    /// The value as it is, or the beginning of a long one.
    pub value: String,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

impl InstanceState {
    /// Reads the value of a key.
    pub fn parse(value: &[u8]) -> Result<Self, InstanceStateError> {
        serde_json::from_slice(value).map_err(|source| InstanceStateError {
            value: excerpt(&String::from_utf8_lossy(value)),
            source,
        })
    }

    /// Whether the value is that of an instance that runs and publishes this key.
    pub fn publishes(value: &[u8], key: &str) -> bool {
        let state = Self::parse(value);
        state.is_ok_and(|state| state.state == State::Running && state.keys.contains(key))
    }

    /// The value of its key.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has nothing in it that JSON has not")
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = r#"{"state":"unhealthy","since":"2026-11-20T12:00:00Z","container":"0a1b","image":"web:1.4","address":"172.18.0.5","message":"503"}"#;

    #[test]
    fn a_unit_names_a_revision_or_its_number() {
        let [one, other] =
            ["42-0a1b2c3d", "420-0a1b2c3d"].map(|revision| revision.parse().unwrap());
        for (text, names) in [("42", [true, false]), ("420-0a1b2c3d", [false, true])] {
            let instance: InstanceName = text.parse().unwrap();
            assert_eq!(instance.to_string(), text);
            assert_eq!([instance.names(one), instance.names(other)], names);
        }
        assert!(InstanceName::Newest.names(one) && InstanceName::Newest.names(other));
        for text in ["", "0", "042", "+42", "newest", "42-", "manager"] {
            assert!(text.parse::<InstanceName>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_value_is_written_as_documented_and_read_again() {
        let state = InstanceState::parse(VALUE.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(state.encode()).unwrap(), VALUE);
        assert_eq!(state.state, State::Unhealthy);
        let least = r#"{"state":"starting","since":"2026-11-20T12:00:00Z","image":"web:1.4"}"#;
        let state = InstanceState::parse(least.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(state.encode()).unwrap(), least);
    }

    #[test]
    fn what_a_later_version_adds_is_no_mistake() {
        let more = VALUE.replace("\"state\"", "\"later\":1,\"state\"");
        assert!(InstanceState::parse(more.as_bytes()).is_ok());
    }

    #[test]
    fn what_tells_of_no_instance_is_refused_with_the_reason() {
        let error = InstanceState::parse(b"up").unwrap_err();
        assert_eq!(error.to_string(), "\"up\" is no state of an instance");
        let odd = VALUE.replace("unhealthy", "well");
        let error = InstanceState::parse(odd.as_bytes()).unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(cause.starts_with("unknown variant `well`"), "{cause}");
    }

    proptest! {
        #[test]
        fn any_state_is_read_as_it_was_written(
            index in 0..5_usize,
            seconds in 0..4_000_000_000_i64,
            texts in any::<(Option<String>, String, Option<String>)>(),
            address in any::<Option<IpAddr>>(),
            keys in any::<BTreeSet<String>>(),
        ) {
            let all = [
                State::Starting,
                State::Running,
                State::Unhealthy,
                State::Draining,
                State::Stopping,
            ];
            let state = InstanceState {
                state: all[index],
                since: Timestamp::from_second(seconds).unwrap(),
                container: texts.0,
                image: texts.1,
                address,
                keys,
                message: texts.2,
            };
            prop_assert_eq!(InstanceState::parse(&state.encode()).unwrap(), state);
        }
    }
}
