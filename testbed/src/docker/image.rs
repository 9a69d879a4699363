//! Images that are made without a registry.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::process::Command;

use super::{Docker, finish};
use crate::error::{Error, Result};
use crate::process::workspace_binary;

/// An image that is removed when this is dropped.
#[derive(Debug)]
pub struct Image {
    docker: Docker,
    tag: String,
}

impl Docker {
    /// Builds the image of a program of this workspace as it is now, by a name of its own.
    pub async fn build(&self, program: &str) -> Result<Image> {
        let tag = format!("{program}:test-{}", std::process::id());
        let mut command = script("build");
        command.arg(program).arg(workspace_binary(program)?);
        command.env("IMAGE", &tag).envs(self.env());
        finish(command, &format!("docker/build {program}")).await?;
        Ok(self.tagged(tag))
    }

    /// An image with nothing but the program that a test steers ([`crate::contained`]), changed as
    /// lines of a Dockerfile say (`STOPSIGNAL SIGINT`), by a name of its own.
    pub async fn contained(&self, changes: &[&str]) -> Result<Image> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tag = format!("contained:test-{}-{number}", std::process::id());
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let mut layout = script("context");
        layout.arg(workspace_binary("contained")?);
        layout.arg(directory.path());
        finish(layout, "docker/context contained").await?;
        let archive = directory.path().join("rootfs.tar");
        let mut tar = Command::new("tar");
        tar.arg("--create").arg("--file").arg(&archive);
        tar.arg("--directory").arg(directory.path().join("rootfs"));
        tar.arg(".");
        finish(quiet(tar), "tar --create").await?;
        let archive = archive.to_string_lossy();
        let mut import = vec!["import", "--change", r#"ENTRYPOINT ["/usr/bin/contained"]"#];
        for change in changes {
            import.extend(["--change", change]);
        }
        import.extend([&*archive, &tag]);
        self.run(&import).await?;
        Ok(self.tagged(tag))
    }

    fn tagged(&self, tag: String) -> Image {
        Image {
            docker: self.clone(),
            tag,
        }
    }
}

impl Image {
    /// Its name.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.docker.run_now(&["rmi", "--force", &self.tag]);
    }
}

/// A script of `docker/`.
fn script(name: &str) -> Command {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker");
    quiet(Command::new(directory.join(name)))
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
