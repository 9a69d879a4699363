//! Files that are replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces a file, or makes it, with these permissions less the umask.
/// Whoever reads it sees what it held before or what it holds now, and nothing
/// between; once this returns that survives a crash of the machine. Blocks on
/// the disk.
///
/// It is written beside it first, as `.tmp` behind its name: nobody else may
/// do that at the same time.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = with_suffix(path, "tmp");
    write_new(&temporary, bytes, mode)?;
    fs::rename(&temporary, path)?;
    File::open(directory(path))?.sync_all()
}

/// The path of a file beside it.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.to_path_buf().into_os_string();
    path.push(".");
    path.push(suffix);
    path.into()
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent();
    parent
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes a file down to the disk.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_old_file_stays_whole_and_the_new_one_takes_its_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("hosts");
        replace(&path, b"old", 0o600).unwrap();
        let old = fs::metadata(&path).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        let new = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_ne!(old.ino(), new.ino(), "written into the old one");
        assert_eq!(new.mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bare_name_is_in_the_working_directory() {
        assert_eq!(directory(Path::new("hosts")), Path::new("."));
        assert_eq!(directory(Path::new("/etc/hosts")), Path::new("/etc"));
    }
}
