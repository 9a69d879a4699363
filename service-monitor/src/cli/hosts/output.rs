//! Where the list goes: to stdout, or into a file that others read.

use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use presence::process::exit::{Failure, OWN_FAULT, OrExit};
use presence::process::replace::replace;
use presence::process::{cli, systemd};
use tokio::process::Command;

use crate::cli::REFUSED;

/// A new file is for everybody to read, as far as the umask lets them.
const MODE: u32 = 0o666;

/// Where the list goes.
#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    File {
        path: PathBuf,
        /// Run when it was changed.
        command: Option<String>,
    },
}

impl Output {
    /// Hands the list over. A file that holds it already is left alone.
    /// Break: nobody reads any more.
    pub(super) async fn put(&self, text: &str) -> Result<ControlFlow<()>, Failure> {
        match self {
            Self::Stdout => cli::print_on(text.as_bytes()),
            Self::File { path, command } => {
                let changed = rewrite(path, text.as_bytes()).or_exit(OWN_FAULT);
                let changed = changed.map_err(|failure| {
                    failure.context(format!("cannot write {} (--output)", path.display()))
                })?;
                if let Some(command) = command.as_ref().filter(|_| changed) {
                    run(command).await?;
                }
                Ok(ControlFlow::Continue(()))
            }
        }
    }
}

/// Whether it had to be.
fn rewrite(path: &Path, content: &[u8]) -> io::Result<bool> {
    // What a link leads to is replaced, not the link.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let mode = match std::fs::read(&path) {
        Ok(before) if before == content => return Ok(false),
        Ok(_) => std::fs::metadata(&path)?.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => MODE,
        Err(error) => return Err(error),
    };
    replace(&path, content, mode)?;
    tracing::info!("{} was rewritten", path.display());
    Ok(true)
}

/// Runs it as system(3) does, to its end.
async fn run(command: &str) -> Result<(), Failure> {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", command])
        .stdin(std::process::Stdio::null());
    systemd::scrub(shell.as_std_mut());
    let status = shell.status().await;
    let status = status
        .or_exit(REFUSED)
        .map_err(|failure| failure.context(format!("cannot run {command:?} (--exec)")))?;
    if status.success() {
        return Ok(());
    }
    let words = format!("{command:?} (--exec) failed: {status}");
    Err(Failure::new(REFUSED, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_change_is_written_and_told() {
        let root = tempfile::tempdir().unwrap();
        let (list, told) = (root.path().join("list"), root.path().join("told"));
        let output = Output::File {
            path: list.clone(),
            command: Some(format!("cat {} >>{}", list.display(), told.display())),
        };
        for text in ["a\n", "a\n", "b\n"] {
            assert!(output.put(text).await.unwrap().is_continue());
            assert_eq!(std::fs::read_to_string(&list).unwrap(), text);
        }
        assert_eq!(std::fs::read_to_string(&told).unwrap(), "a\nb\n");
    }

    #[test]
    fn permissions_and_links_stay() {
        let root = tempfile::tempdir().unwrap();
        let (file, link) = (root.path().join("file"), root.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(rewrite(&link, b"new").unwrap());
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[tokio::test]
    async fn a_command_that_fails_is_said() {
        let root = tempfile::tempdir().unwrap();
        let output = |command: &str| Output::File {
            path: root.path().join("list"),
            command: Some(command.to_owned()),
        };
        let failure = output("exit 3").put("a").await.unwrap_err();
        assert_eq!(failure.code(), 1);
        assert_eq!(
            failure.to_string(),
            "\"exit 3\" (--exec) failed: exit status: 3"
        );
        let nowhere = Output::File {
            path: root.path().join("no/list"),
            command: None,
        };
        let failure = nowhere.put("a").await.unwrap_err();
        assert!(
            failure.to_string().starts_with("cannot write "),
            "{failure}"
        );
    }
}
