//! One instance of a service: what its key says.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ServiceId, excerpt};

/// One instance of a service, as whoever watches it reports it: the value of
/// `/service-monitor/<label>/hosts/<service-id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHost {
    /// Where it is reached.
    pub host: IpAddr,
    /// At which port, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Which instance; the same as in the key.
    pub service_id: ServiceId,
    /// Whether it serves.
    pub state: ServiceState,
    /// Whatever else its clients want to know.
    #[serde(default)]
    pub info: BTreeMap<String, String>,
    /// Since when it has been in this state.
    pub since: Timestamp,
}

/// Whether an instance of a service serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// It answered its probes.
    Up,
    /// It did not.
    Down,
}

/// A value that tells of no instance.
#[derive(Debug, thiserror::Error)]
pub enum ServiceHostError {
    /// It is not of the form.
    #[error("{value:?} is no instance of a service: {source}")]
    Form {
        /// The value as it is, or the beginning of a long one.
        value: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It tells of another one than its key.
    #[error("its service_id is {found}, but its key is that of {expected}")]
    Other {
        /// Whom it tells of.
        found: ServiceId,
        /// Whose key it is.
        expected: ServiceId,
    },
}

impl ServiceHost {
    /// Reads the value of the key of that instance.
    pub fn parse(service: &ServiceId, value: &[u8]) -> Result<Self, ServiceHostError> {
        let host: Self =
            serde_json::from_slice(value).map_err(|source| ServiceHostError::Form {
                value: excerpt(&String::from_utf8_lossy(value)),
                source,
            })?;
        if host.service_id == *service {
            return Ok(host);
        }
        Err(ServiceHostError::Other {
            found: host.service_id,
            expected: service.clone(),
        })
    }

    /// The value of its key.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has nothing in it that JSON has not")
    }

    /// Where it is reached: `10.0.0.1`, `10.0.0.1:80`, `[fd00::1]:80`.
    pub fn address(&self) -> String {
        match self.port {
            Some(port) => SocketAddr::new(self.host, port).to_string(),
            None => self.host.to_string(),
        }
    }
}

impl ServiceState {
    /// As the key has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = r#"{"host":"10.0.0.7","port":9200,"service_id":"es-1","state":"up","info":{"zone":"a"},"since":"2026-11-20T12:00:00Z"}"#;

    fn es(text: &str) -> Result<ServiceHost, String> {
        let service = "es-1".parse().unwrap();
        ServiceHost::parse(&service, text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_value_is_written_as_documented_and_read_again() {
        let host = es(VALUE).unwrap();
        assert_eq!(String::from_utf8(host.encode()).unwrap(), VALUE);
        assert_eq!(host.state, ServiceState::Up);
        assert_eq!(host.address(), "10.0.0.7:9200");
    }

    #[test]
    fn port_and_info_may_be_left_out() {
        let host = r#"{"host":"fd00::1","service_id":"es-1","state":"down","since":"2026-11-20T12:00:00Z"}"#;
        let host = es(host).unwrap();
        assert_eq!((host.port, host.info.len()), (None, 0));
        assert_eq!(host.address(), "fd00::1");
        let host = ServiceHost {
            port: Some(80),
            ..host
        };
        assert_eq!(host.address(), "[fd00::1]:80");
    }

    #[test]
    fn what_tells_of_no_instance_is_refused_with_the_reason() {
        let error = es("yes").unwrap_err();
        assert!(
            error.starts_with("\"yes\" is no instance of a service: expected value"),
            "{error}"
        );
        let error = es(&VALUE.replace("\"up\"", "\"well\"")).unwrap_err();
        assert!(error.contains("unknown variant `well`, expected `up` or `down`"));
        let error = es(&VALUE.replace("es-1", "es-2")).unwrap_err();
        assert_eq!(error, "its service_id is es-2, but its key is that of es-1");
    }
}
