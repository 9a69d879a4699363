//! Units as systemd sees them, on a host that is only a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::error::{Error, Result, find_program};

const INSTALL: &str = "apt-get install systemd, or make test-tools";

/// Units that ours may refer to; of the machine's own nothing is taken.
const OTHERS: [&str; 8] = [
    "basic.target",
    "docker.service",
    "etcd.service",
    "multi-user.target",
    "network-online.target",
    "nginx.service",
    "shutdown.target",
    "sysinit.target",
];

/// Programs that ours may start, beside those of this workspace.
const PROGRAMS: [&str; 4] = [
    "/bin/sh",
    "/sbin/modprobe",
    "/usr/bin/docker",
    "/usr/bin/etcdctl",
];

/// The directory tree of a host that has the programs and the other units.
#[derive(Debug)]
pub struct UnitHost(TempDir);

impl UnitHost {
    /// One with these programs of ours (`/usr/bin/lbmanager`) as well.
    pub fn new(programs: &[&str]) -> Result<Self> {
        let root = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let host = Self(root);
        for unit in OTHERS {
            let service = unit.ends_with(".service");
            let text = if service {
                "[Service]\nExecStart=/bin/sh\n"
            } else {
                "[Unit]\n"
            };
            host.install(unit, text)?;
        }
        for program in PROGRAMS.iter().chain(programs) {
            let path = host.path(program);
            make_room(&path)?;
            fs::copy("/bin/true", &path).map_err(Error::io("write", &path))?;
        }
        Ok(host)
    }

    /// Installs a unit: `examples/x.service` as `x.service`.
    pub fn install(&self, unit: &str, text: &str) -> Result<()> {
        let path = self.path("/etc/systemd/system").join(file_name(unit));
        make_room(&path)?;
        fs::write(&path, text).map_err(Error::io("write", &path))
    }

    /// Installs a unit of this workspace.
    pub fn install_own(&self, unit: &str) -> Result<()> {
        self.install(unit, &read(unit)?)
    }

    /// Whether `systemd-analyze verify` is content and says nothing; what it says otherwise.
    pub fn verify(&self, unit: &str) -> Result<()> {
        self.judge(&["verify"], unit, |output| {
            output.status.success() && words(output).is_empty()
        })
    }

    /// Whether the unit's exposure, as `systemd-analyze security` sees it, is not above this, in
    /// tenths.
    pub fn is_confined(&self, unit: &str, limit: u32) -> Result<()> {
        let threshold = format!("--threshold={limit}");
        let args = ["security", "--offline=true", &threshold];
        self.judge(&args, unit, |output| output.status.success())
    }

    fn judge(&self, args: &[&str], unit: &str, good: impl Fn(&Output) -> bool) -> Result<()> {
        // A template is looked at by way of one of its instances.
        let unit = file_name(unit).replace("@.", "@1.");
        let mut command = Command::new(find_program("systemd-analyze", INSTALL)?);
        let root = format!("--root={}", self.0.path().display());
        command.arg(root).args(args).arg(&unit);
        let output = command.output().map_err(|source| Error::Spawn {
            program: "systemd-analyze".to_owned(),
            source,
        })?;
        if good(&output) {
            return Ok(());
        }
        Err(Error::Command {
            command: format!("systemd-analyze {} {unit}", args.join(" ")),
            status: output.status,
            stderr: words(&output),
        })
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.0.path().join(absolute.trim_start_matches('/'))
    }
}

/// The text of a unit of this workspace: `lbmanager.service`, `examples/x.service`.
pub fn read(unit: &str) -> Result<String> {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let path = units.join(unit);
    fs::read_to_string(&path).map_err(Error::io("read", &path))
}

/// What a unit starts with this program, as `ExecStart=`: the arguments of each. Of a template, the
/// instance 1 of `web@`.
pub fn started(text: &str, program: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let text = text.replace("%i", "1").replace("%p", "web");
    let starts = text.lines().filter_map(|line| {
        let command = line.strip_prefix("ExecStart=")?;
        let mut words = command.split_whitespace();
        (words.next() == Some(program)).then(|| words.map(str::to_owned).collect())
    });
    starts.collect()
}

fn file_name(unit: &str) -> &str {
    unit.rsplit('/').next().unwrap_or(unit)
}

fn make_room(path: &Path) -> Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).map_err(Error::io("create", directory))
}

fn words(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_go_over_several_lines() {
        let text = "ExecStartPre=/usr/bin/a x\nExecStart=/usr/bin/a run \\\n    --id %p-%i\n";
        assert_eq!(started(text, "/usr/bin/a"), [["run", "--id", "web-1"]]);
        assert!(started(text, "/usr/bin/b").is_empty());
    }
}
