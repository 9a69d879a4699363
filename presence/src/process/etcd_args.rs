//! How etcd is reached: the flags and variables of `etcdctl`, except that no
//! argument holds a password.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::duration;
use super::exit::Failure;
use crate::store::etcd::{EtcdConfig, REQUEST, Secret};

const USER: &str = "ETCDCTL_USER";
const PASSWORD: &str = "ETCDCTL_PASSWORD";
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:2379";
const HEADING: &str = "etcd, as etcdctl is told";

/// Flags to flatten into a binary's command.
// User and password are read from the environment by hand: a user from there
// may bring a password along, one from an argument may not, and a password
// has no argument at all.
#[derive(Debug, Clone, Args)]
pub struct EtcdArgs {
    /// Where etcd is: host:port or URLs, comma-separated
    #[arg(
        long,
        env = "ETCDCTL_ENDPOINTS",
        value_name = "URL,…",
        value_delimiter = ',',
        default_value = DEFAULT_ENDPOINT,
        global = true,
        help_heading = HEADING
    )]
    endpoints: Vec<String>,

    /// Certificates (PEM) of those who sign etcd's; the system's by default
    #[arg(long, env = "ETCDCTL_CACERT", value_name = "FILE", value_parser = path, global = true,
          help_heading = HEADING)]
    cacert: Option<PathBuf>,

    /// Our certificate (PEM); comes with --key
    #[arg(long, env = "ETCDCTL_CERT", value_name = "FILE", value_parser = path, global = true,
          help_heading = HEADING)]
    cert: Option<PathBuf>,

    /// The key of our certificate (PEM); comes with --cert
    #[arg(long, env = "ETCDCTL_KEY", value_name = "FILE", value_parser = path, global = true,
          help_heading = HEADING)]
    key: Option<PathBuf>,

    /// Our name, without a password [env: ETCDCTL_USER=NAME or NAME:PASSWORD]
    #[arg(long, value_name = "NAME", global = true, help_heading = HEADING)]
    user: Option<String>,

    /// Our password is in this file [env for the password: ETCDCTL_PASSWORD]
    #[arg(long, value_name = "FILE", value_parser = path, global = true,
          help_heading = HEADING)]
    password_file: Option<PathBuf>,

    /// How long an endpoint may take to answer when it is connected to
    #[arg(
        long,
        env = "ETCDCTL_DIAL_TIMEOUT",
        value_name = "DURATION",
        default_value = "2s",
        value_parser = dial_timeout,
        global = true,
        help_heading = HEADING
    )]
    dial_timeout: Duration,
}

fn dial_timeout(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("a time above 0 is expected, such as 2s".to_owned()),
        timeout => Ok(timeout),
    }
}

/// A variable that is set to nothing counts as not set, as with `etcdctl`.
#[expect(clippy::unnecessary_wraps, reason = "clap's signature")]
fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

fn given(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty()).cloned()
}

/// Why the flags and variables do not go together.
#[derive(Debug, thiserror::Error)]
pub enum EtcdArgsError {
    /// A password where everybody on the host can read it.
    #[error(
        "--user holds a colon: a password in an argument can be read by everybody on this host; \
         put it into ETCDCTL_PASSWORD or a file for --password-file, and change it"
    )]
    PasswordInArgument,
    /// The password file cannot be read.
    #[error("cannot read --password-file {}", file.display())]
    PasswordFile {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A variable of etcdctl that would change how etcd is reached.
    #[error("{variable}={value:?} is not supported: {instead}")]
    Unsupported {
        /// Which variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What to do.
        instead: &'static str,
    },
    /// The password file holds nothing.
    #[error("--password-file {} is empty; a password in one line is expected", _0.display())]
    EmptyPasswordFile(PathBuf),
}

impl From<EtcdArgsError> for Failure {
    fn from(error: EtcdArgsError) -> Self {
        match error {
            EtcdArgsError::PasswordInArgument => Self::usage(error),
            EtcdArgsError::PasswordFile { .. }
            | EtcdArgsError::EmptyPasswordFile(_)
            | EtcdArgsError::Unsupported { .. } => Self::configuration(error),
        }
    }
}

