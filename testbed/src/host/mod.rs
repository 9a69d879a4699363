//! A whole host: one guest with systemd, etcd, Docker and a kernel with IPVS.
//!
//! Tests that need one are a program of their own (`harness = false`) with a
//! [`Suite`](crate::guest::suite::Suite) of which one says `.host()`. They run as root, one after the
//! other on the same host, of which there are at most two: so each begins with what it needs, and
//! may not expect that a unit is new. A host takes 10 seconds to boot.
//!
//! ```no_run
//! # async fn f() -> testbed::Result<()> {
//! use testbed::host::{self, Unit};
//!
//! host::install_program("lbmanager")?;
//! let unit = Unit::install("lbmanager.service").await?;
//! unit.start().await?;
//! host::run("ipvsadm", ["-Ln"]).await?.success()?;
//! println!("{}", unit.journal().await?);
//! # Ok(()) }
//! ```
//!
//! The distribution's `etcd.service` and `docker.service` run when the tests begin; what they keep
//! is in memory. The host has the address [`ADDRESS`], the folders of this workspace and of its
//! programs where they are outside, and nobody to talk to. Its disk is an image of the machine's own
//! distribution that is made once, with `mmdebstrap`, and kept in `target/host` until the recipe or
//! the machine's package sources change; what a host writes to it is in a file of its own, and gone
//! with it. So several may run at a time.

pub(crate) mod root;
mod unit;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

pub use self::unit::Unit;
use crate::error::{Error, Result};
use crate::etcd::Client;
use crate::guest::Finished;
use crate::process::workspace_binary;

/// Where others would reach it.
pub const ADDRESS: &str = "192.0.2.10";

/// The host's etcd.
pub fn etcd() -> Client {
    Client::of("http://127.0.0.1:2379")
}

/// Runs a program to its end; how it ended is in the result.
pub async fn run(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Finished> {
    let mut command = Command::new(&program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let words = format!("{:?}", command.as_std());
    let output = command.output().await.map_err(|source| Error::Spawn {
        program: program.as_ref().display().to_string(),
        source,
    })?;
    Ok(Finished {
        command: words,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Puts a program of this workspace into `/usr/bin`.
pub fn install_program(name: &str) -> Result<()> {
    let to = Path::new("/usr/bin").join(name);
    // Beside it and then in its place: the old one may run.
    let beside = to.with_extension("new");
    let from = workspace_binary(name)?;
    fs::copy(&from, &beside).map_err(Error::io("copy", from))?;
    fs::rename(&beside, &to).map_err(Error::io("install", to))
}

/// Writes a file, and makes the directories above it.
pub fn write(path: impl AsRef<Path>, text: &str) -> Result<()> {
    let path = path.as_ref();
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    }
    fs::write(path, text).map_err(Error::io("write", path))
}
