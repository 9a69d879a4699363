//! Stands in for `crate::store::etcd::{EtcdConfig, Secret}`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where etcd is and who we are, as `etcdctl` is told.
#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// `host:port` or URLs.
    pub endpoints: Vec<String>,
    /// Certificates of those who sign etcd's; the system's if absent.
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
    /// Our name, where etcd asks for one.
    pub user: Option<String>,
    /// The password of `user`.
    pub password: Option<Secret>,
    /// How long an endpoint may take to answer when it is connected to.
    pub dial_timeout: Duration,
}

/// A text that appears in no log and no error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for those who must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