impl EtcdArgs {
    /// What to connect with. Certificates, and what has to come in pairs, are
    /// checked when it is connected.
    pub fn config(&self) -> Result<EtcdConfig, EtcdArgsError> {
        self.config_with(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
    }

    fn config_with(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<EtcdConfig, EtcdArgsError> {
        refuse_unsupported(&variable)?;
        let (user, beside_user) = self.user(variable(USER))?;
        let password = match given(self.password_file.as_ref()) {
            Some(file) => Some(read_password(&file)?),
            None => variable(PASSWORD).or(beside_user),
        };
        Ok(EtcdConfig {
            endpoints: self.endpoints(),
            ca: given(self.cacert.as_ref()),
            cert: given(self.cert.as_ref()),
            key: given(self.key.as_ref()),
            user,
            password: password.map(Secret::from),
            dial_timeout: self.dial_timeout,
        })
    }

    /// Without any, as `etcdctl` with an empty variable, etcd is on this host.
    fn endpoints(&self) -> Vec<String> {
        let endpoints = self.endpoints.iter();
        let given: Vec<String> = endpoints
            .filter(|endpoint| !endpoint.trim().is_empty())
            .cloned()
            .collect();
        if given.is_empty() {
            return vec![DEFAULT_ENDPOINT.to_owned()];
        }
        given
    }

    /// The user, and the password that came with it from the environment.
    fn user(
        &self,
        variable: Option<String>,
    ) -> Result<(Option<String>, Option<String>), EtcdArgsError> {
        let given = self.user.as_ref().filter(|user| !user.is_empty());
        match (given, variable) {
            (Some(user), _) if user.contains(':') => Err(EtcdArgsError::PasswordInArgument),
            (Some(user), _) => Ok((Some(user.clone()), None)),
            (None, Some(both)) => Ok(match both.split_once(':') {
                Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
                None => (Some(both), None),
            }),
            (None, None) => Ok((None, None)),
        }
    }
}

/// Variables that `etcdctl` obeys are obeyed or refused, never ignored. A value
/// that asks for what is done anyway is accepted.
fn refuse_unsupported(variable: impl Fn(&str) -> Option<String>) -> Result<(), EtcdArgsError> {
    type Accepts = fn(&str) -> bool;
    let unsupported: [(&'static str, Accepts, &'static str); 3] = [
        (
            "ETCDCTL_INSECURE_SKIP_TLS_VERIFY",
            |value| ["0", "f", "F", "false", "FALSE", "False"].contains(&value),
            "give the certificate of the authority that signed etcd's with ETCDCTL_CACERT or \
             --cacert",
        ),
        (
            "ETCDCTL_DISCOVERY_SRV",
            |_| false,
            "unset it and list the endpoints in ETCDCTL_ENDPOINTS or --endpoints",
        ),
        (
            "ETCDCTL_COMMAND_TIMEOUT",
            |value| duration::parse(value) == Ok(REQUEST),
            "unset it; each request to etcd has 5s",
        ),
    ];
    for (name, accepts, instead) in unsupported {
        if let Some(value) = variable(name).filter(|value| !accepts(value)) {
            return Err(EtcdArgsError::Unsupported {
                variable: name,
                value,
                instead,
            });
        }
    }
    Ok(())
}

fn read_password(file: &Path) -> Result<String, EtcdArgsError> {
    let text = std::fs::read_to_string(file).map_err(|source| EtcdArgsError::PasswordFile {
        file: file.to_owned(),
        source,
    })?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(EtcdArgsError::EmptyPasswordFile(file.to_owned()));
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::process::exit;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        etcd: EtcdArgs,
    }

    /// The configuration by these arguments and variables. The variables that
    /// clap reads itself are tried on a process of its own: `tests/process.rs`.
    fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Result<EtcdConfig, Failure> {
        let cli = Cli::try_parse_from([&["test"], arguments].concat()).unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Ok(cli.etcd.config_with(variable)?)
    }

    fn user(config: &EtcdConfig) -> (Option<&str>, Option<&str>) {
        let password = config.password.as_ref().map(Secret::expose);
        (config.user.as_deref(), password)
    }

    #[test]
    fn without_anything_it_is_as_etcdctl_without_anything() {
        let config = config(&[], &[]).unwrap();
        assert_eq!(config.endpoints, ["http://127.0.0.1:2379"]);
        assert_eq!(config.dial_timeout, Duration::from_secs(2));
        assert_eq!(user(&config), (None, None));
        assert!(config.ca.is_none() && config.cert.is_none() && config.key.is_none());
    }

    #[test]
    fn flags_are_named_as_etcdctl_names_them() {
        let config = config(
            &[
                "--endpoints=https://a:2379,https://b:2379",
                "--cacert=/ca.pem",
                "--cert=/c.pem",
                "--key=/k.pem",
                "--user=root",
                "--dial-timeout=500ms",
            ],
            &[(PASSWORD, "x")],
        )
        .unwrap();
        assert_eq!(config.endpoints, ["https://a:2379", "https://b:2379"]);
        assert_eq!(config.ca.as_deref(), Some(Path::new("/ca.pem")));
        assert_eq!(config.cert.as_deref(), Some(Path::new("/c.pem")));
        assert_eq!(config.key.as_deref(), Some(Path::new("/k.pem")));
        assert_eq!(user(&config), (Some("root"), Some("x")));
        assert_eq!(config.dial_timeout, Duration::from_millis(500));
    }

    #[test]
    fn the_password_comes_from_the_nearest_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from file\n").unwrap();
        let from_file = format!("--password-file={}", file.path().display());
        let both = (USER, "root:from:user");
        let own = (PASSWORD, "from variable");
        for (arguments, variables, expected) in [
            (vec![], vec![both], ("root", "from:user")),
            (vec![], vec![both, own], ("root", "from variable")),
            (
                vec![from_file.as_str()],
                vec![both, own],
                ("root", "from file"),
            ),
            (vec!["--user=me"], vec![both, own], ("me", "from variable")),
        ] {
            let config = config(&arguments, &variables).unwrap();
            assert_eq!(user(&config), (Some(expected.0), Some(expected.1)));
        }
        let other = config(&["--user=me"], &[both]).unwrap();
        assert_eq!(
            user(&other),
            (Some("me"), None),
            "the password is another user's"
        );
    }

