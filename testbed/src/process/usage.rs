//! What a program under test costs.

use std::collections::BTreeMap;
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
        let stat = Stat::parse(&stat)
            .ok_or_else(|| Error::answer(format!("/proc/{}/stat", self.pid()), stat.clone()))?;
        Ok(stat.own)
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

/// CPU time that a process and all below it have used, those included that have ended and were
/// waited for.
pub(crate) fn cpu_time_of_tree(root: u32) -> Result<Duration> {
    let processes = std::fs::read_dir("/proc").map_err(Error::io("read", "/proc"))?;
    let mut all = BTreeMap::new();
    for process in processes.flatten() {
        let pid = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        let stat = std::fs::read_to_string(process.path().join("stat"));
        if let (Some(pid), Some(stat)) = (pid, stat.ok().and_then(|stat| Stat::parse(&stat))) {
            all.insert(pid, stat);
        }
    }
    let is_below = |pid: &u32| {
        let mut parents = std::iter::successors(Some(*pid), |pid| Some(all.get(pid)?.parent));
        parents.any(|pid| pid == root)
    };
    let below = all.iter().filter(|(pid, _)| is_below(pid));
    Ok(below.map(|(_, stat)| stat.own + stat.ended).sum())
}

/// What `/proc/PID/stat` says: `proc(5)`.
struct Stat {
    parent: u32,
    own: Duration,
    /// Of children that have ended and were waited for.
    ended: Duration,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The name, in parentheses, may contain anything; what follows begins with the 3rd field.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        let ticks = ticks
            .and_then(|ticks| u64::try_from(ticks).ok())
            .unwrap_or(100);
        let time = |user, system| {
            Some(Duration::from_millis(
                (field(user)? + field(system)?) * 1000 / ticks,
            ))
        };
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own: time(14, 15)?,
            ended: time(16, 17)?,
        })
    }
}

/// The value of a field that the kernel tells in kilobytes.
fn bytes(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
