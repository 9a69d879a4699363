//! How the real `lbmanager` is started.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use testbed::process::{Program, Running, Stream};

/// Longer than anything takes on a machine that does much else besides.
pub const SOON: Duration = Duration::from_secs(40);

/// Arguments and environment, and nothing of the test's own environment.
#[derive(Debug, Clone)]
pub struct Launch {
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Launch {
    /// `lbmanager run` with etcd and AWS at these URLs.
    pub fn new(etcd: &str, aws: &str, state: &Path) -> Self {
        let state = state.display().to_string();
        let env = [
            ("ETCDCTL_ENDPOINTS", etcd),
            ("AWS_ENDPOINT_URL", aws),
            ("AWS_ACCESS_KEY_ID", "AKIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-of-aws"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            // No file of whoever runs the tests.
            ("HOME", &state),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            args: Vec::new(),
            env: env.into(),
        }
        .arg("run")
        .arg(format!("--state-dir={state}"))
        .arg("--host-id=test-host")
        .arg("--settle=1s")
    }

    /// The binary with these arguments alone.
    pub fn bare(args: &[&str]) -> Self {
        Self {
            args: args.iter().map(ToString::to_string).collect(),
            env: BTreeMap::new(),
        }
    }

    /// Another subcommand in the same environment, with these arguments alone.
    #[must_use]
    pub fn subcommand(mut self, command: &str, args: &[&str]) -> Self {
        self.args = [command]
            .iter()
            .chain(args)
            .map(ToString::to_string)
            .collect();
        self
    }

    /// A further argument, which takes the place of one for the same flag.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        let arg = arg.into();
        if let Some((flag, _)) = arg.split_once('=') {
            let same = |other: &String| other.split_once('=').is_some_and(|(f, _)| f == flag);
            self.args.retain(|other| !same(other));
        }
        self.args.push(arg);
        self
    }

    /// A further variable, or another value of one.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// One variable less.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Starts it.
    pub async fn start(&self) -> Running {
        Program::new(env!("CARGO_BIN_EXE_lbmanager"))
            .env_clear()
            .envs(&self.env)
            .args(&self.args)
            .start()
            .await
            .unwrap()
    }

    /// Starts it and waits until it ends by itself.
    pub async fn ended(&self) -> Ended {
        let mut running = self.start().await;
        let status = running.wait(SOON).await.unwrap();
        Ended {
            code: status.code(),
            stdout: running.text(Stream::Stdout),
            stderr: running.text(Stream::Stderr),
        }
    }
}

/// How it ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Checks the exit code, and that its last words hold all of these.
    pub fn said(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for words in words {
            assert!(
                self.stderr.contains(words),
                "{words:?} is not in {}",
                self.stderr
            );
        }
    }
}
