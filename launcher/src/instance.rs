//! One instance of a service on one host: what its key in etcd says.

use std::net::IpAddr;

use jiff::Timestamp;
use presence::model::excerpt;
use serde::{Deserialize, Serialize};

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
                message: texts.2,
            };
            prop_assert_eq!(InstanceState::parse(&state.encode()).unwrap(), state);
        }
    }
}
