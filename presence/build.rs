//! Tells the binaries which commit they were built from.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let commit = commit().unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=PRESENCE_COMMIT={commit}");
    println!("cargo::rerun-if-changed=build.rs");
}

/// The commit of this workspace, and nobody else's: sources that were
/// unpacked inside of another repository have none.
fn commit() -> Option<String> {
    // Asked when it runs: a target directory may be shared by several copies of
    // the sources, and this program was compiled in one of them.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")?;
    let workspace = Path::new(&manifest).parent()?;
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != workspace.canonicalize().ok()? {
        return None;
    }
    // The log of HEAD grows whenever HEAD moves, also when only its branch does.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--path-format=absolute", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
