//! How etcd is reached, checked before anything is tried.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::store::StoreError;

/// Silence after which a connection is tested, and how long the test waits.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// Where etcd is and who we are, as `etcdctl` is told.
#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// `host:port` or URLs. Without a scheme, `https` if a certificate is
    /// given, else `http`.
    pub endpoints: Vec<String>,
    /// Certificates of those who sign etcd's; the system's if absent.
    pub ca: Option<PathBuf>,
    /// Our certificate. Comes with `key`.
    pub cert: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
    /// Our name, where etcd asks for one. Comes with `password`.
    pub user: Option<String>,
    /// The password of `user`.
    pub password: Option<Secret>,
    /// How long an endpoint may take to answer when it is connected to.
    pub dial_timeout: Duration,
}

impl EtcdConfig {
    /// Without TLS and user, waiting for 2 s as `etcdctl` does.
    pub fn plain<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            ca: None,
            cert: None,
            key: None,
            user: None,
            password: None,
            dial_timeout: Duration::from_secs(2),
        }
    }
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

/// A configuration that has been found sound, with its files read.
#[derive(Clone)]
pub(super) struct Checked {
    pub endpoints: Vec<Endpoint>,
    /// Name and password.
    pub user: Option<(String, Secret)>,
    pub dial_timeout: Duration,
    tls: TlsOptions,
}

impl Checked {
    pub fn new(config: &EtcdConfig) -> Result<Self, StoreError> {
        let with_tls = [&config.ca, &config.cert, &config.key]
            .iter()
            .any(|file| file.is_some());
        let endpoints: Vec<_> = config
            .endpoints
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .map(|text| Endpoint::parse(text, with_tls))
            .collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(wrong("no endpoint is given; set ETCDCTL_ENDPOINTS"));
        }
        Ok(Self {
            endpoints,
            user: user(config)?,
            dial_timeout: config.dial_timeout,
            tls: tls(config)?,
        })
    }

    /// What a connection to this endpoint is made with; without the user,
    /// who is sent only to an endpoint that has answered.
    pub fn options(&self, endpoint: &Endpoint) -> ConnectOptions {
        let (interval, timeout) = KEEP_ALIVE;
        let options = ConnectOptions::new()
            .with_keep_alive(interval, timeout)
            .with_keep_alive_while_idle(true)
            .with_connect_timeout(self.dial_timeout)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if endpoint.is_tls() {
            options.with_tls(self.tls.clone())
        } else {
            options
        }
    }

    /// All endpoints in one line.
    pub fn places(&self) -> String {
        let places: Vec<_> = self.endpoints.iter().map(|e| e.0.as_str()).collect();
        places.join(",")
    }
}

/// One endpoint, as a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint(String);

impl Endpoint {
    fn parse(text: &str, with_tls: bool) -> Result<Self, StoreError> {
        let (scheme, rest) = match text.split_once("://") {
            Some(parts) => parts,
            None if with_tls => ("https", text),
            None => ("http", text),
        };
        if !matches!(scheme, "http" | "https") {
            return Err(wrong(format!(
                "endpoint {text:?} is of the scheme {scheme:?}: write http:// or https://"
            )));
        }
        let place = rest.trim_end_matches('/');
        let port = place.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return Err(wrong(format!(
                "endpoint {text:?} has no port: write host:port, say etcd1:2379"
            )));
        }
        Ok(Self(format!("{scheme}://{place}")))
    }

    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https:")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn user(config: &EtcdConfig) -> Result<Option<(String, Secret)>, StoreError> {
    match (&config.user, &config.password) {
        (Some(user), Some(password)) => Ok(Some((user.clone(), password.clone()))),
        (None, None) => Ok(None),
        (Some(user), None) => Err(wrong(format!(
            "user {user:?} comes without a password; set ETCDCTL_PASSWORD or --password-file"
        ))),
        (None, Some(_)) => Err(wrong(
            "a password is given, but not whose it is; set ETCDCTL_USER",
        )),
    }
}

fn tls(config: &EtcdConfig) -> Result<TlsOptions, StoreError> {
    let options = match &config.ca {
        Some(file) => {
            let pem = read(file, "--cacert", "CERTIFICATE-----")?;
            TlsOptions::new().ca_certificate(Certificate::from_pem(pem))
        }
        None => TlsOptions::new().with_native_roots(),
    };
    match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => {
            let cert = read(cert, "--cert", "CERTIFICATE-----")?;
            let key = read(key, "--key", "PRIVATE KEY-----")?;
            Ok(options.identity(Identity::from_pem(cert, key)))
        }
        (None, None) => Ok(options),
        (Some(_), None) => Err(wrong("--cert comes without --key; give both or neither")),
        (None, Some(_)) => Err(wrong("--key comes without --cert; give both or neither")),
    }
}

fn read(file: &Path, option: &str, holds: &str) -> Result<String, StoreError> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("cannot read {option} {shown}: {error}")))?;
    if text.contains(holds) {
        Ok(text)
    } else {
        let what = holds.trim_end_matches('-');
        Err(wrong(format!(
            "{option} {shown} holds no {what} in PEM form"
        )))
    }
}

pub(super) fn wrong(what: impl Into<String>) -> StoreError {
    StoreError::Configuration(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, with_tls: bool) -> Result<String, String> {
        Endpoint::parse(text, with_tls)
            .map(|endpoint| endpoint.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn endpoints_are_taken_as_etcdctl_takes_them() {
        for (text, with_tls, url) in [
            ("127.0.0.1:2379", false, "http://127.0.0.1:2379"),
            ("etcd1:2379", true, "https://etcd1:2379"),
            ("http://etcd1:2379/", true, "http://etcd1:2379"),
            ("https://[::1]:2379", false, "https://[::1]:2379"),
        ] {
            assert_eq!(parsed(text, with_tls).as_deref(), Ok(url));
        }
    }

    #[test]
    fn endpoints_that_cannot_be_are_refused_by_name() {
        for text in ["etcd1", "unix:///run/etcd:1", "http://etcd1", "etcd1:0"] {
            let error = parsed(text, false).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let mut config = EtcdConfig::plain(["127.0.0.1:2379"]);
        config.user = Some("root".into());
        config.password = Some(Secret::from("hunter2".to_owned()));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn half_of_a_pair_is_refused() {
        let halves: [fn(&mut EtcdConfig); 5] = [
            |config| config.user = Some("root".into()),
            |config| config.password = Some(Secret::from("x".to_owned())),
            |config| config.cert = Some("/nonexistent".into()),
            |config| config.key = Some("/nonexistent".into()),
            |config| config.endpoints.clear(),
        ];
        for half in halves {
            let mut config = EtcdConfig::plain(["127.0.0.1:2379"]);
            half(&mut config);
            let refused = Checked::new(&config).err();
            assert!(matches!(refused, Some(StoreError::Configuration(_))));
        }
    }

    #[test]
    fn a_file_that_holds_no_certificate_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut config = EtcdConfig::plain(["127.0.0.1:2379"]);
        config.ca = Some(file.path().to_owned());
        let error = Checked::new(&config).err().unwrap().to_string();
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
    }
}