    #[test]
    fn a_password_in_an_argument_is_refused_and_not_repeated() {
        let failure = config(&["--user=root:hunter2"], &[]).unwrap_err();
        assert_eq!(failure.code(), exit::USAGE);
        let message = failure.to_string();
        assert!(message.starts_with("--user holds a colon: "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn password_files_that_hold_none_are_named() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(empty.path(), "\r\n").unwrap();
        let path = empty.path().display();
        let failure = config(&[&format!("--password-file={path}")], &[]).unwrap_err();
        assert_eq!(failure.code(), exit::CONFIGURATION);
        assert_eq!(
            failure.to_string(),
            format!("--password-file {path} is empty; a password in one line is expected")
        );
        let failure = config(&["--password-file=/nonexistent"], &[]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot read --password-file /nonexistent: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_variable_set_to_nothing_is_not_set() {
        let config = config(&["--cacert=", "--cert=", "--key=", "--password-file="], &[]).unwrap();
        assert!(config.ca.is_none() && config.cert.is_none() && config.key.is_none());
        assert_eq!(user(&config), (None, None));
    }

    #[test]
    fn an_empty_list_of_endpoints_is_the_default() {
        for endpoints in ["--endpoints=", "--endpoints= ,"] {
            let config = config(&[endpoints], &[]).unwrap();
            assert_eq!(config.endpoints, [DEFAULT_ENDPOINT]);
        }
    }

    #[test]
    fn a_variable_of_etcdctl_is_obeyed_or_refused() {
        for (name, refused, accepted) in [
            ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true", Some("false")),
            ("ETCDCTL_DISCOVERY_SRV", "example.com", None),
            ("ETCDCTL_COMMAND_TIMEOUT", "1m", Some("5s")),
        ] {
            let failure = config(&[], &[(name, refused)]).unwrap_err();
            assert_eq!(failure.code(), exit::CONFIGURATION);
            let expected = format!("{name}={refused:?} is not supported: ");
            assert!(failure.to_string().starts_with(&expected), "{failure}");
            if let Some(accepted) = accepted {
                assert!(config(&[], &[(name, accepted)]).is_ok(), "{accepted}");
            }
        }
    }

    #[test]
    fn a_time_that_nothing_can_be_done_in_is_refused() {
        let error = Cli::try_parse_from(["test", "--dial-timeout=0"]).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("a time above 0 is expected"), "{message}");
    }

    #[test]
    fn help_names_every_variable() {
        let help = Cli::command().render_long_help().to_string();
        for name in [
            "ENDPOINTS",
            "CACERT",
            "CERT",
            "KEY",
            "USER",
            "PASSWORD",
            "DIAL_TIMEOUT",
        ] {
            assert!(help.contains(&format!("ETCDCTL_{name}")), "{name}: {help}");
        }
    }
}
