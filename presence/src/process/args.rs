//! Flags that every binary has.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Failure;
use super::http::{Endpoint, ListenError};
use super::logging::LogFormat;
use super::state_file::{StateDir, StateError};
use crate::keys::{DEFAULT_PREFIX, Tree};
use crate::model::{HostId, InvalidName};

/// Flags of all commands.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The name of this host, the same in lbmanager, launcher and
    /// service-monitor [default: the host name]
    #[arg(long, value_name = "NAME", global = true)]
    host_id: Option<HostId>,

    /// How logs are written; RUST_LOG says which [default level: info]
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        global = true
    )]
    pub log_format: LogFormat,
}

/// Flags of commands that read or write a tree of load balancers.
#[derive(Debug, Clone, Args)]
pub struct PrefixArgs {
    /// The etcd path of the tree of load balancers
    #[arg(long = "prefix", visible_alias = "config-path", value_name = "PATH",
          default_value = DEFAULT_PREFIX, value_parser = Tree::new)]
    pub tree: Tree,
}

/// Most callers need nothing but the tree.
impl Deref for PrefixArgs {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

/// The host name is not fit for a host ID.
#[derive(Debug, thiserror::Error)]
pub enum HostIdError {
    /// It cannot be read.
    #[error("cannot read the host name; give --host-id")]
    Unknown(#[source] nix::Error),
    /// It does not fit into a key.
    #[error("the host name cannot be the host ID; give --host-id")]
    Invalid(#[source] InvalidName),
}

impl From<HostIdError> for Failure {
    fn from(error: HostIdError) -> Self {
        Self::configuration(error)
    }
}

impl CommonArgs {
    /// The host ID that was given, or else the host name.
    pub fn host_id(&self) -> Result<HostId, HostIdError> {
        if let Some(host) = &self.host_id {
            return Ok(host.clone());
        }
        let name = nix::unistd::gethostname().map_err(HostIdError::Unknown)?;
        let name = name.to_string_lossy();
        name.parse().map_err(HostIdError::Invalid)
    }
}

/// Flags of commands that can be looked at while they run.
#[derive(Debug, Clone, Args)]
pub struct ListenArgs {
    /// Serve /metrics, /healthz and /readyz at this address; off by default
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    listen: Option<SocketAddr>,
}

/// Flags of commands that keep running, and something in files.
#[derive(Debug, Clone, Args)]
pub struct DaemonArgs {
    /// Where it can be looked at.
    #[command(flatten)]
    pub listen: ListenArgs,

    #[command(flatten)]
    state: StateArgs,
}

/// Flags of commands that keep something in files.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// Where to keep what must survive a restart [env: STATE_DIRECTORY]
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write IP:PORT, such as 127.0.0.1:9100, or [::]:9100 for every address")
}

impl ListenArgs {
    /// The address of `--listen`, taken, if it was given.
    pub async fn listen(&self) -> Result<Option<Endpoint>, ListenError> {
        match self.listen {
            Some(address) => Endpoint::bind(address).await.map(Some),
            None => Ok(None),
        }
    }
}

impl DaemonArgs {
    /// The state directory, as [`StateArgs::state_dir`] chooses it. It need
    /// not be writable: a daemon that can do most of its work without it
    /// reports that and continues.
    pub fn state_dir(&self, default: &Path) -> Result<StateDir, StateError> {
        StateDir::existing(self.state.path(default))
    }
}

impl StateArgs {
    /// The state directory: the flag's, systemd's (`StateDirectory=`), or the
    /// binary's own default; made where it is missing.
    pub fn state_dir(&self, default: &Path) -> Result<StateDir, StateError> {
        StateDir::open(self.path(default))
    }

    fn path(&self, default: &Path) -> PathBuf {
        let systemd = std::env::var_os("STATE_DIRECTORY");
        self.choose(systemd.map(PathBuf::from), default)
    }

    fn choose(&self, systemd: Option<PathBuf>, default: &Path) -> PathBuf {
        let flag = self.state_dir.clone();
        // systemd joins several with colons; the first one is ours.
        let first = systemd.and_then(|list| std::env::split_paths(&list).next());
        flag.or(first)
            .filter(|path| !path.as_os_str().is_empty())
            .unwrap_or_else(|| default.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        daemon: DaemonArgs,
        #[command(flatten)]
        prefix: PrefixArgs,
    }

    fn cli(arguments: &[&str]) -> Result<Cli, String> {
        Cli::try_parse_from([&["test"], arguments].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_host_is_named_by_flag_or_by_its_name() {
        let given = cli(&["--host-id", "lb-1.example"]).unwrap();
        assert_eq!(given.common.host_id().unwrap().as_str(), "lb-1.example");
        let name = nix::unistd::gethostname().unwrap();
        let default = cli(&[]).unwrap().common.host_id().unwrap();
        assert_eq!(Some(default.as_str()), name.to_str());
        let error = cli(&["--host-id", "a/b"]).unwrap_err();
        let expected = "host ID \"a/b\" is not valid: 1 to 128 of A-Z a-z 0-9 . _ - are expected";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_tree_is_at_the_prefix() {
        for (arguments, root) in [
            (&[][..], "/lbManager"),
            (&["--prefix=/two/"], "/two"),
            (&["--config-path", "/two"], "/two"),
        ] {
            assert_eq!(cli(arguments).unwrap().prefix.tree.to_string(), root);
        }
        for prefix in ["", "/", "/two-status", "/launcher"] {
            let error = cli(&[&format!("--prefix={prefix}")]).unwrap_err();
            let expected = format!("prefix {prefix:?} is not valid: ");
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn the_state_directory_is_the_flag_s_then_systemd_s_then_the_binary_s() {
        let default = Path::new("/var/lib/lbmanager");
        let systemd = || Some(PathBuf::from("/var/lib/private/a:/var/lib/b"));
        let none = cli(&[]).unwrap().daemon.state;
        assert_eq!(none.choose(None, default), default);
        assert_eq!(none.choose(Some(PathBuf::new()), default), default);
        assert_eq!(
            none.choose(systemd(), default),
            Path::new("/var/lib/private/a")
        );
        let flag = cli(&["--state-dir=/tmp/a:b"]).unwrap().daemon.state;
        assert_eq!(flag.choose(systemd(), default), Path::new("/tmp/a:b"));
    }

    #[tokio::test]
    async fn nobody_listens_unless_asked() {
        assert!(
            cli(&[])
                .unwrap()
                .daemon
                .listen
                .listen()
                .await
                .unwrap()
                .is_none()
        );
        let given = cli(&["--listen=127.0.0.1:0"]).unwrap().daemon;
        let endpoint = given.listen.listen().await.unwrap().unwrap();
        assert_ne!(endpoint.address().port(), 0);
        let error = cli(&["--listen=:9100"]).unwrap_err();
        assert!(
            error.contains(
                "':9100' for '--listen <IP:PORT>': write IP:PORT, such as 127.0.0.1:9100"
            ),
            "{error}"
        );
    }
}
