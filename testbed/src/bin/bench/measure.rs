//! Times of whole processes, and what is made of many times.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use testbed::aws::Aws;
use testbed::etcd::Client;
use testbed::process::workspace_binary;
use testbed::{Error, Result, lbmanager};
use tokio::process::Command;
use tokio::time::Instant;

/// A program and its arguments, run again and again in an environment that holds nothing else.
#[derive(Debug, Clone)]
pub struct Task {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
}

impl Task {
    pub fn new(program: impl Into<PathBuf>, args: &[&str]) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        Self {
            program: program.into(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: vec![("PATH", path)],
        }
    }

    pub fn etcdctl(etcd: &Client, args: &[&str]) -> Self {
        let endpoints = etcd.endpoints().join(",");
        Self::new("etcdctl", args)
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", endpoints)
    }

    pub fn lbmanager(etcd: &Client, aws: &Aws, args: &[&str]) -> Result<Self> {
        let mut task = Self::new(workspace_binary("lbmanager")?, args);
        task.env.extend(lbmanager::environment(aws));
        Ok(task.env("ETCDCTL_ENDPOINTS", etcd.endpoints().join(",")))
    }

    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// From right before it is started until it has ended; its output goes to /dev/null.
    pub async fn time(&self) -> Result<Duration> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().kill_on_drop(true);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let begin = Instant::now();
        let status = command.status().await.map_err(|source| Error::Spawn {
            program: self.program.display().to_string(),
            source,
        })?;
        let took = begin.elapsed();
        self.judge(status).map(|()| took)
    }

    /// What this program writes when it is started with that flag and then the task's program and
    /// arguments, in the task's environment.
    pub async fn output_by(&self, flag: &str) -> Result<String> {
        let program = std::env::current_exe().map_err(|source| Error::Io {
            action: "find",
            object: "the running program".to_owned(),
            source,
        })?;
        let mut command = Command::new(&program);
        command.arg(flag).arg(&self.program).args(&self.args);
        command.env_clear().kill_on_drop(true);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().await.map_err(|source| Error::Spawn {
            program: program.display().to_string(),
            source,
        })?;
        self.judge(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn judge(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        Err(Error::Command {
            command: format!("{} {}", self.program.display(), self.args.join(" ")),
            status,
            stderr: "not captured; run it by hand".to_owned(),
        })
    }
}

/// Times the tasks in turn, `runs` times each after one that does not count, so that what else goes
/// on in the machine meets all alike.
pub async fn interleaved<const N: usize>(
    tasks: [&Task; N],
    runs: usize,
) -> Result<[Vec<Duration>; N]> {
    let mut times = [const { Vec::new() }; N];
    for task in tasks {
        task.time().await?;
    }
    for _ in 0..runs {
        for (task, times) in tasks.iter().zip(&mut times) {
            times.push(task.time().await?);
        }
    }
    Ok(times)
}

pub fn median(times: &[Duration]) -> Duration {
    percentile(times, 50)
}

/// The median of sizes.
pub fn middle(mut sizes: Vec<u64>) -> u64 {
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().unwrap_or_default()
}

/// The smallest that so many in a hundred do not exceed.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_from_the_smallest() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(median(&times), Duration::from_millis(50));
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(100));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
