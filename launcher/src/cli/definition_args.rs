//! Flags of every subcommand that starts what definitions say.

use std::path::{Path, PathBuf};

use clap::Args;
use presence::keys::Tree;
use presence::process::args::{PrefixArgs, StateArgs};
use presence::process::exit::Failure;
use presence::process::state_file::{StateDir, StateError};
use presence::store::Store;

use super::document;
use crate::definitions::{Definitions, Origin, Source};
use crate::policy::Policy;

const STATE_DIR: &str = "/var/lib/launcher";
const POLICY: &str = "/etc/launcher/policy.yaml";

/// Where definitions come from, what they may ask for, and where they are kept.
#[derive(Debug, Clone, Args)]
pub struct DefinitionArgs {
    /// Where definitions are: etcd:, or file:///DIRECTORY with NAME.yaml, NAME.yml or NAME.json
    #[arg(long, value_name = "URL", default_value = "etcd:")]
    definitions: Source,

    /// What definitions may ask of this host; files are held to it only if it is given [default
    /// for those from the network: /etc/launcher/policy.yaml]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    prefix: PrefixArgs,

    #[command(flatten)]
    state: StateArgs,
}

impl DefinitionArgs {
    /// The tree that is published in.
    pub fn tree(&self) -> Tree {
        self.prefix.tree.clone()
    }

    /// The state directory; made where it is missing.
    pub fn state_dir(&self) -> Result<StateDir, StateError> {
        self.state.state_dir(Path::new(STATE_DIR))
    }

    /// The definitions that this host can start. What is wrong with the policy is said on stderr.
    pub fn definitions<S: Store>(
        &self,
        store: S,
        state: &StateDir,
    ) -> Result<Definitions<S>, Failure> {
        let policy = self.policy(Path::new(POLICY))?;
        let source = self.definitions.clone();
        Ok(Definitions::new(store, source, policy, self.tree(), state))
    }

    /// Without a file of its own the host allows what a policy allows that says nothing.
    fn policy(&self, default: &Path) -> Result<Option<Policy>, Failure> {
        match (&self.policy, self.definitions.origin()) {
            (Some(file), _) => document::policy(file).map(Some),
            (None, Origin::HostFile) => Ok(None),
            (None, Origin::Network) => match default.try_exists() {
                Ok(false) => Ok(Some(Policy::default())),
                // One that cannot be seen may be there.
                Ok(true) | Err(_) => document::policy(default).map(Some),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        definitions: DefinitionArgs,
    }

    fn policy(arguments: &[&str], default: &Path) -> Result<Option<Policy>, Failure> {
        let cli = Cli::try_parse_from([&["test"], arguments].concat()).unwrap();
        cli.definitions.policy(default)
    }

    #[test]
    fn files_of_the_host_are_trusted_unless_a_policy_is_given() {
        let root = tempfile::tempdir().unwrap();
        let (default, given) = (
            root.path().join("policy.yaml"),
            root.path().join("own.yaml"),
        );
        std::fs::write(&given, "privileged: true").unwrap();
        let given = format!("--policy={}", given.display());
        let files = "--definitions=file:///etc/launcher/services";
        let own = Some(Policy {
            privileged: true,
            ..Policy::default()
        });
        assert_eq!(policy(&[], &default), Ok(Some(Policy::default())));
        assert_eq!(policy(&[files], &default), Ok(None));
        for arguments in [&[given.as_str()][..], &[files, &given]] {
            assert_eq!(policy(arguments, &default), Ok(own.clone()));
        }
        std::fs::write(&default, "docker_socket: true").unwrap();
        assert!(policy(&[], &default).unwrap().unwrap().docker_socket);
        assert_eq!(policy(&[files], &default), Ok(None));
        let missing = policy(&["--policy=/nowhere/policy.yaml"], &default).unwrap_err();
        assert_eq!(missing.code(), presence::process::exit::USAGE);
    }
}
