//! What a program under test costs.

use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use super::Running;
use crate::error::{Error, Result};

/// Memory that a process uses, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it that is in RAM.
    pub rss: u64,
    /// What no other process shares.
    pub private: u64,
    /// The most that was ever in RAM.
    pub peak: u64,
}

impl Running {
    /// CPU time used so far, in user and kernel mode. Exact to a hundredth of a second or so.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        let unexpected = || Error::answer(format!("/proc/{}/stat", self.pid()), stat.clone());
        // The name, in parentheses, may contain anything; user and system time are the 14th and 15th.
        let (_, rest) = stat.rsplit_once(") ").ok_or_else(unexpected)?;
        let fields: Vec<u64> = rest
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|f| f.parse().ok())
            .collect();
        let [user, system] = fields[..] else {
            return Err(unexpected());
        };
        let ticks = sysconf(SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .and_then(|ticks| u64::try_from(ticks).ok());
        Ok(Duration::from_millis(
            (user + system) * 1000 / ticks.unwrap_or(100),
        ))
    }

    /// Memory in use now.
    pub fn memory(&self) -> Result<Memory> {
        let rollup = self.proc("smaps_rollup")?;
        let private = bytes(&rollup, "Private_Clean:") + bytes(&rollup, "Private_Dirty:");
        Ok(Memory {
            rss: bytes(&rollup, "Rss:"),
            private,
            peak: bytes(&self.proc("status")?, "VmHWM:"),
        })
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(&path).map_err(Error::io("read", path))
    }
}

/// The value of a field that the kernel tells in kilobytes.
fn bytes(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
