//! The file that says where to go on.
//!
//! Unlike the other files of the state directory it is written for every line. So it is written in
//! place and not brought to the disk: a crash of the machine, and that only, may leave an older one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::lines::Position;

/// For nobody else to read.
const PRIVATE: u32 = 0o600;

/// The file of one container, which nobody else writes as long as this is there.
#[derive(Debug)]
pub(super) struct PositionFile {
    file: File,
    path: PathBuf,
    container: String,
    /// Whether the last write worked.
    works: bool,
}

/// What is in it: one line of JSON. What may stand behind that is the end of a longer one.
#[derive(Serialize, Deserialize)]
struct Content {
    /// Docker's ID of the container.
    container: String,
    #[serde(flatten)]
    position: Position,
}

/// Removes what is kept for the container of this name; to be called when it is removed.
pub fn forget(state_dir: &Path, name: &str) -> io::Result<()> {
    match std::fs::remove_file(path(state_dir, name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn path(state_dir: &Path, name: &str) -> PathBuf {
    state_dir.join(format!("{name}.output"))
}

impl PositionFile {
    /// Opens it, or makes it, once nobody else has it; and where to go on. From the beginning for
    /// another container of this name, and where the file does not say.
    pub(super) fn open(
        state_dir: &Path,
        name: &str,
        container: &str,
    ) -> io::Result<(Self, Position)> {
        let path = path(state_dir, name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(PRIVATE);
        let mut file = options.open(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                info!(
                    "{} is in use: waiting for who hands on output of {name}",
                    path.display()
                );
                file.lock()?;
            }
            locked => locked?,
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let position = read(&content, container, &path);
        let file = Self {
            file,
            path,
            container: container.to_owned(),
            works: true,
        };
        Ok((file, position))
    }

    /// Notes where to go on. Where that fails it is said once: output is worth more than its being
    /// given only once.
    pub(super) fn write(&mut self, position: Position) {
        let content = Content {
            container: self.container.clone(),
            position,
        };
        let written = serde_json::to_vec(&content).map_err(io::Error::from);
        let written = written.and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all_at(&line, 0)
        });
        if let Err(error) = &written
            && self.works
        {
            let path = self.path.display();
            warn!("cannot write {path}: output comes again after the next start: {error}");
        }
        self.works = written.is_ok();
    }
}

fn read(content: &[u8], container: &str, path: &Path) -> Position {
    let line = content.split(|byte| *byte == b'\n').next();
    match serde_json::from_slice::<Content>(line.unwrap_or_default()) {
        Ok(content) if content.container == container => content.position,
        Err(error) if !content.is_empty() => {
            let path = path.display();
            warn!("{path} is damaged: output comes again from its beginning: {error}");
            Position::default()
        }
        _ => Position::default(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn position(second: i64) -> Position {
        let mut position = Position::default();
        position.since = Some(Timestamp::from_second(second).unwrap());
        position
    }

    #[test]
    fn the_last_position_is_found_by_the_same_container_only() {
        let root = tempfile::tempdir().unwrap();
        let open = |container| PositionFile::open(root.path(), "web.1", container).unwrap();
        let (mut file, found) = open("a");
        assert_eq!(found, Position::default());
        // A longer one before a shorter one.
        for last in [position(1_000_000_000), Position::default(), position(7)] {
            file.write(last);
            drop(file);
            let found;
            (file, found) = open("a");
            assert_eq!(found, last);
        }
        drop(file);
        assert_eq!(open("b").1, Position::default());
        forget(root.path(), "web.1").unwrap();
        forget(root.path(), "web.1").unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_one_is_no_reason_to_stay_silent() {
        let root = tempfile::tempdir().unwrap();
        for content in ["\0\0\0", "{\"container\": \"a\"", "\n"] {
            std::fs::write(path(root.path(), "web.1"), content).unwrap();
            let (_, found) = PositionFile::open(root.path(), "web.1", "a").unwrap();
            assert_eq!(found, Position::default());
        }
    }
}
