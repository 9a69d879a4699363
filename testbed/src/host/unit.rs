//! A unit of the host's systemd.

use std::path::Path;
use std::time::Duration;

use super::{run, write};
use crate::error::{Error, Result};
use crate::{units, wait};

/// Where a host keeps its own units.
const UNITS: &str = "/etc/systemd/system";
/// How many lines of its journal an error quotes.
const QUOTED: &str = "40";

/// A unit, by its name: `web@1.service`.
#[derive(Debug, Clone)]
pub struct Unit {
    name: String,
}

impl Unit {
    /// One that the host has.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Installs a unit of this workspace, `examples/web@.service` as `web@.service`, without the
    /// drop-ins that an earlier test may have left. Of a template, an instance is a unit of its own.
    pub async fn install(unit: &str) -> Result<Self> {
        let name = unit.rsplit('/').next().unwrap_or(unit);
        Self::install_as(name, &units::read(unit)?).await
    }

    /// Installs a unit of this text.
    pub async fn install_as(name: &str, text: &str) -> Result<Self> {
        let path = Path::new(UNITS).join(name);
        write(&path, text)?;
        let _ = std::fs::remove_dir_all(path.with_extension("service.d"));
        reload().await?;
        Ok(Self::new(name))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds settings: the text of a drop-in, of which it has one.
    pub async fn drop_in(&self, text: &str) -> Result<()> {
        let directory = format!("{UNITS}/{}.d", self.name);
        write(Path::new(&directory).join("test.conf"), text)?;
        reload().await
    }

    /// `systemctl start`, which waits until it is started, or has failed to.
    pub async fn start(&self) -> Result<()> {
        self.systemctl("start").await
    }

    /// `systemctl stop`.
    pub async fn stop(&self) -> Result<()> {
        self.systemctl("stop").await
    }

    /// `systemctl restart`.
    pub async fn restart(&self) -> Result<()> {
        self.systemctl("restart").await
    }

    /// Sends its main process a signal: `SIGKILL`.
    pub async fn kill(&self, signal: &str) -> Result<()> {
        let signal = format!("--signal={signal}");
        let args = ["kill", "--kill-whom=main", &signal, &self.name];
        run("systemctl", args).await?.success().map(drop)
    }

    /// A property, as `systemctl show` shows it.
    pub async fn property(&self, name: &str) -> Result<String> {
        let args = ["show", "--value", "--property", name, &self.name];
        let shown = run("systemctl", args).await?.success()?;
        Ok(shown.trim_end().to_owned())
    }

    /// The main process; none where it has none now.
    pub async fn main_pid(&self) -> Result<Option<u32>> {
        let pid = self.property("MainPID").await?;
        match pid.parse() {
            Ok(0) => Ok(None),
            Ok(pid) => Ok(Some(pid)),
            Err(_) => Err(Error::answer("systemctl show", pid)),
        }
    }

    /// Waits until `condition` is true of these properties, which are given as `NAME=value`, a line
    /// each.
    pub async fn wait_for(
        &self,
        properties: &[&str],
        deadline: Duration,
        condition: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let what = format!("{} to change", self.name);
        let wanted = format!("--property={}", properties.join(","));
        let found = wait::until(&what, deadline, || async {
            match run("systemctl", ["show", &wanted, &self.name]).await {
                Ok(shown) if condition(&shown.stdout) => Ok(shown.stdout),
                Ok(shown) => Err(shown.stdout),
                Err(error) => Err(error.chain()),
            }
        });
        match found.await {
            Ok(shown) => Ok(shown),
            Err(mut error) => {
                error.last.push_str(&self.last_words().await);
                Err(error.into())
            }
        }
    }

    /// All that it wrote since the host was booted.
    pub async fn journal(&self) -> Result<String> {
        let args = ["--unit", &self.name, "--output=cat", "--no-pager"];
        // What was written is in it only after this.
        run("journalctl", ["--sync"]).await?.success()?;
        run("journalctl", args).await?.success()
    }

    async fn systemctl(&self, verb: &str) -> Result<()> {
        let done = run("systemctl", [verb, &self.name]).await?;
        match done.success() {
            Ok(_) => Ok(()),
            Err(Error::Command {
                command, status, ..
            }) => Err(Error::Command {
                command,
                status,
                stderr: self.last_words().await,
            }),
            Err(error) => Err(error),
        }
    }

    async fn last_words(&self) -> String {
        let args = ["--unit", &self.name, "--no-pager", "--lines", QUOTED];
        match run("journalctl", args).await {
            Ok(done) => done.stdout,
            Err(error) => error.chain(),
        }
    }
}

async fn reload() -> Result<()> {
    let done = run("systemctl", ["daemon-reload"]).await?;
    done.success().map(drop)
}
